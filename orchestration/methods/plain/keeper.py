"""The keeper of a unit's texts at the far end: receives them whole, kills jobs, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence

from orchestration.exceptions import CannotStart, ConnectionFailed, ConnectionLost, ServerFull
from orchestration.scripts import Host

from .shell import KEEP, PlainChannel, PlainLink, await_answer, execute

#: Bytes in a second that the slowest of links carries.
SLOWEST = 100_000


class Keeper:
    """A command that lives as long as its unit. Raises ConnectionFailed when it cannot begin."""

    def __init__(self, link: PlainLink, host: Host) -> None:
        self.link, self.host = link, host
        self.mark, self.folder = secrets.token_hex(16), ""
        self._channel: PlainChannel | None = None

    def receive(self, texts: Sequence[bytes]) -> None:
        """Send all texts, which are then numbered from 1 in ``folder``; otherwise nothing can run."""
        total = sum(map(len, texts))
        self._channel = execute(self.link, self.host, KEEP, self.mark, total, *map(len, texts))
        try:
            self._channel.send(b"".join(texts))
        except ConnectionLost as error:
            raise ConnectionFailed(str(error)) from error
        (word, *rest), _ = await_answer(self._channel, self.mark, patience=total / SLOWEST)
        if word != "ready":
            raise self._refusal(self._channel, word)
        self.folder = rest[0]

    def _refusal(self, channel: PlainChannel, word: str) -> Exception:
        name = self.host.name
        if word == "full":
            return ServerFull(
                f"{name} has no space for the script in its temporary folder, or no such folder."
            )
        status, said = channel.exit_status(), channel.stderr_text().strip()[-500:]
        if status is None:
            return ConnectionFailed(f"The link to {name} was cut while the script was sent: nothing ran.")
        return CannotStart(f"The login shell of {name} runs no commands (exit status {status}): {said}")

    def kill(self, group: str) -> None:
        """Kill a process group: first gently, two seconds later for good."""
        with contextlib.suppress(ConnectionLost):
            if self._channel:
                self._channel.send(f"{group}\n".encode())

    def close(self) -> None:
        """Let it remove the texts and end, after what it has to kill."""
        if self._channel:
            self._channel.close()
