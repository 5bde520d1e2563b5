"""Passwords as the services on the servers want them: hashed here, so that nobody stores or sends them."""

import base64
import hashlib
import os


def for_mailbox(password):
    """Return a salted SHA-512 hash, as Dovecot reads it."""
    salt = os.urandom(16)
    digest = hashlib.sha512(password.encode() + salt).digest()
    return "{SSHA512}" + base64.b64encode(digest + salt).decode()


def for_database(password):
    """Return the hash of MariaDB's mysql_native_password, which has no salt."""
    inner = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()
