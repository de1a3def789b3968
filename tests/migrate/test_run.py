"""Whole runs: everything is done once, whoever writes meanwhile, however often it is stopped."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from s3ec.cli.failures import describe
from s3ec.errors import (
    ConfigurationError,
    EncryptionContextMismatchError,
    KeyringError,
    MigrationError,
    NotEncryptedError,
)
from s3ec.migrate import Event, Journal, KeyringSpec, Location, MigrationContext, Summary, plan, run
from s3ec.migrate.jobs.processes import _portable

from .conftest import Settings
from support.aws import date_uploads


def _fill(plain_s3: Any, bucket: str, count: int) -> dict[str, bytes]:
    bodies = {f"dir{number % 7}/k{number}": bytes([number % 256]) * (number % 50) for number in range(count)}
    for key, body in bodies.items():
        plain_s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"number": str(len(body))})
    return bodies


def _check(make_client: Callable[..., Any], bucket: str, bodies: dict[str, bytes]) -> None:
    from s3ec import STORED_CONTEXT

    client = make_client()
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert sorted(keys) == sorted(bodies)
    for key, body in bodies.items():
        answer = client.get_object(Bucket=bucket, Key=key, EncryptionContext=STORED_CONTEXT)
        assert answer["Body"].read() == body


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_does_everything_once(
    processes: int,
    settings: Settings,
    tmp_path: Path,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """Every object is encrypted by exactly one data key, and a second run finds nothing to do."""
    bodies = _fill(plain_s3, bucket, 24)
    events: list[Event] = []
    with Journal.open(tmp_path / "j", settings()) as journal:
        summary = run(settings(), journal, workers=4, processes=processes, on_event=events.append)
    assert summary.counts == {"done": 24}
    assert summary.kms_calls == 24
    assert summary.undone == 0
    assert sum(event.kind == "finished" for event in events) == 24
    assert events[0].kind == "listed"
    assert Event.from_json(events[5].to_json()) == events[5]
    _check(make_client, bucket, bodies)
    with Journal.open(tmp_path / "other", settings()) as journal:
        again = run(settings(), journal, workers=4)
    assert (again.counts, again.kms_calls) == ({"already": 24}, 0)
    assert Summary.from_json(again.to_json()) == again


@pytest.mark.slow
def test_a_destination_inside_the_source_is_not_moved_into_itself(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """However often the live list is gone through, and in a second run, nothing lands in `encrypted/encrypted/`."""
    for key in ("a", "b/c"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    job = settings(destination=Location(bucket=bucket, prefix="encrypted/"))
    for name in ("first", "second"):
        with Journal.open(tmp_path / name, job) as journal:
            assert run(job, journal, workers=2).undone == 0
            assert sorted(outcome.task.key for outcome in journal.outcomes()) == ["a", "b/c"]
    assert plan(job).objects == 2
    keys = [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["a", "b/c", "encrypted/a", "encrypted/b/c"]


@pytest.mark.slow
def test_what_is_written_meanwhile_is_done_too(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """New and changed plaintext that appears during a run is found by its next pass; the writer's content stands."""
    bodies = _fill(plain_s3, bucket, 20)
    written = threading.Event()

    def write(event: Event) -> None:
        if event.kind == "finished" and not written.is_set():
            written.set()
            for key in ["dir0/k0", "dir1/k1", "new"]:
                bodies[key] = b"written meanwhile"
                plain_s3.put_object(Bucket=bucket, Key=key, Body=bodies[key])

    with Journal.open(tmp_path / "j", settings()) as journal:
        summary = run(settings(), journal, workers=1, on_event=write)
    assert summary.undone == 0
    _check(make_client, bucket, bodies)


