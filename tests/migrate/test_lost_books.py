"""Journals that are lost, old, doubled or one of several, beside writers: the objects alone say what is to be done."""

from __future__ import annotations

import contextlib
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3ec import STORED_CONTEXT, KmsKeyring
from s3ec.migrate import (
    Action,
    Event,
    Journal,
    KeyringSpec,
    Location,
    MigrationSettings,
    Result,
    SkipReason,
    Summary,
    Task,
    run,
)

from .conftest import Settings
from support.aws import create_kms_key, keep_versions
from support.proxy import Answer, Request, proxy


def _fill(s3: Any, bucket: str, count: int, prefix: str = "") -> dict[str, bytes]:
    bodies = {f"{prefix}k{number:02}": f"content {number} ".encode() * (number % 40) for number in range(count)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return bodies


def _check(client: Any, bucket: str, bodies: dict[str, bytes]) -> None:
    """Each is there, opens with this client, and nothing else is there."""
    there = {entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])}
    assert there == bodies.keys()
    for key, body in bodies.items():
        assert client.get_object(Bucket=bucket, Key=key, EncryptionContext=STORED_CONTEXT)["Body"].read() == body


def _run(job: MigrationSettings, path: Path | str, **options: Any) -> Summary:
    with Journal.open(path, job) as journal:
        return run(job, journal, workers=3, **options)


def _at_once(*works: Callable[[], Any]) -> None:
    """Run all of them, and raise what any of them raised."""
    errors: list[BaseException] = []

    def go(work: Callable[[], Any]) -> None:
        try:
            work()
        # Raised again below, in the test's own thread.
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.slow
def test_a_journal_that_was_lost_on_the_way_to_another_place(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any
) -> None:
    """What has the source's content counts as done, and is not written again; what has not is left alone, and said."""
    _fill(plain_s3, bucket, 6, "in/")
    job = settings(source=Location(bucket=bucket, prefix="in/"), destination=Location(bucket=bucket, prefix="out/"))
    assert _run(job, tmp_path / "lost").undone == 0
    plain_s3.put_object(Bucket=bucket, Key="in/k03", Body=b"changed since")
    before = {entry["Key"]: entry["ETag"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]}
    with Journal.open(tmp_path / "new", job) as journal:
        summary = run(job, journal, workers=3)
        outcomes = {outcome.task.key: outcome for outcome in journal.outcomes()}
    assert (summary.undone, summary.counts) == (1, {"already": 5, "skipped": 1})
    assert outcomes["in/k03"].reason is SkipReason.DESTINATION_EXISTS
    assert "earlier copy" in outcomes["in/k03"].message
    assert before == {entry["Key"]: entry["ETag"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]}


