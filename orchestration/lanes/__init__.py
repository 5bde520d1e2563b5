"""Lanes: each drained by one worker at a time, strictly in order."""

from .draining import Rest as Rest
from .draining import drain as drain
from .head import due as due
from .probing import probe as probe
from .waiting import wait as wait
