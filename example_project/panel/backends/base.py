"""What the backends of the panel share: a root folder, and files that change at once or not at all."""

from django.conf import settings

from orchestration import ServiceController

#: Moves a draft to its place, in one step, if it differs from what is there.
PUBLISH = """\
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}"""


class PanelController(ServiceController):
    """Works below PANEL_ROOT ("/" on a real server), or below the login's home (on a demo host).

    All paths of the panel's backends are relative to it.
    """

    abstract = True

    def prepare(self):
        super().prepare()
        if root := getattr(settings, "PANEL_ROOT", ""):
            self.append("cd -- %(root)s", {"root": root})
        else:
            self.append("cd")
        self.append("umask 022")
        self.append(PUBLISH)

    def write(self, path, content, mode="0644"):
        """Write a file, unless it has that content already."""
        self.draft(path, content, mode)
        self.publish(path)

    def draft(self, path, content, mode="0644"):
        """Write the file beside its place, to be tested there; it has its mode before its content."""
        context = {"path": path, "content": content, "mode": mode}
        self.append("install -D -m %(mode)s /dev/null %(path)s.new", context)
        self.append("printf %%s %(content)s > %(path)s.new", context)

    def publish(self, path):
        """Let the draft take its place."""
        self.append("publish %(path)s", {"path": path})

    def assemble(self, folder, path, mode="0644"):
        """Write one file with the lines of all files in a folder."""
        context = {"folder": folder, "path": path, "mode": mode}
        self.append("install -d %(folder)s", context)
        self.append("install -D -m %(mode)s /dev/null %(path)s.new", context)
        self.append(
            "find %(folder)s -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > %(path)s.new", context
        )
        self.publish(path)
