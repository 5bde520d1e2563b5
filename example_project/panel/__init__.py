"""The hosting panel: what customers have, and the backends that make it true on servers."""
