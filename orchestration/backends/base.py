"""ServiceBackend: what the author of a panel subclasses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

from django.apps import apps
from django.db.models import Model
from django.utils import timezone
from django.utils.functional import Promise

from orchestration import calls
from orchestration.exceptions import BackendInvalid, NotShell, UnsafeTemplate
from orchestration.operations import DELETE, SAVE
from orchestration.shell import as_text, refuse_open, sh

from . import registry, steps
from .commands import Part
from .relations import follow as follow

#: Texts in a row that are looked through for an open quote before a template.
_LITERALS = 16


class ServiceBackend:
    """Turns objects and actions into commands for the servers that host them.

    One instance writes for one server and one unit of work: ``prepare()`` once, ``<action>(obj)`` for each
    operation, ``commit()`` once. What is appended in them becomes head, content and tail of the script.
    A subclass is known by its name, everywhere; one with ``abstract = True`` of its own is only a base.
    """

    #: Not a backend itself, but a base of some.
    abstract: ClassVar[bool] = True
    #: Title for people; the name when empty.
    verbose_name: ClassVar[str | Promise] = ""
    #: "app.Model" of the objects that the actions get.
    model: ClassVar[str] = ""
    #: ("app.Model", "accessor__accessor"): a change of such an object saves the objects reached from it.
    related_models: ClassVar[Sequence[tuple[str, str]]] = ()
    #: Names of methods that get an object.
    actions: ClassVar[Sequence[str]] = ()
    #: Actions that only look: they run at once, on no lane, also for objects that were never saved.
    probes: ClassVar[Sequence[str]] = ()
    #: Actions that no request waits for, whatever the route says.
    async_actions: ClassVar[Sequence[str]] = ()
    #: Fields of the model whose change alone means nothing here.
    ignore_fields: ClassVar[Sequence[str]] = ()
    #: The match expression that a new route starts with.
    default_route_match: ClassVar[str] = "True"

    #: Names of backends whose sections come before this one's on a server (for deletes: behind it).
    after: ClassVar[Sequence[str]] = ()
    #: The queue of the server that this backend's scripts wait in.
    lane: ClassVar[str] = ""
    #: The backend's scripts of one unit start on one server after the other.
    serialize: ClassVar[bool] = False
    #: Run head and tail even when no action appended anything.
    force_empty_action_execution: ClassVar[bool] = False
    #: "continue": a failure stops only what names this backend in ``after``; "stop": it stops the lane.
    on_failure: ClassVar[str] = "continue"
    #: A script whose end nobody saw may run again.
    repeatable: ClassVar[bool] = True
    #: A waiting script may be dropped when the next one of the lane repeats all its saves.
    coalesce: ClassVar[bool] = False
    #: Seconds without output, and in all, after which a section is killed; None: as the settings say.
    idle: ClassVar[float | None] = None
    total: ClassVar[float | None] = None

    #: The interpreter of the text that is appended.
    script_executable: ClassVar[str] = "/bin/bash"
    #: How text reaches the server: "SSH" means as the server says.
    script_method: ClassVar[str] = "SSH"
    #: How Python functions are called.
    function_method: ClassVar[str] = "Python"
    #: Names of settings to show in the documentation of the backend.
    doc_settings: ClassVar[Any] = None  # Any: the classic form is (module, names); nothing here reads it

    #: Methods of backends are stored by path: they are called on a new instance.
    is_made_anew: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("abstract", False):
            cls.abstract = False
            _refuse_invalid(cls)
            registry.register(cls)

    def __init__(self) -> None:
        self.head, self.content, self.tail = Part(), Part(), Part()
        #: The part of the script that ``append`` adds to.
        self.part = self.content
        #: A step may fail without ending the script.
        self.may_fail = False
        #: Literal text since the last template: it may have left a quote open.
        self._literals: deque[str] = deque(maxlen=_LITERALS)

    def __str__(self) -> str:
        return self.get_name()

    # Writing

    def prepare(self) -> None:
        """Append what runs once, before the actions; the default makes the script stop at a failure."""
        self._append_frame(steps.strict_mode(self.script_executable) + "\nexit_code=0")

    def commit(self) -> None:
        """Append what runs once, after the actions: usually it applies a configuration."""
        self._append_frame("exit $exit_code")

    def _append_frame(self, text: str) -> None:
        if steps.is_shell(self.script_executable):
            commands = self.part[self.script_method]
            commands.text.add(text)
            commands.has_frame = True

    def append(
        self,
        command: str | Callable[..., object],
        *args: Any,  # Any: a context, or what the function takes
        context: Mapping[str, Any] | None = None,
        run_as: str | None = None,
        allow_fail: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Append shell text, or a Python function that is called with ``*args`` and the server.

        Text alone is literal; with a context, as second argument, it is a template: see ``sh()``.
        ``run_as``: another user, in its home. ``timeout``: kill it after so many seconds. ``allow_fail``:
        when it fails the script goes on, and fails at its end. Raises UnsafeTemplate, NotShell, NotStorable.
        """
        options = run_as is not None or allow_fail or timeout is not None
        if not isinstance(command, str):
            self._append_call(command, args, has_options=options or context is not None)
            return
        if args:
            context = _only_context(args)
        text = self._literal(command) if context is None else self._filled(command, context)
        if options:
            text = steps.wrap(self, text, run_as=run_as, allow_fail=allow_fail, timeout=timeout)
        commands = self.part[self.script_method]
        commands.text.add(text)
        commands.is_explicit |= bool(text) and not text.isspace()

    def _literal(self, text: str) -> str:
        as_text(text)  # refuses NUL and what is not UTF-8
        self._literals.append(text)
        return text

    def _filled(self, template: str, context: Mapping[str, Any]) -> str:
        steps.refuse_other(self.script_executable, "A context")
        if 0 < len(self._literals) < _LITERALS:
            _refuse_open("\n".join(self._literals))
        self._literals.clear()
        return sh(template, context)

    def _append_call(
        self, function: Callable[..., object], args: Sequence[object], *, has_options: bool
    ) -> None:
        if has_options:
            raise NotShell("run_as, allow_fail, timeout and context are for shell text, not for functions.")
        commands = self.part[self.function_method]
        commands.calls.append(calls.encode(function, args))
        commands.shown_calls.append(calls.show(function, args))
        commands.text.secrets.update(dict.fromkeys(calls.secrets(args)))
        commands.is_explicit = True

    def get_context(self, obj: Model) -> dict[str, Any]:
        """Return the values that the templates of this backend need for an object."""
        return {}

    def get_banner(self) -> str:
        """Return a line for the top of files that a script writes: who wrote it, and when."""
        now = timezone.localtime() if timezone.is_aware(timezone.now()) else timezone.now()
        return f"Generated by django-orchestration at {now:%b %d, %Y %H:%M:%S} {now.tzname() or ''}".rstrip()

    def before_delete(self, obj: Model) -> None:
        """Look at what is related to an object that is about to be deleted, while it exists."""

    # What it is for

    @classmethod
    def get_name(cls) -> str:
        """Return the name that routes, logs and ``after`` know it by."""
        return cls.__name__

    @classmethod
    def get_verbose_name(cls) -> str | Promise:
        """Return the title for people."""
        return cls.verbose_name or cls.get_name()

    @classmethod
    def get_actions(cls) -> list[str]:
        """Return the actions that it implements."""
        return [action for action in cls.actions if hasattr(cls, action)]

    @classmethod
    def model_class(cls) -> type[Model]:
        """Return the model; LookupError when it is not installed."""
        return apps.get_model(cls.model)

    @classmethod
    def is_main(cls, obj: Model) -> bool:
        """Tell whether an object is of the backend's model (a proxy or child of it too)."""
        return isinstance(obj, cls.model_class())

    @classmethod
    def get_related(cls, obj: Model) -> list[Model]:
        """Return the objects of the backend's model that a related object leads to; NULL leads to none."""
        paths = [path for label, path in cls.related_models if isinstance(obj, apps.get_model(label))]
        found: list[Model] = []
        for path in paths:
            found.extend(related for related in follow(obj, path) if related not in found)
        return found

    @classmethod
    def identity(cls, obj: Model) -> str:
        """Return what an operation is about, also when the object gets another key."""
        return str(obj)

    # The family

    @classmethod
    def get_backends(
        cls, instance: Model | None = None, action: str | None = None
    ) -> list[type[ServiceBackend]]:
        """Return the installed backends of this kind, for an object or an action when given."""
        return [
            backend
            for backend in registry.installed()
            if issubclass(backend, cls)
            and (instance is None or backend.is_main(instance))
            and (action is None or action in backend.get_actions())
        ]

    @classmethod
    def get_backend(cls, name: str) -> type[ServiceBackend]:
        """Return the backend of a name; raise BackendUnknown when none is installed."""
        return registry.find(name)


class ServiceController(ServiceBackend):
    """A backend that pushes each change: save and delete."""

    abstract = True
    actions = (SAVE, DELETE)


def _refuse_invalid(backend: type[ServiceBackend]) -> None:
    name = backend.get_name()
    if not backend.model:
        raise BackendInvalid(
            f"{name} names no model. Set model = 'app.Model', or abstract = True for a base."
        )
    for attribute in ("actions", "after", "async_actions", "ignore_fields", "probes"):
        if isinstance(getattr(backend, attribute), str):
            raise BackendInvalid(f"{name}.{attribute} is a text. Give a list of names: ['...'].")


def _only_context(args: Sequence[object]) -> Mapping[str, Any]:  # Any: values of all kinds
    if len(args) == 1 and (args[0] is None or isinstance(args[0], Mapping)):
        return cast("Mapping[str, Any]", args[0])
    raise UnsafeTemplate("Give append(text, context) one mapping of names to values, and options by name.")


def _refuse_open(text: str) -> None:
    try:
        refuse_open(text)
    except UnsafeTemplate as error:
        raise UnsafeTemplate(f"A template follows text that is not whole. {error}") from error
