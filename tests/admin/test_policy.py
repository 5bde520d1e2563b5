"""The pages work where a Content-Security-Policy of "default-src 'self'" is in force."""

from html.parser import HTMLParser

import pytest
from django.contrib.staticfiles import finders

from orchestration.models import Route
from tests.webapps.models import Domain

pytestmark = pytest.mark.django_db


class Inline(HTMLParser):
    """Collects what the policy would block: styles, scripts and handlers in the page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.found += [(tag, name) for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (
            tag == "script" and "src" not in names and names.get("type") != "application/json"
        ):
            self.found.append((tag, None))


def test_no_page_has_anything_inline(page, make_log, server):
    log = make_log(Domain.objects.create(name="example.com"), state="FAILURE", script="true", stdout="x")
    route = Route.objects.create(backend="Gone", host=server)
    Route.objects.update(broken="why")
    rows = {"server": server.pk, "route": route.pk, "scriptlog": log.pk, "lane": log.lane_id}
    for model, pk in rows.items():
        for answer in (page(f"{model}_changelist"), page(f"{model}_change", pk)):
            assert Inline(answer.content.decode()).found == []


def test_the_style_sheet_has_a_class_for_each_state_that_needs_one():
    with open(finders.find("orchestration/admin.css")) as file:
        styles = file.read()
    for state in ("started", "success", "failure", "error", "timeout", "aborted"):
        assert f".orchestration-{state}" in styles