@pytest.mark.slow
def test_readers_that_allow_plaintext_work_all_the_while(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Whatever is encrypted at the moment, they see the same content; strict readers are refused what is not yet."""
    bodies = _fill(plain_s3, bucket, 8)
    allowing, strict = make_client(unencrypted_objects="allow"), make_client()
    refused: list[int] = []

    def read(event: Event) -> None:
        if event.kind not in ("listed", "finished"):
            return
        refused.append(0)
        for key, body in bodies.items():
            assert allowing.get_object(Bucket=bucket, Key=key)["Body"].read() == body
            try:
                assert strict.get_object(Bucket=bucket, Key=key)["Body"].read() == body
            except NotEncryptedError:
                refused[-1] += 1

    with Journal.open(tmp_path / "j", settings()) as journal:
        assert run(settings(), journal, workers=1, on_event=read).counts == {"done": 8}
    # One listing before, one after each object, and one that finds nothing more to do.
    assert refused == [8, 7, 6, 5, 4, 3, 2, 1, 0, 0]


@pytest.mark.slow
def test_a_busy_writer_does_not_keep_a_run_going(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """What is written again after every pass is given up in the end, counts as not done, and stands as it was left."""
    _fill(plain_s3, bucket, 3)
    written = 0

    def write(event: Event) -> None:
        nonlocal written
        if event.kind == "finished" and event.outcome and event.outcome.task.key == "dir0/k0":
            written += 1
            plain_s3.put_object(Bucket=bucket, Key="dir0/k0", Body=b"%d" % written)

    with Journal.open(tmp_path / "j", settings()) as journal:
        summary = run(settings(), journal, workers=1, on_event=write, max_passes=2)
    assert written == 2
    assert summary.counts == {"done": 2, "open": 1}
    assert summary.undone == 1
    assert plain_s3.get_object(Bucket=bucket, Key="dir0/k0")["Body"].read() == b"2"


class _SlowToFeed(threading.Event):
    """A stop that the thread which feeds the workers notices late."""

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(0.5)
        return super().wait(timeout)


@pytest.mark.slow
def test_stopping_finishes_what_is_in_flight(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """After a stop nothing is half done, nothing is leased, and the next run does the rest."""
    bodies = _fill(plain_s3, bucket, 40)
    stop = _SlowToFeed()
    late: list[Event] = []

    def after_the_first(event: Event) -> None:
        if event.kind == "started" and stop.is_set():
            late.append(event)
        if event.kind == "finished":
            stop.set()

    with Journal.open(tmp_path / "j", settings()) as journal:
        first = run(settings(), journal, workers=2, on_event=after_the_first, stop=stop)
        assert first.interrupted
        # One thread may have looked just before the other one stopped the run.
        assert len(late) <= 1
        assert 1 <= first.counts["done"] < 40
        assert first.counts["open"] == 40 - first.counts["done"]
    with Journal.open(tmp_path / "j", settings()) as journal:
        second = run(settings(), journal, workers=2)
    assert second.counts == {"done": 40}
    assert first.kms_calls + second.kms_calls == 40
    _check(make_client, bucket, bodies)


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Two runs on one journal, and a third on a journal of its own, lose nothing and double nothing."""
    bodies = _fill(plain_s3, bucket, 24)
    summaries: list[Summary] = []

    def go(path: Path) -> None:
        with Journal.open(path, settings()) as journal:
            summaries.append(run(settings(), journal, workers=3))

    threads = [threading.Thread(target=go, args=(tmp_path / name,)) for name in ("one", "one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(summaries) == 3
    assert all(summary.undone == 0 for summary in summaries)
    _check(make_client, bucket, bodies)


def test_a_missing_bucket_stops_the_job(settings: Settings) -> None:
    """What concerns the whole job is raised, not written down for each object."""
    job = settings(source=Location(bucket="no-such-bucket"))
    with Journal.open(":memory:", job) as journal, pytest.raises(ClientError, match="NoSuchBucket"):
        run(job, journal)


def test_a_key_that_cannot_wrap_stops_the_job(settings: Settings, bucket: str, plain_s3: Any) -> None:
    """A missing KMS key is not the fault of any object: the first that meets it ends the run, and none is written."""
    bodies = _fill(plain_s3, bucket, 5)
    job = settings(keyring=KeyringSpec(kind="kms", key_id="alias/no-such-key"))
    with Journal.open(":memory:", job) as journal, pytest.raises(KeyringError, match="NotFoundException"):
        run(job, journal, workers=2)
    for key, body in bodies.items():
        assert plain_s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_uploads_of_a_killed_run_are_aborted(settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any) -> None:
    """Parts that a kill left behind do not stay in the bucket; other people's uploads do."""
    ours = plain_s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    theirs = plain_s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    with Journal.open(tmp_path / "j", settings()) as journal:
        journal.upload_opened(journal.upload_opening(bucket, "k"), ours)
        journal._database.execute("UPDATE uploads SET run = 'a dead one'")
        run(settings(), journal)
        assert journal.leftover_uploads() == []
    uploads = plain_s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["UploadId"] for upload in uploads] == [theirs]


@pytest.mark.slow
@pytest.mark.parametrize("dated", [True, False], ids=["begun then", "begun before"])
def test_an_upload_whose_id_nobody_noted_is_found(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, dated: bool
) -> None:
    """Killed while an upload began, a run has left an empty one: of that key, of that time, and not another's."""
    begun = {
        name: plain_s3.create_multipart_upload(Bucket=bucket, Key=name.split()[0])["UploadId"]
        for name in ("k ours", "k theirs", "kx other")
    }
    plain_s3.upload_part(Bucket=bucket, Key="k", UploadId=begun["k theirs"], PartNumber=1, Body=b"theirs")
    with (
        Journal.open(tmp_path / "j", settings()) as journal,
        contextlib.closing(MigrationContext.open(settings(), uploads=journal)) as context,
    ):
        if dated:
            date_uploads(context.s3)
        journal.upload_opening(bucket, "k")
        journal._database.execute("UPDATE uploads SET run = 'a dead one'")
        run(settings(), journal, context=context)
        assert journal.leftover_uploads() == []
    left = {upload["UploadId"] for upload in plain_s3.list_multipart_uploads(Bucket=bucket)["Uploads"]}
    assert left == set(begun.values()) - ({begun["k ours"]} if dated else set())


@pytest.mark.slow
def test_a_killed_worker_process_is_made_up_for_by_the_others(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """One of several processes dies without a word: the rest do its work, and the run ends well."""
    import os
    import signal

    bodies = _fill(plain_s3, bucket, 40)
    killed: list[int] = []

    def kill(event: Event) -> None:
        if event.kind == "finished" and not killed:
            child = multiprocessing.active_children()[0]
            killed.append(int(child.pid or 0))
            os.kill(killed[0], signal.SIGKILL)

    with Journal.open(tmp_path / "j", settings()) as journal:
        summary = run(settings(), journal, workers=2, processes=2, on_event=kill)
    assert killed
    assert summary.undone == 0
    _check(make_client, bucket, bodies)


@pytest.mark.slow
def test_what_stops_a_worker_process_stops_the_run(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """A key file that only the workers miss ends the run with the error that one process alone would raise."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    job = settings(keyring=KeyringSpec(kind="aes-file", path=str(path)))

    def remove(event: Event) -> None:
        path.unlink(missing_ok=True)

    with Journal.open(tmp_path / "j", job) as journal, pytest.raises(ConfigurationError, match="key file"):
        run(job, journal, processes=2, on_event=remove)


class _Unportable(Exception):  # noqa: N818 - a class as others write them
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject"),
        NoCredentialsError(),
        KeyringError("no key").locate("s3://b/k"),
        EncryptionContextMismatchError("another context"),
        OSError(28, "No space left on device", "/journal"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_process_keeps_its_exit_code(error: Exception) -> None:
    """What goes through the pipe is described by the same code and line as in one process."""
    sent, told = multiprocessing.Pipe()
    told.send(_portable(error))
    assert describe(sent.recv()) == describe(error)


def test_an_error_that_no_pipe_carries_is_told_by_its_text() -> None:
    """Its class is lost, and not what it says."""
    assert str(_portable(_Unportable(1, 2))) == "_Unportable: 1 and 2"
    assert type(_portable(_Unportable(1, 2))) is MigrationError
