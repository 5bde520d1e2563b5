"""Every error of the package: each says the fact in its name, and the remedy in its message."""


class OrchestrationError(Exception):
    """Something in orchestration went wrong."""


# Writing backends and templates


class UnsafeTemplate(OrchestrationError, ValueError):
    """A shell template would put a value where quoting cannot protect it."""


class NotStorable(OrchestrationError, TypeError):
    """A Python command cannot be stored, so it could not survive this process."""


class NotShell(OrchestrationError, ValueError):
    """Placeholders and options of ``append`` are for shells, and another program runs this script."""


class BackendInvalid(OrchestrationError):
    """A backend class contradicts itself, or another one."""


class BackendConflict(OrchestrationError):
    """Two different backends have the same name."""


class BackendUnknown(OrchestrationError, LookupError):
    """No installed backend has this name."""


class InstanceGone(OrchestrationError, LookupError):
    """The object of an operation does not exist any more."""


class BackendFailed(OrchestrationError):
    """A backend raised while it wrote its section."""

    def __init__(self, message: str, *, backend: str = "", action: str = "", instance: str = "") -> None:
        super().__init__(message)
        self.backend, self.action, self.instance = backend, action, instance


# Routing


class UnsafeExpression(OrchestrationError, ValueError):
    """A route expression uses something that the language of routes does not allow."""

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class ExpressionFailed(OrchestrationError):
    """A route expression could not be evaluated for an object."""

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class RouteBroken(OrchestrationError):
    """A route cannot say whether it matches an object."""

    def __init__(self, message: str, *, route: int, instance: str, position: int | None = None) -> None:
        super().__init__(message)
        self.route, self.instance, self.position = route, instance, position


# Collecting


class OutsideUnit(OrchestrationError):
    """A watched object changed outside any unit of work."""


class UnitClosed(OrchestrationError):
    """A unit of work was entered twice, or from another thread."""


# Reaching a server


class ConnectionFailed(OrchestrationError):
    """A server could not be reached, and certainly nothing ran there: the work is kept and tried again."""


class HostUnreachable(ConnectionFailed):
    """There is no way to the server, or nothing answers there."""


class ConnectionRefused(ConnectionFailed):
    """The server is there, but nothing listens on its SSH port."""


class ConnectTimeout(ConnectionFailed):
    """The server accepted the connection and then stayed silent."""


class LoginFailed(ConnectionFailed):
    """The server refused the login."""


class HostKeyUnknown(ConnectionFailed):
    """No host key of the server is pinned yet, so nobody knows that it is the right machine."""


class HostKeyChanged(ConnectionFailed):
    """The server shows another host key than the pinned one."""


class ServerFull(ConnectionFailed):
    """The server has no space for the script, so it did not start."""


class CannotStart(OrchestrationError):
    """The script cannot start on this server, and trying again would not help."""


class NoPython(CannotStart):
    """The server has no python3 of version 3.8 or later, which the runner needs."""


class ConnectionLost(OrchestrationError):
    """The link was cut after the script had been sent: nobody saw its end."""


# Lanes


class LaneBusy(OrchestrationError):
    """The change cannot be stored: other changes hold the queue of a server for too long."""


class LeaseLost(OrchestrationError):
    """Another worker has taken over the lane."""


class ForeignInstallation(OrchestrationError):
    """The database belongs to another installation."""


class PayloadUnreadable(OrchestrationError):
    """The stored script cannot be decrypted with the keys that are configured."""


class PayloadNewer(PayloadUnreadable):
    """A newer version of this package has stored the script: a newer process will run it."""
