"""From operations to scripts, and from scripts to waiting rows."""

from .generation import generate as generate
