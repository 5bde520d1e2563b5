"""What may become the name of a file, a login, a host or a database on a server.

None of these names can start with a dash (an option), contain a slash or a blank, or be a file
that the system itself needs. Backends may rely on it, and quote all the same.
"""

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

# fmt: off
RESERVED_USERS = frozenset([
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy", "www-data",
    "backup", "list", "irc", "nobody", "sshd", "mysql", "postgres", "postfix", "dovecot", "bind", "named",
    "vmail", "opendkim", "messagebus", "systemd-network", "systemd-resolve",
])
# fmt: on
RESERVED_DATABASES = frozenset(["mysql", "sys", "information_schema", "performance_schema", "test"])

# RFC 1123, 2.1: labels of letters, digits and inner hyphens; 63 characters at most.
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

validate_user_name = RegexValidator(
    r"\A[a-z][a-z0-9_-]{0,30}\Z",
    _("Use up to 31 lower-case letters, digits, '-' and '_', and start with a letter."),
)
validate_database_name = RegexValidator(
    r"\A[a-z][a-z0-9_]{0,31}\Z",
    _("Use up to 32 lower-case letters, digits and '_', and start with a letter."),
)
validate_host_name = RegexValidator(
    rf"\A(?=.{{1,253}}\Z)(?:{LABEL}\.)+(?!\d+\Z){LABEL}\Z",
    _("Give a complete host name in lower case, such as www.example.com (punycode for other alphabets)."),
)
validate_mail_name = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9._+-]{0,62}[a-z0-9])?\Z",
    _("Use up to 64 lower-case letters, digits and '.', '_', '+', '-' between them."),
)


def validate_not_reserved_user(value):
    """Refuse logins that the system itself has."""
    if value in RESERVED_USERS:
        raise ValidationError(_("'%(value)s' is reserved for the system."), params={"value": value})


def validate_not_reserved_database(value):
    """Refuse databases that the server itself has."""
    if value in RESERVED_DATABASES:
        raise ValidationError(_("'%(value)s' is reserved for the server."), params={"value": value})


def validate_mail_address(value):
    """Accept name@host, both in lower case."""
    name, _at, host = value.rpartition("@")
    validate_mail_name(name)
    validate_host_name(host)


def validate_record_name(value):
    """Accept the zone itself (@), a wildcard, and names relative to the zone."""
    if not re.fullmatch(rf"@|(?:\*|_?{LABEL})(?:\._?{LABEL})*", value):
        raise ValidationError(_("Give '@', or a name relative to the zone, such as 'www'."))
