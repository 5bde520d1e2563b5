"""Reports: what the administrators are told when a unit of work failed as a whole."""

from __future__ import annotations

import logging

from django.core.mail import mail_admins
from django.utils.translation import gettext as _

from .collector import Unit
from .exceptions import OrchestrationError
from .signals import unit_failed

logger = logging.getLogger(__name__)


def connect() -> None:
    """Report each unit that fails from now on, once."""
    unit_failed.connect(report, dispatch_uid="orchestration.report")


def report(unit: Unit, error: OrchestrationError, **kwargs: object) -> None:
    """Log the failure and mail it to ADMINS; that the mail cannot be sent does not hide the failure."""
    logger.error("The unit of work '%s' failed as a whole: %s", unit, error, exc_info=error)
    subject = _("A unit of work failed: %(unit)s") % {"unit": unit}
    try:
        mail_admins(" ".join(subject.split()), _text(unit, error))
    except Exception:  # mail backends raise what they like
        logger.exception("The report of this failure could not be mailed.")


def _text(unit: Unit, error: OrchestrationError) -> str:
    lines = [
        str(error),
        "",
        _("Unit: %(unit)s") % {"unit": unit},
        _("User: %(user)s") % {"user": unit.user or "-"},
    ]
    return "\n".join(lines)
