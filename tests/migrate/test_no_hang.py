"""Whatever goes wrong, a run ends, says what is undone, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate import Event, Journal, MigrationContext, MigrationSettings, Result, Summary, run

from .conftest import Settings
from support.proxy import Answer, Proxy, Request, proxy

GENEROUS = 240.0  # seconds after which a run counts as hanging


def _put(s3: Any, bucket: str, count: int) -> None:
    for number in range(count):
        s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=b"x" * number)


def _ends(job: MigrationSettings, journal: Journal, **options: Any) -> Summary | BaseException:
    """What a run ends with; an assertion fails where it does not end."""
    ended: list[Summary | BaseException] = []

    def go() -> None:
        try:
            ended.append(run(job, journal, **options))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(GENEROUS)
    assert ended, "the run hangs"
    return ended[0]


@pytest.fixture
def lying(endpoint: str) -> Iterator[Proxy]:
    """A proxy before the S3 of the tests."""
    with proxy(endpoint) as made:
        yield made


def _through(lying: Proxy, job: MigrationSettings, **changes: Any) -> MigrationSettings:
    connection = replace(job.connection, endpoint_url=lying.url, max_attempts=1)
    return replace(job, connection=connection, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cut error", "no XML", "empty tagging", "empty acl"])
def test_an_answer_that_nobody_foresaw_ends_one_attempt(
    kind: str, settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, lying: Proxy
) -> None:
    """A cut error answer, a page of HTML, an answer without its content: the object is tried again, and is done."""
    for number in range(4):
        # Bytes and tags of which everything is asked that can be.
        plain_s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=os.urandom(100), Tagging="t=1")
    lied: list[Request] = []

    def lie(request: Request, ask: Callable[[], Answer]) -> Answer | None:
        answer = ask()
        of_tags, of_acl = request.is_for("GET", "k01?tagging"), request.is_for("GET", "k01?acl")
        if kind == "cut error" and answer.status == 404 and request.is_for("GET", "k01.instruction") and not lied:
            lied.append(request)
            answer.cut_at = 10
        elif kind == "no XML" and of_tags and not lied:
            lied.append(request)
            answer.body = b"<html>no, not today"
        elif kind == "empty tagging" and of_tags and not lied or kind == "empty acl" and of_acl and not lied:
            lied.append(request)
            answer.body = b""
        return answer

    lying.fault = lie
    job = _through(lying, settings())
    with Journal.open(tmp_path / "j", job) as journal:
        ended = _ends(job, journal, workers=2)
        assert lied
        assert isinstance(ended, Summary)
        assert ended.counts == {"done": 4}


def test_an_empty_listing_is_no_end(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, lying: Proxy
) -> None:
    """A 200 with nothing in it does not make a run that has done nothing end well."""
    _put(plain_s3, bucket, 2)

    def lie(request: Request, ask: Callable[[], Answer]) -> Answer | None:
        answer = ask()
        if "list-type=2" in request.path:
            answer.body = b""
        return answer

    lying.fault = lie
    job = _through(lying, settings())
    with Journal.open(tmp_path / "j", job) as journal:
        assert isinstance(_ends(job, journal, workers=2), MigrationError)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_an_unexpected_error_ends_its_task_alone(
    workers: int, settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no list of errors has: the task ends with its text, the others are done, and the run counts it as undone."""
    _put(plain_s3, bucket, 6)
    version_of = MigrationContext.version_of

    def stumble(self: MigrationContext, there: str, answer: dict[str, Any]) -> str | None:
        if threading.current_thread().name.startswith("s3ec-") and not stumbled:
            stumbled.append(there)
            raise KeyError("of all things")
        return version_of(self, there, answer)

    stumbled: list[str] = []
    monkeypatch.setattr(MigrationContext, "version_of", stumble)
    with Journal.open(tmp_path / "j", settings()) as journal:
        ended = _ends(settings(), journal, workers=workers)
        assert isinstance(ended, Summary)
        failed = [outcome for outcome in journal.outcomes() if outcome.result is Result.FAILED]
    # Its object had been written by then: the second pass finds it so.
    assert [ended.this_run["done"], ended.this_run["failed"]] == [5, 1]
    assert [outcome.error for outcome in failed] in ([], ["KeyError"])


