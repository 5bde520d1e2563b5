"""Collecting: what changes in one unit of work becomes operations, stored in the same transaction.

Read in this order: blocks (``orchestrate()``) and units, connecting and receivers, journal, folding.
"""

from .blocks import orchestrate as orchestrate
from .connecting import connect as connect
from .outside import Request as Request
from .units import Unit as Unit
from .units import work as work
