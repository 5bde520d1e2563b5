"""Programs that tests need: without one they skip on a laptop, and fail in CI."""

import os
import shutil

import pytest

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def require(name, package=None):
    """Return the path of a program; ``package`` is Debian's, where its name is another one."""
    path = shutil.which(name, path=PATH)
    if path is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report(f"{name} is not installed: apt-get install {package or name}")
    return path