@pytest.mark.slow
def test_an_older_copy_of_a_journal_and_one_that_vanishes(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Two machines go on from one backup at once, the file of one is removed, and objects change meanwhile."""
    bodies = _fill(plain_s3, bucket, 30)
    job, path, backup = settings(), tmp_path / "journal", tmp_path / "backup"
    stop = threading.Event()

    def interrupt(event: Event) -> None:
        if event.kind == "finished":
            stop.set()

    assert _run(job, path, on_event=interrupt, stop=stop).interrupted
    shutil.copyfile(path, backup)
    for number in range(0, 30, 3):
        bodies[f"k{number:02}"] = b"rewritten"
        plain_s3.put_object(Bucket=bucket, Key=f"k{number:02}", Body=b"rewritten")
    for number in range(1, 30, 6):
        del bodies[f"k{number:02}"]
        plain_s3.delete_object(Bucket=bucket, Key=f"k{number:02}")

    def remove(event: Event) -> None:
        if event.kind == "finished":
            path.unlink(missing_ok=True)

    _at_once(lambda: _run(job, backup), lambda: _run(job, path, on_event=remove))
    assert not path.exists()
    assert _run(job, tmp_path / "last").undone == 0
    _check(make_client(), bucket, bodies)


class _Writer:
    """Writes and deletes objects of its own, and knows what it left."""

    def __init__(self, s3: Any, bucket: str, number: int) -> None:
        self._s3, self._bucket, self._random = s3, bucket, random.Random(number)
        self._keys = [f"k{key:02}" for key in range(number, 24, 4)]
        self.left: dict[str, bytes | None] = {}

    def __call__(self) -> None:
        for count in range(25):
            key = self._random.choice(self._keys)
            body = None if self._random.random() < 0.3 else f"{key}, {count}".encode()
            if body is None:
                self._s3.delete_object(Bucket=self._bucket, Key=key)
            else:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            self.left[key] = body


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.REWRAP])
def test_two_jobs_with_two_journals_among_writers(
    action: Action,
    settings: Settings,
    tmp_path: Path,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
    kms: Any,
) -> None:
    """No write is lost, nothing that was deleted is back, and everything is encrypted in the end."""
    is_rewrap = action is Action.REWRAP
    key = create_kms_key(aws) if is_rewrap else None
    job = settings(action=action, keyring=KeyringSpec(kind="kms", key_id=key)) if key else settings()
    if is_rewrap:  # without versions a copy that keeps the ETag cannot be guarded, which is documented
        keep_versions(plain_s3, bucket)
    writing = make_client() if is_rewrap else plain_s3
    bodies = _fill(writing, bucket, 24)
    writers = [_Writer(writing, bucket, number) for number in (0, 1)]
    with contextlib.ExitStack() as stack:
        books = [stack.enter_context(Journal.open(tmp_path / name, job)) for name in ("one", "two")]
        _at_once(*writers, *(lambda journal=journal: run(job, journal, workers=3) for journal in books))
    for writer in writers:
        for name, body in writer.left.items():
            bodies.pop(name, None)
            if body is not None:
                bodies[name] = body
    assert _run(job, tmp_path / "last").undone == 0
    _check(make_client(keyring=KmsKeyring(key, client=kms)) if key else make_client(), bucket, bodies)


@pytest.fixture
def strict(endpoint: str) -> Iterator[str]:
    """An S3 that refuses keys above 1,024 bytes, as AWS does, where moto answers that nothing is there."""

    def refuse(request: Request, ask: Callable[[], Answer]) -> Answer:
        key = request.path.split("?")[0].split("/", 2)[-1]
        if len(key) > 1024:
            return Answer(400, {}, b"<Error><Code>KeyTooLongError</Code><Message>too long</Message></Error>")
        return ask()

    with proxy(endpoint) as lying:
        lying.fault = refuse
        yield lying.url


@pytest.mark.slow
@pytest.mark.parametrize("length", [1012, 1013, 1024])
def test_keys_that_leave_no_room_for_a_suffix(
    length: int, strict: str, settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """A young object's file is looked for where there can be one, and an object without room for one is no failure."""
    key = "k" * length
    plain_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    job = settings()
    job = replace(job, connection=replace(job.connection, endpoint_url=strict))
    for objects in (None, [Task(bucket=bucket, key=key)]):
        with Journal.open(":memory:", job) as journal:
            listed = None if objects is None else _List(objects)
            assert run(job, journal, workers=1, objects=listed).undone == 0
            assert [outcome.result for outcome in journal.outcomes()] == [
                Result.DONE if objects is None else Result.ALREADY
            ]
    _check(make_client(), bucket, {key: b"x"})


class _List:
    """A list of objects as a caller may give it."""

    is_live = False
    is_complete = False

    def __init__(self, tasks: list[Task]) -> None:
        self._tasks = tasks

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)


@pytest.mark.slow
def test_a_list_that_repeats_and_lies(
    settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Named twice, under an ETag that it never had, or without being there: each object is done once all the same."""
    keep_versions(plain_s3, bucket)
    bodies = _fill(plain_s3, bucket, 4)
    tasks = [Task(bucket=bucket, key=key) for key in bodies]
    lies = [Task(bucket=bucket, key="k01", etag='"0123"'), Task(bucket=bucket, key="absent"), *tasks]
    job = settings()
    for _ in range(2):
        with Journal.open(":memory:", job) as journal:
            run(job, journal, workers=2, objects=_List([*tasks, *lies]))
    assert _run(job, ":memory:").undone == 0
    _check(make_client(), bucket, bodies)
    versions = plain_s3.list_object_versions(Bucket=bucket)["Versions"]
    assert len(versions) == 2 * len(bodies)
