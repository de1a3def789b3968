"""What is written down of a migration tells nobody else anything, least of all the content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import FlexibleChecksumError

from s3ec import KmsKeyring
from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import MigrationError
from s3ec.migrate import (
    Action,
    Event,
    Journal,
    ListedObjects,
    Location,
    Outcome,
    Result,
    Task,
    default_path,
    migrate_one,
    plan,
    run,
)
from s3ec.migrate.engines import s3_batch
from s3ec.migrate.engines.driver import run_task
from s3ec.migrate.journal.file import open_private
from s3ec.migrate.steps.step import job_text
from s3ec.migrate.work.key_names import key_names

from .conftest import Open, Settings
from support.aws import create_kms_key
from support.macs import digests_of, mac_of

SECRET = b"PIN=4711"
DIGESTS = [digest.encode() for digest in digests_of(SECRET)]


@pytest.fixture(autouse=True)
def _careless_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user lets everybody write everything."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.UPGRADE, Action.VERIFY])
@pytest.mark.parametrize("processes", [1, 2])
def test_no_digest_of_the_content_is_written_down(
    action: Action, processes: int, settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Whoever guesses the content finds nothing in journal or events to try the guess on, without the key."""
    if action is Action.MIGRATE:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    else:
        older = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT} if action is Action.UPGRADE else {}
        make_client(**older).put_object(Bucket=bucket, Key="k", Body=SECRET)
    job = settings(action=action)
    path = default_path(job)
    events: list[Event] = []
    with Journal.open(path, job) as journal:
        run(job, journal, workers=1, processes=processes, on_event=events.append)
        (outcome,) = journal.outcomes()
        written = _written(path, events)
        assert outcome.result is Result.DONE
        assert outcome.plaintext_mac == mac_of(SECRET, journal.mac_key)
    assert not [digest for digest in DIGESTS if digest in written]


