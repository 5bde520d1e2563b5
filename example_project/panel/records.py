"""What the value of a DNS record must look like, type by type."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv4_address, validate_ipv6_address
from django.utils.translation import gettext_lazy as _

from .validators import validate_host_name


def validate_host(value):
    """Accept a complete host name, with a dot at its end or without."""
    validate_host_name(value.removesuffix("."))


def validate_mail_exchanger(value):
    """Accept '10 mail.example.com'."""
    priority, _blank, host = value.partition(" ")
    if not re.fullmatch(r"[0-9]{1,5}", priority) or int(priority) > 65535:
        raise ValidationError(_("Give a priority and a host, such as '10 mail.example.com'."))
    validate_host(host)


def validate_text(value):
    """Accept printable ASCII; the zone file has the quotes."""
    if not (value.isascii() and value.isprintable()):
        raise ValidationError(_("Use printable ASCII characters."))


VALIDATORS = {
    "A": validate_ipv4_address,
    "AAAA": validate_ipv6_address,
    "CNAME": validate_host,
    "MX": validate_mail_exchanger,
    "NS": validate_host,
    "TXT": validate_text,
}
TYPES = [(kind, kind) for kind in VALIDATORS]


def as_zone_file(kind, value):
    """Return a value as a zone file has it: host names end with a dot, text is quoted in pieces of 255."""
    if kind in ("CNAME", "MX", "NS"):
        return value.removesuffix(".") + "."
    if kind == "TXT":
        return " ".join(quoted(value[start : start + 255]) for start in range(0, len(value) or 1, 255))
    return value


def quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
