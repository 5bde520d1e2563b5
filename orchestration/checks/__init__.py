"""System checks: each finds a project that is set up so that it cannot work, and says what to do.

Importing this package registers them; docs/reference/checks.md lists them by id.
"""

from . import configuration as configuration
from . import databases as databases
from . import definitions as definitions
