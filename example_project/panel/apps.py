from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PanelConfig(AppConfig):
    """What customers have."""

    name = "example_project.panel"
    verbose_name = _("Hosting")
    default_auto_field = "django.db.models.BigAutoField"
