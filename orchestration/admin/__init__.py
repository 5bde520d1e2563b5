"""The stock admin of servers, routes, lanes and logs."""

from .lanes import LaneAdmin as LaneAdmin
from .logs import ScriptLogAdmin as ScriptLogAdmin
from .routes import RouteAdmin as RouteAdmin
from .servers import ServerAdmin as ServerAdmin
