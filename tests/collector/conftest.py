"""Units whose operations the tests look at."""

from contextlib import contextmanager

import pytest
from django.db import transaction

from orchestration import orchestrate
from tests.services.collecting import define, everywhere, web1, woken  # noqa: F401  fixtures


@pytest.fixture
def collected():
    """Return a context manager that yields a list, in the end filled with (action, object) pairs.

    The unit is rolled back then, so that nothing is written.
    """

    @contextmanager
    def collected():
        found = []
        with orchestrate() as unit:
            yield found
            found += [(each.action, each.instance) for each in unit.fold().operations()]
            transaction.set_rollback(True)

    return collected
