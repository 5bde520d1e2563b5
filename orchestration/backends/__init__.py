"""Backends: classes of a panel that say which commands make an object true on a server."""

from .base import ServiceBackend as ServiceBackend
from .base import ServiceController as ServiceController
from .registry import after_all as after_all
from .registry import autodiscover as autodiscover
from .registry import find as find
from .registry import forget as forget
from .registry import installed as installed
from .registry import observe as observe
from .relations import follow as follow
from .writing import Written as Written
from .writing import known_secrets as known_secrets
from .writing import take as take
