"""Scripts as the manager generates them, made by hand."""

from orchestration.scripts import Group, Script, Section


def section(backend="Site", *, text="true", shown=None, method="SSH", groups=None, **options):
    """A section with one group, unless ``groups`` says otherwise."""
    groups = (Group(method, "/bin/bash", text),) if groups is None else groups
    return Section(backend, (), groups, text if shown is None else shown, **options)


def script(server, *sections, lane=""):
    return Script(server.pk, server.name, lane, sections or (section(),))
