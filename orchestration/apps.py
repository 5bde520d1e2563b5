"""The app's configuration: what happens once, when Django starts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OrchestrationConfig(AppConfig):
    """Keep servers in step with the database."""

    name = "orchestration"
    verbose_name = _("orchestration")
    default_auto_field = "django.db.models.BigAutoField"
