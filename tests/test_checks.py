"""Each check finds what it should, and says nothing about a project that is in order."""

import pytest
from django.apps import apps
from django.core import checks as django_checks
from django.db import connection, models

from orchestration import ServiceController
from orchestration.checks import configuration, databases, definitions
from orchestration.models import Route, Server

MIDDLEWARE = [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "orchestration.middlewares.OperationsMiddleware",
]


class ElsewhereRouter:
    """Sends one model to another database."""

    def db_for_write(self, model, **hints):
        return "elsewhere" if model._meta.label == "webapps.Domain" else None


@pytest.fixture
def define(backend):
    """Install a backend: ``define("Name", model="app.Model", …)``."""
    return lambda name, **attributes: backend(type(name, (ServiceController,), attributes))


@pytest.fixture
def new_models():
    """Models that a test defines are forgotten at its end."""
    known = dict(apps.all_models["webapps"])
    yield
    apps.all_models["webapps"].clear()
    apps.all_models["webapps"].update(known)
    apps.clear_cache()


def ids(messages):
    """Return the numbers of messages, short: ["E002"]."""
    return [message.id.removeprefix("orchestration.") for message in messages]


def test_a_project_in_order_has_no_messages(db):
    messages = django_checks.run_checks(databases=["default"])
    assert [message for message in messages if message.id.startswith("orchestration.")] == []


# Settings


def test_unknown_name_is_found_and_the_nearest_is_named(settings):
    settings.ORCHESTRATION_SSH_KEYPATH = "/key"
    settings.ORCHESTRATION_QUITE_ANOTHER_THING = 1
    messages = {message.msg: message.hint for message in configuration.check_names()}
    assert messages == {
        "There is no setting ORCHESTRATION_SSH_KEYPATH.": "Did you mean ORCHESTRATION_SSH_KEY_PATH?",
        "There is no setting ORCHESTRATION_QUITE_ANOTHER_THING.": "Remove it.",
    }
    assert ids(configuration.check_names()) == ["W001", "W001"]


@pytest.mark.parametrize(
    ("name", "value", "problems"),
    [
        ("SSH_DEFAULT_USER", 7, ["E002"]),
        ("SSH_DEFAULT_USER", "deploy", []),
        ("DISABLE_EXECUTION", "no", ["E002"]),
        ("DISABLE_EXECUTION", None, []),
        ("DISABLE_EXECUTION", True, []),
        ("LOG_RETENTION_DAYS", 2.5, ["E002"]),
        ("LOG_RETENTION_DAYS", True, ["E002"]),
        ("LOG_RETENTION_DAYS", -1, ["E003"]),
        ("LOG_RETENTION_DAYS", 0, []),
        ("CONNECT_TIMEOUT", "10", ["E002"]),
        ("CONNECT_TIMEOUT", 0, ["E003"]),
        ("CONNECT_TIMEOUT", 2, []),
        ("REQUEST_WAIT", 0, []),
        ("OS_CHOICES", ["LINUX"], ["E002"]),
        ("OS_CHOICES", [("LINUX", "Linux", "x")], ["E002"]),
        ("OS_CHOICES", [["LINUX", "Linux"]], []),
        ("DEFAULT_OS", "PLAN9", ["E003"]),
        ("OUTSIDE_UNIT", "shout", ["E003"]),
        ("OUTSIDE_UNIT", "raise", []),
        ("FERNET_KEYS", "not a list", ["E002"]),
        ("FERNET_KEYS", ["too short"], ["E003"]),
        ("FERNET_KEYS", ["cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="], []),
        ("ROUTER", "nowhere.Router", ["E004"]),
        ("ROUTER", "orchestration.router.Nothing", ["E004"]),
        ("SSH_METHOD", "Telnet", ["E004"]),
        ("SSH_METHOD", "Local", []),
        ("EXECUTOR", "pigeons", ["E004"]),
        ("EXECUTOR", "inline", []),
    ],
)
def test_types_values_and_paths(settings, name, value, problems):
    setattr(settings, f"ORCHESTRATION_{name}", value)
    assert ids(configuration.check_values()) == problems


