"""What admins of rows that only the system writes have in common."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Mixin of an admin or inline: who may view may look, and nobody may do more."""

    def has_add_permission(
        self, request: HttpRequest, obj: Any = None
    ) -> bool:  # Any: admins and inlines differ
        """Refuse: the system adds them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: they say what happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: they go with their server, or when they are old."""
        return False
