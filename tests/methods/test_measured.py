"""The runner line by line: tests of the local method once more, with its modules run from their files.

What is sent to hosts is one text without names of files, which coverage cannot measure; here it can.
"""

import os
import shlex
import sys
from pathlib import Path

import coverage
import pytest

from orchestration.methods import bundle
from orchestration.methods.local import Local
from tests.services.sshd import descendants

from .test_local import *  # noqa: F403  the same tests, with the fixture below
from .units import wait_until

ROOT = Path(__file__).parent.parent.parent
MEASURED = coverage.Coverage.current()
MODULE = "orchestration.methods.agent.loop"


def measured_command(nonce, *, sudo=False):
    """Return the shell command of a runner that writes down which of its lines it ran."""
    measure = ["coverage", "run", "--parallel-mode", f"--rcfile={ROOT / 'pyproject.toml'}"]
    data = f"--data-file={Path(MEASURED.config.data_file).absolute()}"
    command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", *measure, data, "-m", MODULE, nonce]
    return "exec " + shlex.join(command)


@pytest.fixture(scope="module")
def local():
    """The method, with runners that are measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "command", measured_command)
        yield (method := Local())
        method.pool.close_idle(seconds=-1)
        wait_until(lambda: not _runners())


def _runners():
    """Return the processes that still have to write their measurements."""
    commands = (Path(f"/proc/{pid}/cmdline") for pid in descendants(os.getpid()))
    return [path for path in commands if path.exists() and MODULE.encode() in path.read_bytes()]


#: Measuring takes memory.
del test_a_hundred_mebibytes_of_stdout_take_little_memory  # noqa: F821
