"""What all engines have in common, with a pool whose workers can be lost at will."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import MigrationError
from s3ec.migrate import Journal, KeyringSpec, run
from s3ec.migrate.engines import Driver
from s3ec.migrate.engines.driver import run_task

from support.aws import keep_versions


class HerePool:
    """Runs each task in this thread, except for those whose worker is to die."""

    def __init__(self, lose: Iterable[int] = ()) -> None:
        self.numbers = itertools.count()
        self.lose = set(lose)
        self.answers: dict[int, str | None] = {}
        self.most_out = 0

    def submit(self, task: str, settings: str) -> int:
        """Run it, or lose it; every other lost task is committed before its worker dies."""
        number = next(self.numbers)
        answer = run_task(task, settings) if number not in self.lose or number % 2 else ""
        self.answers[number] = None if number in self.lose else answer
        self.most_out = max(self.most_out, len(self.answers))
        return number

    def finished(self, handles: Iterable[int], timeout: float) -> list[tuple[int, str | None]]:
        """One at a time."""
        first = next(iter(handles), None)
        return [] if first is None else [(first, self.answers.pop(first))]

    def forget(self, handles: Iterable[int]) -> None:
        """Nothing to let go of."""


@pytest.fixture
def filled(bucket: str, plain_s3: Any) -> str:
    """Twenty plaintext objects in a bucket that keeps versions."""
    keep_versions(plain_s3, bucket)
    for number in range(20):
        plain_s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=b"content")
    return bucket


@pytest.mark.slow
def test_tasks_of_lost_workers_go_round_again(filled: str, settings: Any, plain_s3: Any, tmp_path: Path):
    """Whether the worker died before or after its write, the object ends encrypted once."""
    pool = HerePool(lose=(2, 5, 9))
    job = settings()
    with Journal.open(tmp_path / "journal", job) as journal:
        summary = run(job, journal, engine=Driver(pool, window=4))
    assert (summary.undone, sum(summary.counts.values())) == (0, 20)
    assert summary.counts["already"] >= 1
    pages = plain_s3.list_object_versions(Bucket=filled)["Versions"]
    assert len(pages) == 40
    assert pool.most_out <= 4


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_given_up(filled: str, settings: Any, tmp_path: Path):
    """Attempts are bounded; what is given up counts as left undone."""
    job = settings(max_attempts=1)
    with Journal.open(tmp_path / "journal", job) as journal:
        summary = run(job, journal, engine=Driver(HerePool(lose=(0,))))
        undone = [outcome for outcome in journal.outcomes() if outcome.leaves_undone]
    assert summary.undone == 1
    assert [outcome.error for outcome in undone] == ["WorkerLost"]


@pytest.mark.slow
def test_what_stops_the_job_comes_back_as_text(filled: str, settings: Any, tmp_path: Path):
    """A worker without its key file ends the run; nothing stays leased."""
    job = settings()
    broken = settings(keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "absent"))).to_json()

    class Broken(HerePool):
        def submit(self, task: str, settings: str) -> int:
            return super().submit(task, broken)

    with Journal.open(tmp_path / "journal", job) as journal:
        with pytest.raises(MigrationError, match="ConfigurationError: cannot read the key file"):
            run(job, journal, engine=Driver(Broken()))
        assert journal.counts() == {"open": 20}


@pytest.mark.slow
def test_a_stop_waits_for_what_is_out(filled: str, settings: Any, tmp_path: Path):
    """What is out when the stop comes is written down, the rest stays open."""
    stop = threading.Event()
    job = settings()
    with Journal.open(tmp_path / "journal", job) as journal:
        summary = run(
            job,
            journal,
            engine=Driver(HerePool(), window=3),
            stop=stop,
            on_event=lambda event: stop.set() if event.kind == "finished" else None,
        )
    assert summary.interrupted
    assert summary.counts == {"done": 3, "open": 17}