def _written(path: Path, events: list[Event]) -> bytes:
    """All that is in the files beside a journal, and all that listeners were told."""
    return (
        b"".join(file.read_bytes() for file in path.parent.iterdir())
        + "".join(event.to_json() for event in events).encode()
    )


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, Result.DONE),
        ({"action": Action.REWRAP}, Result.SKIPPED),
        ({"action": Action.VERIFY}, Result.SKIPPED),
        ({"skip_young": True}, Result.SKIPPED),
        ({"keep_last_modified": "x"}, Result.FAILED),
        ({"destination": Location(bucket="", prefix="there/")}, Result.DONE),
        ({"max_attempts": 1}, Result.RETRY),
    ],
    ids=["done", "rewrap", "verify", "young", "failed", "elsewhere", "retry"],
)
def test_no_etag_of_plaintext_is_written_down(
    changes: dict[str, Any], result: Result, settings: Settings, bucket: str, plain_s3: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """However the object ends: the listed ETag is its MD5, and neither journal nor events have it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET, StorageClass="STANDARD_IA", ChecksumAlgorithm="SHA256")
    if "destination" in changes:
        changes = {"destination": Location(bucket=bucket, prefix="there/")}
    job = settings(**changes)
    if result in (Result.FAILED, Result.RETRY):
        _spoil(monkeypatch, result)
    events: list[Event] = []
    path = default_path(job)
    with Journal.open(path, job) as journal:
        run(job, journal, workers=1, on_event=events.append)
        (outcome,) = journal.outcomes()
        assert outcome.result is result
        assert outcome.task.etag is not None
        assert outcome.task.etag.startswith("hmac-sha256:")
        assert [task.etag for task in journal.open_tasks()] == []
        written = _written(path, events)
    assert any(event.kind == "started" for event in events)
    assert not [digest for digest in DIGESTS if digest in written]


def _spoil(monkeypatch: pytest.MonkeyPatch, result: Result) -> None:
    """What is read is not what is stored, or cannot be worked with."""
    from s3ec.migrate.steps import writing

    def write(chunks: Iterator[bytes], *_: Any, **__: Any) -> None:
        body = b"".join(chunks)
        if result is Result.RETRY:
            raise FlexibleChecksumError(error_msg=f"Expected checksum {digests_of(body)[3]} did not match {SECRET!r}")
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(writing, "write", write)


def test_a_plan_tells_no_etag_of_plaintext(settings: Settings, bucket: str, plain_s3: Any) -> None:
    """What a dry run says of each object is written down just as well."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    told: list[Outcome] = []
    plan(settings(), on_outcome=told.append)
    assert [outcome.result for outcome in told] == [Result.PLANNED]
    assert not [digest for digest in DIGESTS if digest in told[0].to_json().encode()]


def test_a_worker_elsewhere_names_what_it_read_by_the_journals_key(
    settings: Settings, bucket: str, plain_s3: Any
) -> None:
    """Task, job and outcome as an engine carries them: MACs that the journal's owner can check, and no digest."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    plain_s3.put_object(Bucket=bucket, Key="changed", Body=SECRET)
    job = settings()
    with Journal.open(default_path(job), job) as journal:
        journal.record_listing(ListedObjects(plain_s3, bucket))
        plain_s3.put_object(Bucket=bucket, Key="changed", Body=b"other")
        text = job_text(job, journal.mac_key)
        tasks = {task.key: task.to_json() for _, task in journal.claim(2)}
        answers = {key: run_task(task, text) for key, task in tasks.items()}
        outcomes = {key: Outcome.from_json(answer) for key, answer in answers.items()}
        assert outcomes["k"].plaintext_mac == mac_of(SECRET, journal.mac_key)
        assert outcomes["changed"].result is Result.CHANGED
        # An engine that knows no key of a journal: the object is taken as it is, and nothing of it is named.
        keyless = Outcome.from_json(run_task(tasks["changed"], job.to_json()))
        assert (keyless.result, keyless.plaintext_mac, keyless.etag_in) == (Result.DONE, None, None)
    carried = "".join([*tasks.values(), *answers.values(), keyless.to_json()]).encode()
    assert not [digest for digest in DIGESTS if digest in carried]


def test_what_an_engine_of_ones_own_tells_is_masked_by_the_journal(settings: Settings, bucket: str) -> None:
    """An outcome that was made by hand has what its maker put in; the journal writes none of it down."""
    etag = f'"{hashlib.md5(SECRET, usedforsecurity=False).hexdigest()}"'
    path = default_path(settings())
    with Journal.open(path, settings()) as journal:
        journal.add(Task(bucket=bucket, key="k", etag=etag))
        ((number, _),) = journal.claim(1)
        task = Task(bucket=bucket, key="k", etag=etag)
        again = Outcome(task=task, result=Result.CHANGED, etag_in=etag)
        journal.finish(number, again, again=task)
        ((number, _),) = journal.claim(1)
        journal.finish(number, Outcome(task=task, result=Result.SKIPPED, etag_in=etag, format_before="plaintext"))
        # It stands as it was listed, by its MAC.
        assert journal.record_listing([task]) == 0
        assert journal.record_listing([replace(task, etag='"other"')]) == 1
        written = _written(path, [])
    assert not [digest for digest in DIGESTS if digest in written]


def test_what_a_killed_run_wrote_is_named_all_the_same(
    settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any], kms: Any,
    aws: dict[str, Any], open_context: Open,
) -> None:  # fmt: skip
    """A kill after the write and before the note leaves no gap: it is verified again, or it is said why it is not."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    plain_s3.put_object(Bucket=bucket, Key="other", Body=SECRET)
    make_client().put_object(Bucket=bucket, Key="before", Body=SECRET)
    job = settings()
    path = default_path(job)
    with Journal.open(path, job) as journal:
        journal.begin(key_names(open_context(job)))
        journal.record_listing(ListedObjects(plain_s3, bucket))
        journal.claim(3)
        make_client().put_object(Bucket=bucket, Key="k", Body=SECRET)
        other = make_client(keyring=KmsKeyring(create_kms_key(aws), client=kms))
        other.put_object(Bucket=bucket, Key="other", Body=SECRET)
        journal._stop.set()
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE runs SET heartbeat = heartbeat - 1000, host = 'elsewhere'")
        with Journal.open(path, job) as second:
            summary = run(job, second, workers=1)
            found = {outcome.task.key: outcome for outcome in second.outcomes()}
            assert summary.this_run == {"already": 3}
            assert found["k"].plaintext_mac == mac_of(SECRET, second.mac_key)
            assert found["k"].plaintext_length == len(SECRET)
    assert any("read and verified again" in note for note in found["k"].notes)
    assert found["other"].plaintext_mac is None
    assert any("does not open here" in note for note in found["other"].notes)


def test_what_was_encrypted_before_says_that_it_was_not_read(settings: Settings, bucket: str, make_client: Any) -> None:
    """Whoever reads the books sees why there is no MAC; nothing is decrypted for it."""
    make_client().put_object(Bucket=bucket, Key="k", Body=SECRET)
    with Journal.open(":memory:", settings()) as journal:
        summary = run(settings(), journal, workers=1)
        (outcome,) = journal.outcomes()
    assert (outcome.plaintext_mac, summary.kms_calls) == (None, 0)
    assert "its content was not read" in outcome.message


def test_a_write_whose_answer_was_lost_is_evidence_too(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Written since it was listed, by whoever it was: what it holds is read, verified and named."""
    make_client().put_object(Bucket=bucket, Key="k", Body=SECRET)
    outcome = migrate_one(Task(bucket=bucket, key="k", attempt=1), context=open_context(settings()))
    assert (outcome.result, outcome.plaintext_mac) == (Result.ALREADY, mac_of(SECRET))
    stored = plain_s3.get_object(Bucket=bucket, Key="k")
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 24, Metadata=stored["Metadata"])
    outcome = migrate_one(Task(bucket=bucket, key="k", interrupted=True), context=open_context(settings()))
    assert (outcome.result, outcome.error) == (Result.FAILED, "AuthenticationError")


def test_a_journal_that_had_digests_is_refused_in_words(settings: Settings, tmp_path: Path) -> None:
    """What an older version wrote holds MD5s of plaintext: it is not gone on with."""
    path = tmp_path / "j"
    Journal.open(path, settings()).close()
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE about SET value = '2' WHERE name = 'schema'")
    with pytest.raises(MigrationError, match=r"another version of s3ec \(schema 2\): remove it, or name another file"):
        Journal.open(path, settings())


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_the_books_are_private(there: bool, settings: Settings, bucket: str, plain_s3: Any) -> None:
    """Journal, its side files, its key, what was put aside and the folder: for their owner alone, old ones, too."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    path = default_path(settings())
    if there:
        Journal.open(path, settings()).close()
        path.parent.chmod(0o755)
        for file in path.parent.iterdir():
            file.chmod(0o644)
    for _ in range(2):
        with Journal.open(path, settings()) as journal:
            run(settings(), journal, workers=1)
            modes = {file.name: _mode(file) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert len([name for name in modes if name.endswith(".key")]) == 2
    assert _mode(path.parent) == 0o700


def test_a_folder_of_others_keeps_its_mode(settings: Settings, tmp_path: Path) -> None:
    """A journal that is put into a shared folder is private; the folder is not ours to close."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    with Journal.open(folder / "j", settings()):
        assert _mode(folder) == 0o755
        assert {_mode(file) for file in folder.iterdir()} == {0o600}


def test_a_file_of_something_else_keeps_its_mode(settings: Settings, tmp_path: Path) -> None:
    """What is refused as a journal is not touched."""
    path = tmp_path / "precious"
    path.write_text("precious" * 1000)
    path.chmod(0o644)
    with pytest.raises(MigrationError):
        Journal.open(path, settings())
    assert _mode(path) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]


def test_the_key_is_one_for_all_runs(settings: Settings, tmp_path: Path) -> None:
    """It is made once; one that was cut by a kill is made again; journals have different ones."""
    keys = []
    for name in ("j", "j", "k"):
        with Journal.open(tmp_path / name, settings()) as journal:
            keys.append(journal.mac_key)
    assert keys[0] == keys[1] != keys[2]
    assert {len(key) for key in keys} == {32}
    (tmp_path / "j.key").write_bytes(b"cut")
    with Journal.open(tmp_path / "j", settings()) as journal:
        assert len(journal.mac_key) == 32
        assert repr(journal.mac_key) not in repr(journal)


def test_events_are_private(tmp_path: Path) -> None:
    """A file that is there is emptied and closed to others."""
    path = tmp_path / "events"
    path.write_text("old")
    path.chmod(0o644)
    with open_private(path) as file:
        file.write("new")
    assert path.read_text() == "new"
    assert _mode(path) == 0o600


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_completion_report_has_no_digest(
    encrypted: bool, settings: Settings, bucket: str, plain_s3: Any, make_client: Callable[..., Any],
    open_context: Callable[..., Any],
) -> None:  # fmt: skip
    """S3 writes the answer into a bucket: it holds neither a digest nor the ETag that is the plaintext's MD5."""
    if encrypted:
        make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT).put_object(
            Bucket=bucket, Key="k", Body=SECRET
        )
    else:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=SECRET)
    event = {
        "invocationSchemaVersion": "2.0",
        "invocationId": "i",
        "tasks": [{"taskId": "t", "s3Key": "k", "s3VersionId": None, "s3Bucket": bucket}],
    }
    context = open_context(settings(action=Action.UPGRADE))
    answer = s3_batch.handle(event, context=context, remaining_seconds=lambda: 900.0)
    (result,) = answer["results"]
    assert result["resultCode"] == "Succeeded"
    text = result["resultString"]
    assert mac_of(SECRET) not in text
    assert not [digest for digest in digests_of(SECRET) if digest in text]
    assert ("etag_in" in text) is encrypted
