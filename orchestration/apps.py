"""The app's configuration: what happens once, when Django starts."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OrchestrationConfig(AppConfig):
    """Keep servers in step with the database."""

    name = "orchestration"
    verbose_name = _("Orchestration")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the backends of all apps, watch what they name, and register the checks."""
        # Not at the top: models can be imported from here on.
        from . import backends, checks, collector, reports  # noqa: F401, PLC0415

        backends.autodiscover()
        collector.connect()
        reports.connect()
