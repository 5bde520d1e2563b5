"""How Sphinx builds the documentation: ``make docs``."""

import tomllib
from pathlib import Path

with Path(__file__).parent.parent.joinpath("pyproject.toml").open("rb") as file:
    _package = tomllib.load(file)["project"]

project = _package["name"]
version = release = _package["version"]
copyright = "the authors of django-orchestration"

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"
exclude_patterns = ["_build"]
