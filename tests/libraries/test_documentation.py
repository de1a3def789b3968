"""docs/libraries.md promises what the tests and tox.ini say."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.library

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "libraries.md").read_text("utf-8")
ROW = re.compile(
    r"^\| (?P<library>[\w, -]+) \| (?P<oldest>\S+) \| (?P<newest>\S+) \| .* \| `(?P<test>\w+\.py)` \|$", re.M
)
ROWS = [match.groupdict() for match in ROW.finditer(PAGE)]
PACKAGES = [row for row in ROWS if row["oldest"] != "–"]


def requirements(operator: str) -> dict[str, str]:
    """The versions that tox.ini's environments for libraries name after ``operator``."""
    tox = configparser.RawConfigParser()
    tox.read(ROOT / "tox.ini", "utf-8")
    lines = tox["testenv:libraries{,-lowest}"]["deps"].splitlines()
    found = (re.search(rf"([\w-]+){operator}(\S+)$", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_every_file_has_a_row() -> None:
    """No test of a library is missing from the page, and no row names a test that does not exist."""
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {row["test"] for row in ROWS} == files


@pytest.mark.parametrize("row", PACKAGES, ids=lambda row: row["library"])
def test_oldest_version(row: dict[str, str]) -> None:
    """The oldest version of a row is the one that ``libraries-lowest`` installs and the bound of ``libraries``."""
    name = row["library"]
    assert requirements("==")[name] == row["oldest"]
    assert requirements(">=")[name] == row["oldest"]


@pytest.mark.parametrize("row", PACKAGES, ids=lambda row: row["library"])
def test_runs_on_a_supported_version(row: dict[str, str]) -> None:
    """What is installed here is no older than the page says."""
    installed, oldest = (
        [int(number) for number in re.findall(r"\d+", version)[:3]]
        for version in (importlib.metadata.version(row["library"]), row["oldest"])
    )
    assert installed >= oldest[: len(installed)]
