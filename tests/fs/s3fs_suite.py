"""s3fs' own suite on our file system, and on s3fs' own beside it: ``python tests/fs/s3fs_suite.py FOLDER [OPTION …]``.

Its modules come from s3fs' source distribution, of the version that is installed: wheels do not have them.
``--fetch FOLDER`` puts them into a folder. They are run as they are: what they find under s3fs' names is our file
system (`s3fs_suite_plugin.py`). Every test has to pass, except for those that are named below, which must not pass, and
those that s3fs' own file system fails here as well. fsspec's suite, which s3fs runs too, is in `test_abstract.py`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from xml.etree import ElementTree

CANNOT_PASS: dict[str, str] = {}
"""Tests by name, and why; one that passes, is gone, or fails with s3fs' own file system as well, fails the run."""

FOLDER = Path(__file__).resolve().parent
TREE = FOLDER.parents[1]
REPORT = TREE / "reports" / "fs-s3fs-suite.xml"


def fetch(folder: Path, version: str) -> int:
    """Put s3fs' source, with its tests, into a folder; say aloud where that is not possible."""
    if (folder / f"s3fs-{version}").is_dir():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "s3fs"]
        ended = subprocess.run([*command, "--dest", name, f"s3fs=={version}"], check=False)
        found = list(Path(name).glob("*.tar.gz"))
        if ended.returncode or not found:
            print(f"the source of s3fs {version} cannot be fetched here", file=sys.stderr)
            return 1
        made = Path(name, "source")
        with tarfile.open(found[0]) as archive:
            for member in archive.getmembers():
                place = Path(member.name)
                if member.isfile() and place.parts[1:2] == ("s3fs",) and ".." not in place.parts:
                    target = made.joinpath(*place.parts[1:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file = archive.extractfile(member)
                    assert file is not None
                    target.write_bytes(file.read())
        made.rename(folder / f"s3fs-{version}")
    return 0


class Runs:
    """Runs of the suite, or of some of its tests."""

    def __init__(self, source: Path, folder: Path, options: list[str]) -> None:
        """Take where it is, a folder for what it leaves behind, and options of pytest's."""
        self._source = source
        self._options = options
        self._folder = folder
        (folder / "wrapping.key").write_bytes(secrets.token_bytes(32))

    def run(self, whose: str, report: Path, tests: Collection[str] = ()) -> dict[str, str]:
        """Run it; return what became of each test, by its name: ``passed``, ``failed``, or ``skipped``.

        Args:
            whose: file system it is, ``ours`` or ``plain``.
            report: where pytest's own goes.
            tests: those to run; all by default.
        """
        environment = {
            **os.environ,
            "S3FS_SUITE": whose,
            "S3EC_AES_KEY_FILE": str(self._folder / "wrapping.key"),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # s3fs from the same source as its tests, which import each other from it.
            "PYTHONPATH": os.pathsep.join([str(self._source), str(FOLDER), str(FOLDER.parent), *_ours()]),
        }
        # Settings of its own: none of ours, by which a warning would be an error.
        own = ["-c", os.devnull, "--rootdir", str(self._source), "--import-mode=importlib", "-p", "no:cacheprovider"]
        own += ["-p", "s3fs_suite_plugin", "--show-capture=no", f"--junitxml={report}"]
        folder = self._source / "s3fs" / "tests"
        named = [str(folder / test) for test in sorted(tests)] or [str(folder), f"--ignore={folder / 'derived'}"]
        command = [sys.executable, "-m", "pytest", *own, *self._options, *named]
        code = subprocess.run(command, cwd=self._folder, env=environment, check=False).returncode
        if code not in (0, 1):
            raise SystemExit(f"s3fs' suite did not run: pytest ended with {code}")
        return {name: outcome for name, outcome, _ in cases(ElementTree.parse(report))}  # noqa: S314 - pytest's


def _ours() -> list[str]:
    """Where s3ec is: nowhere else if it is installed."""
    return [] if importlib.util.find_spec("s3ec") else [str(TREE)]


def cases(report: ElementTree.ElementTree) -> Iterator[tuple[str, str, ElementTree.Element]]:
    """The tests of a report, as pytest is told them: name, outcome, element."""
    for case in report.iter("testcase"):
        module = str(case.get("classname")).rpartition(".")[2]
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        yield f"{module}.py::{case.get('name')}", outcome, case


def explain(report: Path, reasons: dict[str, str]) -> None:
    """Turn failures that have a reason into expected ones, in a report of pytest's."""
    tree = ElementTree.parse(report)  # noqa: S314 - pytest has just written it
    suite = next(tree.iter("testsuite"))
    for name, outcome, case in cases(tree):
        if outcome == "failed" and name in reasons:
            for child in [child for child in case if child.tag in ("failure", "error")]:
                case.remove(child)
                kind = "failures" if child.tag == "failure" else "errors"
                suite.set(kind, str(int(suite.get(kind, "0")) - 1))
            ElementTree.SubElement(case, "skipped", type="pytest.xfail", message=reasons[name])
            suite.set("skipped", str(int(suite.get("skipped", "0")) + 1))
    tree.write(report, encoding="utf-8", xml_declaration=True)


def without_parameters(name: str) -> str:
    """The name of a test function."""
    return name.partition("::")[2].partition("[")[0]


def compare(runs: Runs, folder: Path) -> list[str]:
    """Run all of it on ours, and what fails there, or cannot pass, on both; return what is wrong."""
    ours = runs.run("ours", REPORT)
    failed = {name for name, outcome in ours.items() if outcome == "failed"}
    named = {name for name in ours if without_parameters(name) in CANNOT_PASS}
    wrong = [
        f"{name} is in no test's name any more" for name in CANNOT_PASS.keys() - set(map(without_parameters, named))
    ]
    wrong += [f"{name} passes, and is named as what cannot" for name in sorted(named - failed)]
    if not failed | named:
        return wrong
    plain = runs.run("plain", folder / "plain.xml", failed | named)
    reasons = {
        name: CANNOT_PASS.get(without_parameters(name), "s3fs' own file system fails it here, too") for name in failed
    }
    for name in sorted(failed):
        if plain[name] == "failed":
            if name in named:
                wrong.append(f"{name} fails with s3fs' own file system, too, and needs no reason")
        elif name not in named:
            del reasons[name]
    # Some of them wait for a tenth of a second, which a busy machine has not; what is wrong is wrong twice.
    doubtful = failed - reasons.keys()
    again = runs.run("ours", folder / "again.xml", doubtful) if doubtful else {}
    for name, outcome in again.items():
        if outcome == "failed":
            wrong.append(f"{name} fails, and passes with s3fs' own file system")
        else:
            reasons[name] = "passed when it was run again"
    explain(REPORT, reasons)
    for name, reason in sorted(reasons.items()):
        print(f"{name}: {reason}")
    return wrong


def main(arguments: list[str]) -> int:
    """Fetch the suite, or run it."""
    version = importlib.metadata.version("s3fs")
    if arguments[0] == "--fetch":
        return fetch(Path(arguments[1]), version)
    source = Path(arguments[0]).resolve() / f"s3fs-{version}"
    if not source.is_dir():
        print(f"S3FS' OWN SUITE IS NOT RUN: THE SOURCE OF S3FS {version} COULD NOT BE FETCHED")
        return 0
    REPORT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = compare(Runs(source, Path(folder), arguments[1:]), Path(folder))
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
