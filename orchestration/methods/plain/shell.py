"""The commands of plain exec, and how they answer."""

from __future__ import annotations

import shlex
import time
from typing import Protocol

from orchestration.methods.channel import Channel
from orchestration.scripts import Host
from orchestration.settings import options

#: Seconds between two looks at what is silent.
LOOK = 0.1

# $1 marks our own lines, $2 is the number of bytes to come, then the size of each text. When all are there,
# each further line is a process group (without setsid: a process) to be killed. At the end of its stdin,
# which is the end of the link at the latest, the texts are removed.
KEEP = """
umask 077; mark=$1 total=$2 offset=1 number=0; shift 2
folder=$(mktemp -d "${TMPDIR:-/tmp}/orchestration-XXXXXXXX") || { echo "$mark full"; exit; }
refuse() { rm -rf "$folder"; echo "$mark $1"; exit; }
holds() { [ "$(wc -c < "$1")" -eq "$2" ]; }
send() { kill -$1 -$2 2> /dev/null || kill -$1 $2 2> /dev/null; }
stop() {
    send TERM $1
    for try in 1 2 3 4 5 6 7 8 9 10; do send 0 $1 || return; sleep 0.2 2> /dev/null || sleep 1; done
    send KILL $1
}
trap 'rm -rf "$folder"; exit 1' HUP INT TERM PIPE
head -c "$total" > "$folder/all" || refuse full
holds "$folder/all" "$total" || refuse short
for size; do
    number=$((number + 1))
    tail -c +$offset "$folder/all" | head -c "$size" > "$folder/$number" || refuse full
    holds "$folder/$number" "$size" || refuse full
    offset=$((offset + size))
done
rm -f "$folder/all"
echo "$mark ready $folder"
while read -r group; do stop "$group"; done
rm -rf "$folder"
"""

# $1 marks our own lines, $2 is the text, the rest is what runs it. The text is gone from the disk when
# it starts; its output follows the line with its process group.
RUN = """
mark=$1 text=$2; shift 2
command -v "$1" > /dev/null || { echo "$mark missing"; exit; }
exec 3< "$text" && rm -f "$text" || { echo "$mark gone"; exit; }
start='echo "$0 started $$"; exec "$@" /dev/fd/3 < /dev/null'
alone=$(command -v setsid)
$alone sh -c "$start" "$mark" "$@" &
exec 2> /dev/null
wait $!
"""


class PlainChannel(Channel, Protocol):
    """A channel whose stdout and stderr are read side by side."""

    def receive_any(self, timeout: float) -> tuple[int, bytes] | None:
        """Return a stream's number and what has arrived on it; None: nothing came; 0: both ended."""

    def has_ended(self) -> bool:
        """Tell whether the command itself has ended (others may still hold its streams)."""


class PlainLink(Protocol):
    """A connection that opens such channels."""

    @property
    def is_closed(self) -> bool:
        """Tell whether it has ended."""

    def open(self, command: str) -> PlainChannel:
        """Run a command in the login shell of the host."""

    def close(self) -> None:
        """Close it and all of its channels."""

    def abandon(self) -> None:
        """Let go of it in a forked child."""


def execute(link: PlainLink, host: Host, script: str, *arguments: object) -> PlainChannel:
    """Run one of the scripts above on a host, as root when it says so."""
    words = ["sh", "-c", script.strip(), "sh", *map(str, arguments)]
    prefix = "sudo -n -- " if host.sudo else "exec "
    return link.open(prefix + shlex.join(words))


def await_answer(channel: Channel, mark: str, patience: float = 0) -> tuple[list[str], bytes]:
    """Return the words of the line with the mark (one empty word: none came), and what follows it.

    It may take CONNECT_TIMEOUT and ``patience`` seconds.
    """
    text, deadline = b"", time.monotonic() + options.CONNECT_TIMEOUT + patience
    while time.monotonic() < deadline:
        data = channel.receive(LOOK)
        if data == b"":
            break
        text += data or b""
        _, found, line = text.partition(mark.encode())
        if found and b"\n" in line:
            line, _, rest = line.partition(b"\n")
            return line.decode(errors="replace").split(), rest
    return [""], b""
