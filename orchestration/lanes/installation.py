"""Whether this process may act on the servers of its database."""

from __future__ import annotations

import logging

from django.conf import settings
from django.utils.crypto import salted_hmac

from orchestration.exceptions import ForeignInstallation
from orchestration.models import Installation
from orchestration.models.database import alias
from orchestration.settings import is_testing, options

logger = logging.getLogger(__name__)
SALT = "orchestration.installation"
PK = 1
_reported: set[str] = set()


def is_disabled() -> bool:
    """Tell whether scripts are stored as revoked, and nothing connects."""
    if options.DISABLE_EXECUTION is None:
        return is_testing()
    return options.DISABLE_EXECUTION


def name() -> str:
    """Return the name of this installation."""
    return options.INSTALLATION or _derived(settings.SECRET_KEY)


def is_foreign(stored: str | None) -> bool:
    """Tell whether a database whose stored name is this one belongs to another installation."""
    return stored is not None and stored not in _known()


def check() -> None:
    """Raise ForeignInstallation when the database is another installation's; name it at first use."""
    stored = Installation.objects.using(alias()).filter(pk=PK).values_list("name", flat=True).first()
    if stored == name():
        return
    if is_foreign(stored):
        raise ForeignInstallation(
            f"This database belongs to installation {stored!r}, and this process is {name()!r}: it runs no "
            f"scripts. If it shall act on these servers from now on: manage.py orchestrate --adopt"
        )
    _store(stored)


def may_act() -> bool:
    """Tell whether lanes may be drained here; why not is logged once."""
    if is_disabled():
        return False
    try:
        check()
    except ForeignInstallation as error:
        _report(str(error))
        return False
    return True


def adopt() -> tuple[str | None, str]:
    """Make this installation the one that acts; return the name before and now."""
    rows = Installation.objects.using(alias())
    before = rows.filter(pk=PK).values_list("name", flat=True).first()
    rows.update_or_create(pk=PK, defaults={"name": name()})
    _reported.clear()
    return before, name()


def _store(stored: str | None) -> None:
    """Write our name, unless another process has changed the row meanwhile."""
    rows = Installation.objects.using(alias())
    if stored is None:
        rows.bulk_create([Installation(pk=PK, name=name())], ignore_conflicts=True)
    else:
        rows.filter(pk=PK, name=stored).update(name=name())


def _known() -> list[str]:
    """Return the names that are ours: derived from an earlier SECRET_KEY is ours too."""
    if options.INSTALLATION:
        return [options.INSTALLATION]
    return [_derived(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _derived(key: str | bytes) -> str:
    return salted_hmac(SALT, "name", secret=key, algorithm="sha256").hexdigest()[:32]


def _report(message: str) -> None:
    if message not in _reported:
        _reported.add(message)
        logger.error("%s", message)
