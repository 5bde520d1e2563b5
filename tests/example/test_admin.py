"""The panel's admin: every page opens, passwords are hashed, names are chosen once."""

import pytest
from django.urls import reverse

from example_project.panel import models

pytestmark = pytest.mark.django_db

MODELS = ["account", "systemuser", "website", "zone", "databaseuser", "database", "mailbox"]


@pytest.fixture
def customer(account, alice, website, zone, database_user, database, mailbox):
    """One object of each model."""
    return dict(zip(MODELS, (account, alice, website, zone, database_user, database, mailbox), strict=True))


@pytest.mark.parametrize("model", MODELS)
def test_each_page_opens(admin_client, customer, model):
    for name, args in (("changelist", []), ("add", []), ("change", [customer[model].pk])):
        url = reverse(f"admin:panel_{model}_{name}", args=args)
        assert admin_client.get(url, {"q": "example"} if name == "changelist" else {}).status_code == 200


@pytest.fixture
def save_mailbox(admin_client, mailbox):
    """Return a function that sends the form of a mailbox and returns the mailbox as it is then."""

    def save_mailbox(**fields):
        inline = {"aliases-TOTAL_FORMS": 0, "aliases-INITIAL_FORMS": 0}
        url = reverse("admin:panel_mailbox_change", args=[mailbox.pk])
        admin_client.post(url, {"account": mailbox.account_id, "quota": 5} | inline | fields)
        mailbox.refresh_from_db()
        return mailbox

    return save_mailbox


def test_an_empty_password_keeps_the_old_one(save_mailbox):
    assert save_mailbox(new_password="").password == "{SSHA512}abc"
    assert save_mailbox(quota=7).quota == 7


def test_a_new_password_is_stored_as_a_hash(save_mailbox):
    password = save_mailbox(new_password="correct horse").password
    assert password.startswith("{SSHA512}")
    assert password != "{SSHA512}abc"


def test_a_short_password_is_refused(save_mailbox):
    assert save_mailbox(new_password="short").password == "{SSHA512}abc"


def test_a_new_mailbox_needs_a_password(admin_client, account):
    inline = {"aliases-TOTAL_FORMS": 0, "aliases-INITIAL_FORMS": 0}
    form = {"address": "new@example.com", "account": account.pk, "quota": 5}
    answer = admin_client.post(reverse("admin:panel_mailbox_add"), form | inline)
    assert "new_password" in answer.context["adminform"].form.errors
    assert not models.Mailbox.objects.exists()


def test_what_names_files_on_a_server_is_chosen_once(save_mailbox):
    assert save_mailbox(address="other@example.com").address == "info@example.com"
