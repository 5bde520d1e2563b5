"""Signals sent while backends write: each with ``sender=<backend class>`` and ``backend=<instance>``."""

from django.dispatch import Signal

#: Before and after ``backend.prepare()``.
pre_prepare = Signal()
post_prepare = Signal()

#: Before and after ``backend.<action>(instance)``; also with ``instance`` and ``action``.
pre_action = Signal()
post_action = Signal()

#: Before and after ``backend.commit()``.
pre_commit = Signal()
post_commit = Signal()

#: A unit of work failed as a whole, after its rollback; with ``unit`` and ``error``.
unit_failed = Signal()
