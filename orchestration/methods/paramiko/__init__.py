"""Reaching servers over SSH with paramiko."""

from orchestration.methods.plain import PlainConnection
from orchestration.methods.runner import RunnerMethod

from .link import ParamikoLink, ParamikoTransport
from .link import scan_host_keys as scan_host_keys


class Paramiko(RunnerMethod[ParamikoLink]):
    """Runs units over SSH: through a runner, or by plain exec on a host without python3."""

    def __init__(self) -> None:
        super().__init__(ParamikoTransport(), fallback=PlainConnection)