def test_a_bad_encryption_key_is_not_shown(settings):
    settings.ORCHESTRATION_FERNET_KEYS = ["hunter2"]
    (message,) = configuration.check_values()
    assert "index 0" in message.msg
    assert "hunter2" not in str(message)


# The key file


def test_key_that_others_can_read_is_an_error(settings, tmp_path):
    key = tmp_path / "key"
    key.touch(0o640)
    settings.ORCHESTRATION_SSH_KEY_PATH = str(key)
    assert ids(configuration.check_key_file()) == ["E006"]
    key.chmod(0o600)
    assert configuration.check_key_file() == []


def test_missing_key_is_a_warning_that_says_why(settings, tmp_path):
    settings.ORCHESTRATION_SSH_KEY_PATH = str(tmp_path / "none")
    (message,) = configuration.check_key_file()
    assert ids([message]) == ["W005"]
    assert "No such file" in message.msg


def test_key_path_may_begin_with_the_home(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings.ORCHESTRATION_SSH_KEY_PATH = "~/key"
    assert ids(configuration.check_key_file()) == ["W005"]
    (tmp_path / "key").touch(0o640)
    assert ids(configuration.check_key_file()) == ["E006"]


def test_without_a_key_path_there_is_nothing_to_check(settings):
    settings.ORCHESTRATION_SSH_KEY_PATH = ""
    assert configuration.check_key_file() == []


# The middleware


@pytest.mark.parametrize(
    ("order", "problems"),
    [
        ((0, 1, 2), []),
        ((0, 1), ["E007"]),
        ((2, 0, 1), ["E008", "E008"]),
        ((0, 2, 1), ["E008"]),
        ((2,), []),
    ],
)
def test_middleware_belongs_behind_authentication_and_messages(settings, order, problems):
    settings.MIDDLEWARE = [MIDDLEWARE[index] for index in order]
    assert ids(configuration.check_middleware()) == problems


def test_middleware_should_be_the_last(settings):
    settings.MIDDLEWARE = [*MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
    assert ids(configuration.check_middleware()) == ["W009"]


def test_middleware_that_cannot_be_imported_is_left_to_django(settings):
    settings.MIDDLEWARE = ["nowhere.Middleware", *MIDDLEWARE]
    assert configuration.check_middleware() == []


# Databases


@pytest.mark.parametrize(
    ("mode", "problems"),
    [("IMMEDIATE", []), ("immediate", []), ("EXCLUSIVE", []), ("DEFERRED", ["E010"]), (None, ["E010"])],
)
def test_sqlite_transactions_must_begin_as_writers(monkeypatch, mode, problems):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has modes of transactions")
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": mode})
    monkeypatch.delattr("django.core.mail.outbox")
    assert ids(databases.check_sqlite()) == problems


def test_sqlite_is_not_checked_while_tests_run(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    assert databases.check_sqlite() == []


@pytest.mark.databases
@pytest.mark.django_db(transaction=True)
def test_tables_without_transactions_are_found():
    if connection.vendor != "mysql":
        assert databases.check_engines(databases=["default"]) == []
        pytest.skip("only MariaDB has tables without transactions")
    assert databases.check_engines(databases=["default"]) == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE webapps_unwatched ENGINE=MyISAM")
    try:
        (message,) = databases.check_engines(databases=["default"])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE webapps_unwatched ENGINE=InnoDB")
    assert ids([message]) == ["E011"]
    assert message.hint == "ALTER TABLE webapps_unwatched ENGINE=InnoDB"


def test_database_is_left_alone_when_nobody_asks():
    assert databases.check_engines(databases=None) == []
    assert databases.check_routes(databases=None) == []


@pytest.mark.databases
@pytest.mark.django_db
def test_routes_to_backends_that_are_not_installed_are_named():
    server = Server.objects.create(name="web1")
    Route.objects.create(backend="Forgotten", host=server)
    (message,) = databases.check_routes(databases=["default"])
    assert ids([message]) == ["W012"]
    assert "Forgotten" in message.msg


@pytest.mark.django_db(transaction=True)
def test_routes_are_not_looked_for_before_their_table_exists(monkeypatch):
    monkeypatch.setattr(Route._meta, "db_table", "not_migrated_yet")
    assert databases.check_routes(databases=["default"]) == []


# Backends and what they watch


def test_models_that_do_not_exist_are_found(backend):
    class Nothing(ServiceController):
        abstract = True
        model = "webapps.Nothing"
        related_models = [("nowhere.Thing", "x"), ("no label", "x")]

        def save(self, obj):
            raise AssertionError

    backend(Nothing)
    assert ids(definitions.check_models()) == ["E013", "E013", "E013"]


def test_paths_must_begin_with_an_accessor(define):
    define("Good", model="webapps.WebApp", related_models=[("webapps.Page", "webapp"), ("nowhere.No", "x")])
    define("Bad", model="webapps.WebApp", related_models=[("webapps.Page", "website__owner")])
    get_related = classmethod(lambda cls, obj: [])
    define("Own", model="webapps.WebApp", related_models=[("webapps.Page", "-")], get_related=get_related)
    (message,) = definitions.check_paths()
    assert ids([message]) == ["W021"]
    assert "webapps.Page, which has no 'website'" in message.msg


def test_after_must_name_installed_backends(define):
    define("First", model="webapps.WebApp")
    define("Second", model="webapps.WebApp", after=["First", "Frist"])
    (message,) = definitions.check_after()
    assert ids([message]) == ["W014"]
    assert "Second runs after Frist" in message.msg


def test_default_route_match_must_be_an_expression(define):
    define("Bad", model="webapps.WebApp", default_route_match="webapp.delete()")
    define("Good", model="webapps.WebApp", default_route_match="webapp.is_active")
    (message,) = definitions.check_default_matches()
    assert ids([message]) == ["E015"]
    assert "Bad" in message.msg


def test_methods_must_exist(define):
    define("Good", model="webapps.WebApp", script_method="Local", function_method="Python")
    define("Bad", model="webapps.WebApp", script_method="Paramkio", function_method="nowhere.Method")
    messages = definitions.check_methods()
    assert ids(messages) == ["E019", "E019"]
    assert "Bad has script_method = 'Paramkio'" in messages[0].msg


def test_attributes_that_are_misspelt_are_found(define):
    define("Good", model="webapps.WebApp", related_models=[], retries=3, save=lambda self, obj: None)
    define("Bad", model="webapps.WebApp", related_model=[("webapps.Page", "webapp")])
    (message,) = definitions.check_attributes()
    assert (ids([message]), message.hint) == (["W020"], "Did you mean related_models?")


def test_watched_models_must_be_in_our_database(define, settings):
    define("Names", model="webapps.Domain")
    settings.DATABASE_ROUTERS = [ElsewhereRouter()]
    assert ids(definitions.check_databases()) == ["E016"]


def test_cascades_in_the_database_are_found(define, new_models):
    if not hasattr(models, "DB_CASCADE"):
        pytest.skip("Django 6.1 brought DB_CASCADE")

    class Owner(models.Model):
        class Meta:
            app_label = "webapps"

    class Kept(models.Model):
        owner = models.ForeignKey(Owner, models.DB_CASCADE)
        other = models.ForeignKey(Owner, models.CASCADE, related_name="+")

        class Meta:
            app_label = "webapps"

    define("Keeper", model="webapps.Kept")
    (message,) = definitions.check_cascades()
    assert (message.id, message.hint) == ("orchestration.E017", "Use CASCADE.")
    assert message.obj == Kept._meta.get_field("owner")


def test_composite_keys_are_found(define, new_models):
    class Share(models.Model):
        pk = models.CompositePrimaryKey("one", "two")
        one, two = models.IntegerField(), models.IntegerField()

        class Meta:
            app_label = "webapps"

    define("Shares", model="webapps.Share")
    assert ids(definitions.check_keys()) == ["E018"]
