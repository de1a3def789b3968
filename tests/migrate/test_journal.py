"""The journal: what it remembers, whom it believes, and whom it refuses."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate import Action, KeyringSpec, Location, MigrationSettings, Outcome, Result, SkipReason, Task
from s3ec.migrate.journal.journal import Journal, default_path
from s3ec.migrate.work.macs import etag_mac

KMS = KeyringSpec(kind="kms", key_id="alias/payroll")
SETTINGS = MigrationSettings(action=Action.MIGRATE, source=Location(bucket="b"), keyring=KMS)


def _tasks(count: int, etag: str = '"1"') -> list[Task]:
    return [Task(bucket="b", key=f"k{number}", etag=etag, size=number) for number in range(count)]


def _done(task: Task, etag_out: str = '"2"') -> Outcome:
    return Outcome(task=task, result=Result.DONE, etag_in=task.etag, etag_out=etag_out)


def test_an_object_is_leased_once_and_done_once(tmp_path: Path) -> None:
    """What one run has claimed another run on the same file is not given; what is done is given to nobody."""
    path = tmp_path / "j"
    with Journal.open(path, SETTINGS) as first, Journal.open(path, SETTINGS) as second:
        assert first.record_listing(_tasks(10)) == 10
        mine, theirs = first.claim(6), second.claim(6)
        assert len(mine) == 6
        assert len(theirs) == 4
        assert not {number for number, _ in mine} & {number for number, _ in theirs}
        for number, task in [*mine, *theirs]:
            first.finish(number, _done(task))
        assert first.claim(1) == second.claim(1) == []
        assert first.counts() == {"done": 10}
        assert first.is_idle()


def test_closing_gives_leases_back(tmp_path: Path) -> None:
    """A run that ends leaves its unfinished objects open for the next."""
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(3))
        journal.claim(2)
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        assert journal.counts() == {"open": 3}


CLAIM_AND_DIE = """
import os, signal, sys
from s3ec.migrate import MigrationSettings
from s3ec.migrate.journal.journal import Journal

Journal.open(sys.argv[1], MigrationSettings.from_json(sys.argv[2])).claim(5)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_leases_of_a_killed_process_end_at_once(tmp_path: Path) -> None:
    """After a kill the next run on the same machine does not wait for a lease to run out."""
    path = tmp_path / "j"
    with Journal.open(path, SETTINGS) as journal:
        journal.record_listing(_tasks(5))
        process = subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, str(path), SETTINGS.to_json()], check=False)
        assert process.returncode == -signal.SIGKILL
        assert journal.counts() == {"leased": 5}
        assert len(journal.claim(5)) == 5


def test_leases_of_a_silent_host_end_after_a_while(tmp_path: Path) -> None:
    """A run on another machine loses its leases when its heartbeat is old, and not before."""
    path = tmp_path / "j"
    with Journal.open(path, SETTINGS) as journal, Journal.open(path, SETTINGS) as remote:
        journal.record_listing(_tasks(2))
        remote.claim(2)
        remote._stop.set()  # its heart stops
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE runs SET host = 'elsewhere' WHERE id = ?", (remote.run_id,))
        assert journal.claim(2) == []
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE runs SET heartbeat = heartbeat - 1000 WHERE id = ?", (remote.run_id,))
        assert len(journal.claim(2)) == 2


