"""How the panel's objects become files and services on a server: one module for each kind of service.

Registration needs nothing but the import: ``orchestration`` imports this package when Django starts.
"""

from . import databases as databases
from . import dns as dns
from . import mail as mail
from . import web as web