@pytest.mark.slow
def test_a_listener_that_raises_ends_the_run_with_its_error(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """A callback's own fault comes out of `run`, whichever thread it was raised in, and no thread is left."""
    _put(plain_s3, bucket, 5)

    def broken(event: Event) -> None:
        if event.kind != "listed":
            raise ZeroDivisionError("not my day")

    with Journal.open(tmp_path / "j", settings()) as journal:
        assert isinstance(_ends(settings(), journal, workers=3, on_event=broken), ZeroDivisionError)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("s3ec-")]


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_a_larger_one_goes_on(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """SQLite says so only when an outcome is to be written: the run ends with the job's own error, nothing is lost."""
    _put(plain_s3, bucket, 40)
    with Journal.open(tmp_path / "j", settings()) as journal:
        ((pages,),) = journal._rows("PRAGMA page_count")

        def fill(event: Event) -> None:
            if event.kind == "listed":
                ((now,),) = journal._rows("PRAGMA page_count")
                journal._rows(f"PRAGMA max_page_count = {now + 1}")

        ended = _ends(settings(), journal, workers=3, on_event=fill)
        assert isinstance(ended, MigrationError), pages
        assert "full" in str(ended)
        assert not journal._database.in_transaction
    with Journal.open(tmp_path / "j", settings()) as journal:
        again = _ends(settings(), journal, workers=3)
        assert isinstance(again, Summary)
        assert again.undone == 0
        assert sum(again.counts.values()) == 40


@pytest.mark.slow
def test_a_damaged_page_is_an_error_of_the_job(settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any) -> None:
    """Wherever the damage shows, it is a `MigrationError` (exit code 11), never a traceback of SQLite's."""
    _put(plain_s3, bucket, 60)
    path = tmp_path / "j"
    stop = threading.Event()
    with Journal.open(path, settings()) as journal:
        _ends(settings(), journal, workers=2, stop=stop, on_event=lambda e: e.kind == "finished" and stop.set())
    content = bytearray(path.read_bytes())
    page = 4096
    found = 0
    for number in range(1, len(content) // page):
        damaged = bytearray(content)
        damaged[number * page : (number + 1) * page] = os.urandom(page)
        path.write_bytes(damaged)
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        try:
            with Journal.open(path, settings()) as journal:
                journal.begin()
                list(journal.outcomes())
                list(journal.ledger())
                journal.claim(100)
                journal.account()
        except MigrationError as error:
            found += "cannot use" in str(error)
    assert found >= 3


_PARENT = """
import multiprocessing, os, sys
from s3ec.migrate import Journal, MigrationSettings, run

def main():
    settings = MigrationSettings.from_json(sys.argv[1])
    def tell(event):
        if event.kind == "finished":
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    with Journal.open(sys.argv[2], settings) as journal:
        run(settings, journal, workers=2, processes=2, on_event=tell)

if __name__ == "__main__":
    main()
"""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended, and that nobody has waited for, is not alive.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_children_end_with_their_parent(settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any) -> None:
    """A parent that is killed in the middle of the work leaves no process behind."""
    _put(plain_s3, bucket, 60)
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    places = [*filter(None, [os.environ.get("PYTHONPATH")]), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, str(script), settings().to_json(), str(tmp_path / "j")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert children
    deadline = time.monotonic() + GENEROUS
    while any(_lives(pid) for pid in children):
        assert time.monotonic() < deadline, "children go on without their parent"
        time.sleep(0.1)
    with Journal.open(tmp_path / "j", settings()) as journal:
        rest = _ends(settings(), journal, workers=4)
        assert isinstance(rest, Summary)
        assert rest.undone == 0


@pytest.mark.slow
def test_a_listener_that_raises_ends_the_processes_too(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """Children that nobody listens to any more stop, and the error comes out."""
    _put(plain_s3, bucket, 10)

    def broken(event: Event) -> None:
        if event.kind == "finished":
            raise ZeroDivisionError("not my day")

    with Journal.open(tmp_path / "j", settings()) as journal:
        ended = _ends(settings(), journal, workers=2, processes=2, on_event=broken)
    assert isinstance(ended, ZeroDivisionError)
