"""An object of the shape that route expressions are written for."""

import pytest
from django.contrib.auth import get_user_model

from tests.webapps.models import Domain, WebApp


@pytest.fixture
def webapp(db):
    owner = get_user_model().objects.create_user("rata", "rata@example.org", "hunter2")
    webapp = WebApp.objects.create(
        owner=owner, name="example", type="wordpress-php", data={"php_version": "8.2", "api_key": "k"}
    )
    for name in ("x.cat", "y.org", "z.net"):
        webapp.domains.add(Domain.objects.create(name=name))
    return webapp