@pytest.mark.parametrize(
    "other",
    [
        MigrationSettings(action=Action.UPGRADE, source=Location(bucket="b"), keyring=KMS),
        MigrationSettings(action=Action.MIGRATE, source=Location(bucket="b", prefix="p"), keyring=KMS),
        MigrationSettings(
            action=Action.MIGRATE, source=Location(bucket="b"), keyring=KMS, encryption_context={"team": "hr"}
        ),
    ],
)
def test_a_journal_of_another_plan_is_refused(tmp_path: Path, other: MigrationSettings) -> None:
    """Books of one plan are never continued with another; a change of mere speed does not make another plan."""
    with Journal.open(tmp_path / "j", SETTINGS):
        pass
    with pytest.raises(MigrationError, match="journal of another plan"):
        Journal.open(tmp_path / "j", other)
    faster = MigrationSettings(action=Action.MIGRATE, source=Location(bucket="b"), keyring=KMS, max_attempts=9)
    Journal.open(tmp_path / "j", faster).close()


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A file of something else is not overwritten."""
    path = tmp_path / "j"
    path.write_text("precious" * 1000)
    with pytest.raises(MigrationError, match="cannot use"):
        Journal.open(path, SETTINGS)
    assert path.read_text().startswith("precious")


def test_a_listing_opens_again_what_was_written_since(tmp_path: Path) -> None:
    """What S3 shows as we left it stays done; any other ETag, the old one included, means that somebody wrote."""
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(3))
        for number, task in journal.claim(3):
            journal.finish(number, _done(task))
        now = [
            Task(bucket="b", key="k0", etag='"2"'),
            Task(bucket="b", key="k1", etag='"1"'),
            Task(bucket="b", key="k2", etag='"3"'),
        ]
        assert journal.record_listing(now) == 2
        assert sorted(task.key for _, task in journal.claim(9)) == ["k1", "k2"]


def test_a_copied_object_is_compared_with_what_was_read(tmp_path: Path) -> None:
    """With another destination the source keeps its ETag, and that is what a later listing must show."""
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(1))
        ((number, task),) = journal.claim(1)
        journal.finish(
            number,
            Outcome(
                task=task,
                result=Result.DONE,
                etag_in=task.etag,
                etag_out='"2"',
                destination_bucket="other",
                destination_key="k0",
            ),  # fmt: skip
        )
        assert journal.record_listing(_tasks(1)) == 0
        assert journal.record_listing(_tasks(1, etag='"9"')) == 1


def test_a_changed_object_comes_round_again(tmp_path: Path) -> None:
    """An outcome that is not final opens the object under its new ETag, not before its time."""
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(1))
        ((number, task),) = journal.claim(1)
        again = Task(bucket="b", key="k0", etag='"5"', attempt=1)
        journal.finish(number, Outcome(task=task, result=Result.CHANGED), again=again, delay=60)
        assert journal.claim(1) == []
        assert not journal.is_idle()
        journal.record_listing([Task(bucket="b", key="k0", etag='"6"')])
        # By its MAC: the ETag of plaintext is a digest of it.
        assert [task.etag for _, task in journal.claim(1)] == [etag_mac(journal.mac_key, again, '"6"')]
        assert [outcome.result for _, outcome in journal.ledger()] == [Result.CHANGED]


def test_what_was_left_undone_is_tried_by_the_next_run(tmp_path: Path) -> None:
    """Failures and objects that could not be carried over are opened again; what nobody wanted done is not."""
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(4))
        ends = [
            {"result": Result.FAILED},
            {"result": Result.SKIPPED, "reason": SkipReason.ARCHIVED},
            {"result": Result.SKIPPED, "reason": SkipReason.OLD_FORMAT},
            {"result": Result.ALREADY},
        ]
        for (number, task), end in zip(journal.claim(4), ends, strict=True):
            journal.finish(number, Outcome(task=task, **end))
        assert [outcome.leaves_undone for outcome in journal.outcomes()] == [True, True, False, False]
        assert journal.reopen_undone() == 2
        assert journal.counts() == {"open": 2, "skipped": 1, "already": 1}


def test_already_keeps_the_evidence_of_the_run_that_did_it(tmp_path: Path) -> None:
    """A second look that finds the work done does not wipe out checksum and versions of the first."""
    path = tmp_path / "j"
    with Journal.open(path, SETTINGS) as journal:
        journal.record_listing(_tasks(1))
        ((number, task),) = journal.claim(1)
        journal.finish(number, Outcome(task=task, result=Result.DONE, etag_out='"2"', plaintext_mac="ab" * 32))
        journal.finish(number, Outcome(task=task, result=Result.ALREADY, etag_in='"2"'))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        row = database.execute("SELECT result, plaintext_mac, etag_out FROM objects").fetchone()
    assert row == ("done", "ab" * 32, '"2"')


def test_threads_share_one_journal(tmp_path: Path) -> None:
    """Claims and outcomes from many threads neither clash nor double."""
    seen: list[str] = []
    with Journal.open(tmp_path / "j", SETTINGS) as journal:
        journal.record_listing(_tasks(400))

        def work() -> None:
            while claimed := journal.claim(7):
                for number, task in claimed:
                    seen.append(task.key)
                    journal.finish(number, _done(task))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == len(set(seen)) == 400
        assert journal.counts() == {"done": 400}


def test_the_default_place_depends_on_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plans never meet in one default file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    other = MigrationSettings(action=Action.MIGRATE, source=Location(bucket="b", prefix="p"), keyring=KMS)
    assert default_path(SETTINGS) != default_path(other)
    assert default_path(SETTINGS).is_relative_to(tmp_path)


@pytest.mark.slow
def test_many_make_one_file_at_once(tmp_path: Path) -> None:
    """Runs that are started together wait for the one that makes the file."""

    def use(path: Path, ready: threading.Barrier) -> None:
        ready.wait(60)
        with Journal.open(path, SETTINGS):
            pass

    for number in range(25):
        ready = threading.Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(use, tmp_path / str(number), ready) for _ in range(8)]:
                done.result()
