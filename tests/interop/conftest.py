"""The official clients, running; one endpoint for all; one report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from interop import install
from interop.cells import Body, make_bodies
from interop.ours import Ours
from interop.peers import OFFICIAL, Program
from interop.report import Report

from support import aws as support_aws
from support.double_encoding import double_encoding_endpoint

KEYS = Path(__file__).parents[1] / "vectors" / "java" / "keys.json"
BUCKET = "interop"
REPORT = pytest.StashKey[Report]()


def pytest_report_header() -> list[str]:
    """Says which languages take part."""
    return [f"interop: {line}" for line in install.toolchains()]


def pytest_configure(config: pytest.Config) -> None:
    """One report for the run."""
    config.stash[REPORT] = Report()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes which tests passed."""
    result = yield
    if result.when == "call" and result.passed:
        item.config.stash[REPORT].done.add(item.nodeid)
    return result


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Writes the page after a whole and green run with every client present, never after part of one."""
    report = session.config.stash[REPORT]
    chosen = session.config.option.keyword or session.config.option.markexpr
    partly = chosen or any(".py" in argument for argument in session.config.args)
    if exitstatus == 0 and not partly and report.tallies and len(report.done) == session.testscollected:
        report.write()


@pytest.fixture(scope="session")
def endpoint(_aws_environment: None) -> Iterator[str]:
    """URL of moto behind S3's coding of metadata."""
    with double_encoding_endpoint() as url:
        yield url


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Where findings go."""
    return pytestconfig.stash[REPORT]


@pytest.fixture(scope="session")
def keys(kms_key: str) -> dict[str, Any]:
    """The wrapping keys by the names that schemes use."""
    raw = json.loads(KEYS.read_text())
    return {
        "kms": {"kind": "kms", "arn": kms_key},
        "aes": raw["aes256"],
        "rsa": raw["rsa2048"],
        "aes128": raw["aes128"],
        "aes192": raw["aes192"],
        "rsa3072": raw["rsa3072"],
        "new-aes": raw["aes192"],
        "new-rsa": raw["rsa3072"],
    }


@pytest.fixture(scope="session")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Body]:
    """One plaintext a size."""
    return make_bodies(tmp_path_factory.mktemp("plaintexts"))


@pytest.fixture(scope="session")
def shared_bucket(endpoint: str) -> str:
    """One bucket for the whole matrix."""
    with contextlib.closing(boto3.client("s3", **support_aws.client_arguments(endpoint))) as client:
        client.create_bucket(Bucket=BUCKET)
    return BUCKET


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program | str]]:
    """Each program running, or the reason why it is absent."""
    commands, absent = install.install()
    home = str(tmp_path_factory.mktemp("home"))
    with contextlib.ExitStack() as stack:
        running: dict[str, Program | str] = dict(absent)
        for name, command in commands.items():
            running[name] = stack.enter_context(contextlib.closing(Program(command, home)))
        yield running


@pytest.fixture(scope="session")
def ours(endpoint: str) -> Iterator[Ours]:
    """s3ec behind the requests of the peers."""
    with contextlib.closing(Ours(support_aws.client_arguments(endpoint))) as ours:
        yield ours


@pytest.fixture
def present(programs: dict[str, Program | str]) -> Callable[[str], bool]:
    """Says whether a client can be asked on this machine."""
    return lambda client: client == "s3ec" or not isinstance(programs[OFFICIAL[client].program], str)


@pytest.fixture
def ask(programs: dict[str, Program | str], ours: Ours, endpoint: str, shared_bucket: str) -> Any:
    """Asks a client by name; a client whose language is not installed skips the test and says so."""

    def ask(client: str, **request: Any) -> dict[str, Any]:
        request = {"client": client, "endpoint": endpoint, "bucket": shared_bucket, **request}
        if client == "s3ec":
            return ours.ask(**request)
        program = programs[OFFICIAL[client].program]
        if isinstance(program, str):
            pytest.skip(f"{client}: {program}")
        return program.ask(**request)

    return ask
