"""From operations to scripts, and from scripts to waiting rows."""

from .execution import execute as execute
from .generation import generate as generate
from .numbering import Locked as Locked
from .numbering import lock as lock
from .numbering import route as route
from .probing import probe as probe
from .queueing import Queued as Queued
from .queueing import enqueue as enqueue
from .records import create_for_action as create_for_action
from .records import describe as describe
from .records import load as load
from .records import operation_rows as operation_rows
from .records import store as store
