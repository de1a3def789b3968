"""What is installed to build and test s3ec is fixed by its hash, and what CI runs by its commit."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / ".ci" / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = {"runtime": ["cli"], "test": ["test"], "dev": ["dev"]}


def entries(lock: str) -> list[str]:
    """The requirements of a lock, each with its hashes, without comments."""
    lines = (LOCKS / f"{lock}.txt").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ").splitlines()


def locked(lock: str) -> dict[str, set[str]]:
    """The versions of each package; there may be one for each Python."""
    found: dict[str, set[str]] = {}
    for entry in entries(lock):
        name, version = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", entry).groups()  # type: ignore[union-attr]
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def asked_for(extras: list[str]) -> list[Requirement]:
    """What the project asks for, its own extras followed."""
    texts = list(PROJECT["project"]["dependencies"])
    waiting = list(extras)
    while waiting:
        for text in PROJECT["project"]["optional-dependencies"][waiting.pop()]:
            requirement = Requirement(text)
            if requirement.name == "s3ec":
                waiting += requirement.extras
            else:
                texts.append(text)
    return [Requirement(text) for text in texts]


def all_locks() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in LOCKS.glob("*.txt"))


@pytest.mark.parametrize("lock", all_locks())
def test_every_locked_package_has_hashes(lock: str) -> None:
    """A package without a hash could be replaced on its way."""
    assert len(entries(lock)) > 5
    for entry in entries(lock):
        assert re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("lock", all_locks())
def test_locks_follow_what_the_project_asks_for(lock: str) -> None:
    """Every requirement is in the lock, at a version that it allows; `tox -e locks` mends it."""
    source = LOCKS / f"{lock}.in"
    wanted = [Requirement(line) for line in source.read_text("utf-8").split()] if source.exists() else []
    wanted += asked_for(EXTRAS[lock]) if lock in EXTRAS else []
    assert wanted
    have = locked(lock)
    for requirement in wanted:
        versions = have.get(canonicalize_name(requirement.name), set())
        assert versions, requirement
        assert all(requirement.specifier.contains(version) for version in versions), (requirement, versions)


def test_ci_installs_by_hash_and_runs_by_commit() -> None:
    """A tag of somebody's action can be moved; a commit cannot."""
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    uses = [line.strip() for path in workflows for line in path.read_text("utf-8").splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40}  # v[\d.]+", line), line
    installs = [line for line in (ROOT / ".ci" / "run").read_text("utf-8").splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


@pytest.fixture
def audit() -> ModuleType:
    """The script of `tox -e audit`."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(**more: Any) -> dict[str, Any]:
    """A package as pip-audit reports it."""
    return {"name": "some", "version": "1", **more}


CLEAN = package(vulns=[])
HOLE = package(vulns=[{"id": "PYSEC-1", "fix_versions": ["2"]}])
SKIPPED = {"name": "some", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"dependencies": [CLEAN]}, 0, "no known vulnerability"),
        ({"dependencies": [CLEAN, HOLE, SKIPPED]}, 1, "PYSEC-1, fixed in 2"),
        ({"dependencies": [CLEAN, SKIPPED]}, 3, "NOT AUDITED"),
        ({"dependencies": []}, 3, "NOT AUDITED"),
        (None, 3, "NOT AUDITED"),
    ],
)
def test_an_audit_that_did_not_happen_does_not_pass(
    audit: Any, capsys: pytest.CaptureFixture[str], answer: Any, code: int, said: str
) -> None:
    """pip-audit itself exits with 0 when nobody knew the packages."""
    assert audit.judge("test", answer) == code
    assert said in capsys.readouterr().out


def test_no_extra_raises_a_floor_of_boto3() -> None:
    """aiobotocore and aioboto3 each fix a botocore of their own: who wants them may need an old one."""
    project = PROJECT["project"]
    assert "boto3>=1.36.0" in project["dependencies"]
    asked = {
        name: {text for text in texts if "boto" in text} for name, texts in project["optional-dependencies"].items()
    }
    assert asked.pop("aio") == {"aiobotocore>=2.22"}
    assert all(text.startswith("types-boto3") for texts in asked.values() for text in texts)
