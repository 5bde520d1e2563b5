"""Checks of what the project's settings say: ORCHESTRATION_* values, key file, middleware."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from orchestration.settings import PREFIX, Setting, declared, options

from . import values

MIDDLEWARE = "orchestration.middlewares.OperationsMiddleware"
#: The unit needs to know who the user is, and where to leave messages.
OUTER_MIDDLEWARE = (
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
)
#: Settings for which zero makes sense; all other numbers must be greater.
MAY_BE_ZERO = {"LOG_RETENTION_DAYS", "REQUEST_WAIT", "OUTPUT_TAIL"}


# Names, types and values


@checks.register
def check_names(**kwargs: object) -> list[checks.CheckMessage]:
    """W001: a setting that does not exist, probably a typing mistake."""
    known = declared()
    return [
        checks.Warning(f"There is no setting {name}.", hint=_similar(name), id="orchestration.W001")
        for name in dir(settings)
        if name.startswith(PREFIX) and name not in known
    ]


def _similar(name: str) -> str:
    known = [other.removeprefix(PREFIX) for other in declared()]
    found = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
    return f"Did you mean {PREFIX}{found[0]}?" if found else "Remove it."


@checks.register
def check_values(**kwargs: object) -> list[checks.CheckMessage]:
    """E002, E003, E004: a setting of the wrong type, with an impossible value, with a bad path."""
    return [message for setting in declared().values() for message in _problems(setting)]


def _problems(setting: Setting[Any]) -> Iterator[checks.CheckMessage]:  # Any: settings of all types
    value, name = setting.__get__(None), setting.name.removeprefix(PREFIX)
    expected = values.expected_type(setting)
    if not values.fits(value, expected):
        kind = expected.__name__ if isinstance(expected, type) else expected
        yield checks.Error(
            f"{setting.name} must be {kind}, not {type(value).__name__}.",
            hint=f"The default is {setting.default!r}.",
            id="orchestration.E002",
        )
    elif problem := values.value_problem(name, value):
        yield checks.Error(f"{setting.name} {problem}", id="orchestration.E003")
    elif problem := values.path_problem(name):
        yield checks.Error(
            f"{setting.name} is {value!r}, which cannot be imported: {problem}.",
            hint=f"Give a dotted path, or remove it: the default is {setting.default!r}.",
            id="orchestration.E004",
        )


# The key file


@checks.register
def check_key_file(**kwargs: object) -> list[checks.CheckMessage]:
    """W005, E006: the private key is missing, or others can read it."""
    path = options.SSH_KEY_PATH
    if not path or not isinstance(path, str):
        return []
    try:
        mode = Path(path).expanduser().stat().st_mode
    except OSError as error:
        return [_missing_key(path, error)]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return [_open_key(path)]
    return []


def _missing_key(path: str, error: OSError) -> checks.CheckMessage:
    return checks.Warning(
        f"The private key {path} cannot be read: {error.strerror}.",
        hint="Make one with ssh-keygen, or correct ORCHESTRATION_SSH_KEY_PATH. Until then work waits. "
        "A process that never drains lanes needs no key: silence this check there.",
        id="orchestration.W005",
    )


def _open_key(path: str) -> checks.CheckMessage:
    return checks.Error(
        f"The private key {path} can be read by others.", hint=f"chmod 600 {path}", id="orchestration.E006"
    )


# The middleware


@checks.register
def check_middleware(**kwargs: object) -> list[checks.CheckMessage]:
    """E007, E008, W009: the middleware is missing, too far out, or not the last."""
    ours = _place(MIDDLEWARE)
    if ours is None:
        return [_missing_middleware()]
    messages = [_too_far_out(path) for path in OUTER_MIDDLEWARE if (_place(path) or 0) > ours]
    if not messages and ours != len(settings.MIDDLEWARE) - 1:
        messages.append(_not_last())
    return messages


def _place(path: str) -> int | None:
    """Return the index of a middleware, or of a subclass of it."""
    wanted = import_string(path)
    for index, name in enumerate(settings.MIDDLEWARE):
        try:
            found = import_string(name)
        except ImportError:
            continue  # Django says so when it loads its middleware
        if found is wanted or (isinstance(found, type) and issubclass(found, wanted)):
            return index
    return None


def _missing_middleware() -> checks.CheckMessage:
    return checks.Error(
        "OperationsMiddleware is not installed: what people save in requests reaches no server.",
        hint=f"Add '{MIDDLEWARE}' as the last of MIDDLEWARE.",
        id="orchestration.E007",
    )


def _too_far_out(path: str) -> checks.CheckMessage:
    return checks.Error(
        f"OperationsMiddleware stands before {path.rpartition('.')[2]}, whose work it needs.",
        hint=f"Move '{MIDDLEWARE}' to the end of MIDDLEWARE.",
        id="orchestration.E008",
    )


def _not_last() -> checks.CheckMessage:
    return checks.Warning(
        "OperationsMiddleware is not the last of MIDDLEWARE.",
        hint="A middleware behind it can swallow the exception of a view: then its unit would commit. "
        f"Move '{MIDDLEWARE}' to the end of MIDDLEWARE.",
        id="orchestration.W009",
    )
