"""The settings of the app: typed, with defaults, read from Django's settings at each use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from django.conf import settings as django_settings
from django.core import mail

T = TypeVar("T")

PREFIX = "ORCHESTRATION_"


class Setting(Generic[T]):
    """One setting: reads ``ORCHESTRATION_<its name>`` whenever it is asked for."""

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = PREFIX + name

    def __get__(self, instance: object, owner: type | None = None) -> T:
        value: T = getattr(django_settings, self.name, self.default)
        return value


class Options:
    """All settings, without their prefix: ``options.SSH_METHOD``."""

    #: Operating systems that a server may run: (value, label) pairs.
    OS_CHOICES = Setting[Sequence[tuple[str, str]]]((("LINUX", "Linux"), ("BSD", "BSD")))
    #: The operating system of a new server: a value of OS_CHOICES.
    DEFAULT_OS = Setting[str]("LINUX")

    #: Path of the private key used to log in to servers; empty: no key is offered.
    SSH_KEY_PATH = Setting[str]("")
    #: The login of servers that name none.
    SSH_DEFAULT_USER = Setting[str]("root")
    #: How servers with connection "ssh" are reached: name or dotted path of a method.
    SSH_METHOD = Setting[str]("Paramiko")

    #: Dotted path of the class that decides on which servers an operation runs.
    ROUTER = Setting[str]("orchestration.router.Router")
    #: Who drains lanes after COMMIT: "threads", "inline" or a dotted path.
    EXECUTOR = Setting[str]("threads")
    #: True: scripts are stored as revoked and nothing connects. None: only while tests run.
    DISABLE_EXECUTION = Setting[bool | None](None)
    #: What a change outside any unit does: "warn", "after_commit", "raise" or "ignore".
    OUTSIDE_UNIT = Setting[str]("warn")
    #: Name of this installation; empty: derived from SECRET_KEY.
    INSTALLATION = Setting[str]("")
    #: Fernet keys that encrypt stored scripts, newest first; empty: derived from SECRET_KEY.
    FERNET_KEYS = Setting[Sequence[str]](())
    #: Days for which finished logs are kept.
    LOG_RETENTION_DAYS = Setting[int](20)

    #: Seconds to connect to a server and log in.
    CONNECT_TIMEOUT = Setting[float](10)
    #: Seconds without output after which a section is killed.
    IDLE_TIMEOUT = Setting[float](900)
    #: Seconds after which a section is killed.
    TOTAL_TIMEOUT = Setting[float](3600)
    #: Seconds that a request waits for its scripts.
    REQUEST_WAIT = Setting[float](20)
    #: Seconds for which a worker owns a lane without a sign of life.
    LEASE = Setting[float](60)
    #: Seconds to wait for the lock of a lane.
    LOCK_WAIT = Setting[float](5)
    #: Seconds between two looks for work that nobody announced.
    POLL = Setting[float](5)
    #: Longest pause in seconds between two tries to reach a server.
    RETRY_PAUSE = Setting[float](300)

    #: Bytes kept of the beginning of each output stream of a section.
    OUTPUT_CAP = Setting[int](1024 * 1024)
    #: Bytes kept of the end of each output stream that is longer.
    OUTPUT_TAIL = Setting[int](64 * 1024)
    #: Threads of one process that drain lanes.
    DRAIN_THREADS = Setting[int](16)
    #: Connections that one process keeps open.
    POOL_SIZE = Setting[int](200)
    #: Seconds after which an unused connection is closed.
    POOL_IDLE = Setting[float](300)


options = Options()


def declared() -> dict[str, Setting[Any]]:  # Any: each has a type of its own
    """Return all settings by their full names, prefix included, in the order of this file."""
    return {value.name: value for value in vars(Options).values() if isinstance(value, Setting)}


def is_testing() -> bool:
    """Tell whether Django's test environment is set up: then mails are kept in ``mail.outbox``."""
    return hasattr(mail, "outbox")
