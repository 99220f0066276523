"""CHANGELOG.md follows Keep a Changelog, and the version is the same everywhere."""

import re
import tomllib

from conftest import ROOT
from ruamel.yaml import YAML

from pipeline.cli import VERSION

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_form() -> None:
    """Unreleased changes come first; each release has its date, and each change its kind."""
    versions = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    for release in re.split(r"^## .*\n", TEXT, flags=re.MULTILINE)[1:]:
        before, *parts = re.split(r"^### (.*)\n", release, flags=re.MULTILINE)
        assert not before.strip()
        assert {*parts[::2]} <= KINDS


def test_version() -> None:
    """The versions of the package, of `pipeline --version` and of the citation file are equal."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    cited = YAML(typ="safe").load(ROOT / "CITATION.cff")["version"]
    assert project["project"]["version"] == project["tool"]["bumpversion"]["current_version"] == VERSION == str(cited)
