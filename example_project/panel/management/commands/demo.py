"""Show the panel at work: embedded SSH hosts, the admin, and a prompt to stop and start hosts."""

import logging
import signal
import threading
from contextlib import ExitStack, contextmanager, suppress

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import BaseCommand, CommandError, call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler, get_internal_wsgi_application

from example_project import demo
from example_project.prompt import Prompt

WELCOME = """
  {url}
  Log in as {user} with the password {password}

  The hosts are folders of this machine, behind real SSH: {folder}
  Three things to try:
   1. Add a website in the admin (system user: alice), with a domain. Its virtual host file appears on
      web1, that of the next website on web2: type "files web1" here. Delete a website, and its file goes.
   2. Type "stop web1", and change the first website: a message says that its script waits for web1.
      Type "start web1": it is applied within seconds.
   3. Change the system user alice: one save, two servers. Each has its own script log,
      with the script that ran and what it printed.

  Commands: stop, start, files (each with web1, web2 or mail1), status, quit. Ctrl-C ends all.
  Requests and warnings are in {log}
"""


class Command(BaseCommand):
    """Start everything, and wait for commands."""

    help = "Start SSH hosts and the admin on this machine, ready to try."
    requires_system_checks = ()  # they would miss the key that is made below

    def add_arguments(self, parser):
        parser.add_argument("--port", type=int, default=8000, help="Port of the admin; 0 chooses a free one.")

    def handle(self, *, port, **options):
        if settings.PANEL_ROOT:
            raise CommandError("The demo's hosts are this machine: unset PANEL_ROOT.")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            self.run(port)
        self.stdout.write("\nThe demo has ended.")

    def run(self, port):
        """Start the hosts and the server; all of it ends when the prompt does."""
        folder = settings.VAR / "demo"
        with ExitStack() as stack:
            server = stack.enter_context(listening(port))
            call_command("migrate", verbosity=0, interactive=False)
            hosts = demo.make_hosts(folder, demo.make_key(settings.ORCHESTRATION_SSH_KEY_PATH))
            for host in hosts.values():
                host.start()
                stack.callback(host.stop)
            demo.register(hosts)
            user, password = demo.make_admin(folder)
            stack.enter_context(serving(server))
            log_to(folder / "log")
            self.stdout.write(
                WELCOME.format(
                    url=f"http://127.0.0.1:{server.server_port}/admin/",
                    user=user,
                    password=password,
                    folder=folder / "hosts",
                    log=folder / "log",
                )
            )
            self.stdout.flush()
            Prompt(hosts).cmdloop()


def log_to(path):
    """Keep the terminal for the prompt."""
    handler = logging.FileHandler(path, delay=True)
    for name in ("", "django", "django.server"):
        logging.getLogger(name).handlers = [handler]


@contextmanager
def listening(port):
    """Take the port first: a second demo must not touch what belongs to the first."""
    try:
        server = ThreadedWSGIServer(("127.0.0.1", port), WSGIRequestHandler)
    except OSError as error:
        raise CommandError(
            f"Port {port} cannot be used ({error.strerror}): choose another with --port."
        ) from error
    with server:
        yield server


@contextmanager
def serving(server):
    """Answer requests in threads."""
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
