"""Fixtures of the tests of lanes."""

import uuid

import pytest
from django.db import transaction

from orchestration.manager.queueing import enqueue


@pytest.fixture
def store():
    """Store scripts as a unit of their own; what was queued is returned."""

    def store(*scripts):
        with transaction.atomic():
            return enqueue(scripts, unit=uuid.uuid4())

    return store
