"""From operations to scripts, and from scripts to waiting rows."""
