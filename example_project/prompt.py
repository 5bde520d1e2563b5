"""The prompt of the demo: stop and start its hosts, and look what they have."""

import cmd
import os
import stat
import sys
import threading


class Prompt(cmd.Cmd):
    """Commands with the name of a host: stop, start, files; also status, quit."""

    prompt = "demo> "

    def __init__(self, hosts):
        super().__init__()
        self.hosts = hosts

    def find(self, name):
        """Return a host; None, with a message, when there is none of this name."""
        host = self.hosts.get(name.strip())
        if host is None:
            print(f"There is no host '{name}': choose {', '.join(self.hosts)}.")
        return host

    def do_stop(self, name):
        """stop HOST: pull the plug; work for it waits."""
        if host := self.find(name):
            host.stop()
            print(f"{host.name} is stopped.")

    def do_start(self, name):
        """start HOST: it is back; what waits is applied within seconds."""
        if host := self.find(name):
            host.start()
            print(f"{host.name} is running.")

    def do_files(self, name):
        """files HOST: list what is in the folder of a host."""
        if host := self.find(name):
            for path in sorted(host.folder.rglob("*")):
                print(f"  {path.relative_to(host.folder)}{'/' if path.is_dir() else ''}")

    def do_status(self, _argument):
        """status: tell which hosts are running."""
        for host in self.hosts.values():
            print(f"  {host.name}: {'running' if host.is_running else 'stopped'}")

    def do_quit(self, _argument):
        """quit: end the demo."""
        return True

    def do_EOF(self, _argument):  # noqa: N802  the name that Cmd wants
        """Quit; where nobody could type from the beginning (/dev/null), go on until a signal comes."""
        if not (sys.stdin.isatty() or stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)):
            threading.Event().wait()
        return True

    def emptyline(self):
        """Do nothing: by default, the last command would be repeated."""

    def default(self, line):
        print(f"There is no command '{line.split()[0]}': type help.")
