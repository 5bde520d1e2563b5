"""The tables: servers, routes, lanes with their leases, logs of scripts and operations."""

from .installations import Installation as Installation
from .lanes import Lane as Lane
from .lanes import Lease as Lease
from .logs import OperationLog as OperationLog
from .logs import ScriptLog as ScriptLog
from .routes import Route as Route
from .servers import Server as Server
