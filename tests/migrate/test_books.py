"""What the books of one run are worth to the next: they resume a plan, and never vouch for an object."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec import KmsKeyring
from s3ec.errors import MigrationError
from s3ec.migrate import (
    Action,
    Event,
    Journal,
    KeyFile,
    KeyringSpec,
    MigrationSettings,
    Outcome,
    Result,
    SkipReason,
    Task,
    plan,
    run,
)
from s3ec.migrate.journal.listing import look_at_journal

from .conftest import Settings
from support.aws import create_kms_key, keep_versions

KEYS = ("a", "b", "c")


def _put(s3: Any, bucket: str, keys: tuple[str, ...] = KEYS) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def _run(job: MigrationSettings, path: Path, **options: Any) -> Any:
    with Journal.open(path, job) as journal:
        return run(job, journal, workers=2, **options)


def _opens(make_client: Callable[..., Any], kms: Any, bucket: str, key_id: str, keys: tuple[str, ...] = KEYS) -> None:
    client = make_client(keyring=KmsKeyring(key_id, client=kms))
    for key in keys:
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def _rewrap_to(settings: Settings, name: str, **changes: Any) -> MigrationSettings:
    return settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=name), **changes)


@pytest.mark.slow
@pytest.mark.parametrize("denied", [False, True], ids=["described", "not described"])
def test_an_alias_that_was_moved_is_another_plan(
    settings: Settings,
    tmp_path: Path,
    aws: dict[str, Any],
    kms: Any,
    bucket: str,
    make_client: Callable[..., Any],
    denied: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same command a year later, the alias moved: every object is wrapped under the key that it names today."""
    if denied:
        _deny(monkeypatch, "describe_key")
    _put(make_client(), bucket)
    one, two = create_kms_key(aws), create_kms_key(aws)
    kms.create_alias(AliasName="alias/books", TargetKeyId=one)
    try:
        job = _rewrap_to(settings, "alias/books")
        first = _run(job, tmp_path / "j")
        kms.update_alias(AliasName="alias/books", TargetKeyId=two)
        second = _run(job, tmp_path / "j")
    finally:
        kms.delete_alias(AliasName="alias/books")
    assert first.this_run == second.this_run == second.counts == {"done": 3}
    assert second.requests["copy_object"] == 3
    _opens(make_client, kms, bucket, two)


def _deny(monkeypatch: pytest.MonkeyPatch, *operations: str) -> None:
    """KMS refuses these operations to whoever asks."""
    from botocore.exceptions import ClientError

    make = KeyringSpec.kms_client

    def client(spec: KeyringSpec, *arguments: Any) -> Any:
        made = make(spec, *arguments)

        def refuse(*_: Any, **__: Any) -> None:
            answer = {"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, "DescribeKey")  # type: ignore[arg-type]  # a part of an answer

        for operation in operations:
            setattr(made, operation, refuse)
        return made

    monkeypatch.setattr(KeyringSpec, "kms_client", client)


@pytest.mark.slow
def test_an_alias_that_nobody_may_look_up_is_said(
    settings: Settings, tmp_path: Path, aws: dict[str, Any], kms: Any, bucket: str, make_client: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Where neither answer tells the key, the run goes on and says what that means for the next one."""
    _put(make_client(), bucket)
    _deny(monkeypatch, "describe_key", "generate_data_key")
    kms.create_alias(AliasName="alias/unknown", TargetKeyId=create_kms_key(aws))
    said: list[Event] = []
    try:
        summary = _run(_rewrap_to(settings, "alias/unknown"), tmp_path / "j", on_event=said.append)
    finally:
        kms.delete_alias(AliasName="alias/unknown")
    assert summary.this_run == {"done": 3}
    assert any("does not tell which key alias/unknown is" in event.message for event in said)


@pytest.mark.slow
@pytest.mark.parametrize("versioned", [False, True])
def test_a_rewrap_there_and_back_and_there_again(
    versioned: bool,
    settings: Settings,
    tmp_path: Path,
    aws: dict[str, Any],
    kms: Any,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """One, two, back to one, two again: the third does not repeat the first, though it is the same command."""
    if versioned:
        keep_versions(plain_s3, bucket)
    _put(make_client(), bucket)
    one, two = create_kms_key(aws), create_kms_key(aws)
    for key_id in (one, two, one, two):
        summary = _run(_rewrap_to(settings, key_id), tmp_path / key_id)
        assert summary.this_run == summary.counts == {"done": 3}
        _opens(make_client, kms, bucket, key_id)


@pytest.mark.slow
def test_a_rewrap_after_one_to_a_raw_key(
    settings: Settings,
    tmp_path: Path,
    aws: dict[str, Any],
    kms: Any,
    bucket: str,
    kms_key: str,
    make_client: Callable[..., Any],
) -> None:
    """A raw key in between leaves ETag and journal as they were, and the objects under the raw key."""
    _put(make_client(), bucket)
    two = create_kms_key(aws)
    raw = tmp_path / "aes"
    raw.write_bytes(bytes(32))
    source, aes = KeyringSpec(kind="kms-discovery"), KeyringSpec(kind="aes-file", path=str(raw))
    for spec, opener in ((KeyringSpec(kind="kms", key_id=two), source), (aes, source)):
        job = settings(action=Action.REWRAP, keyring=spec, source_keyring=opener)
        assert _run(job, tmp_path / spec.kind).this_run == {"done": 3}
    back = settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=two), source_keyring=aes)
    assert _run(back, tmp_path / "back").this_run == {"done": 3}
    _run(settings(action=Action.REWRAP, keyring=aes, source_keyring=source), tmp_path / "aes-file")
    assert _run(back, tmp_path / "back").this_run == {"done": 3}
    _opens(make_client, kms, bucket, two)


@pytest.mark.slow
def test_an_interrupted_rewrap_looks_at_all_again(
    settings: Settings,
    tmp_path: Path,
    aws: dict[str, Any],
    kms: Any,
    bucket: str,
    make_client: Callable[..., Any],
) -> None:
    """A copy of metadata keeps the ETag: what half a rewrap did may have been undone since, and no listing shows it."""
    _put(make_client(), bucket)
    one, two = create_kms_key(aws), create_kms_key(aws)
    stop = threading.Event()
    job = _rewrap_to(settings, two)
    half = _run(job, tmp_path / "j", stop=stop, on_event=lambda event: event.kind == "finished" and stop.set())
    assert half.interrupted
    assert half.counts["done"] >= 1
    _run(_rewrap_to(settings, one), tmp_path / "other")
    assert _run(job, tmp_path / "j").this_run == {"done": 3}
    _opens(make_client, kms, bucket, two)


@pytest.mark.slow
def test_an_alias_that_is_moved_during_a_run_ends_it_with_an_error(
    settings: Settings, tmp_path: Path, aws: dict[str, Any], kms: Any, bucket: str, plain_s3: Any
) -> None:
    """Nobody could say which object has which key; the next run looks at all of them."""
    _put(plain_s3, bucket)
    one, two = create_kms_key(aws), create_kms_key(aws)
    kms.create_alias(AliasName="alias/moving", TargetKeyId=one)
    job = settings(keyring=KeyringSpec(kind="kms", key_id="alias/moving"))

    def move(event: Event) -> None:
        if event.kind == "finished":
            kms.update_alias(AliasName="alias/moving", TargetKeyId=two)

    try:
        with pytest.raises(MigrationError, match="moved during the run"):
            _run(job, tmp_path / "j", on_event=move)
        assert _run(job, tmp_path / "j").this_run == {"already": 3}
    finally:
        kms.delete_alias(AliasName="alias/moving")


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["keys", "inventory"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_list_without_etags_is_looked_at_each_time(
    shape: str, finished: bool, settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:  # fmt: skip
    """Objects that were put again in plaintext between two runs over one list are encrypted by the second one."""
    _put(plain_s3, bucket)
    lines = "\n".join(KEYS) if shape == "keys" else "".join(f"{bucket},{key}\n" for key in KEYS)
    path = tmp_path / ("list" if shape == "keys" else "list.csv")
    path.write_text(lines)
    keys = KeyFile(str(path), bucket)
    stop = threading.Event()
    on_event = None if finished else (lambda event: event.kind == "finished" and stop.set())
    first = _run(settings(), tmp_path / "j", objects=keys, on_event=on_event, stop=stop)
    assert first.counts["done"] >= 1
    _put(plain_s3, bucket)
    second = _run(settings(), tmp_path / "j", objects=keys)
    assert second.this_run == {"done": 3}
    client = make_client()
    assert [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in KEYS] == [b"a", b"b", b"c"]


@pytest.mark.slow
def test_what_was_gone_and_is_back_is_done(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """An object that a listing shows is not gone, whatever S3 answered before, and whichever run it was."""
    _put(plain_s3, bucket)
    etag = plain_s3.head_object(Bucket=bucket, Key="a")["ETag"]
    with Journal.open(tmp_path / "j", settings()) as journal:
        journal.record_listing([Task(bucket=bucket, key="a", etag=etag)])
        ((number, task),) = journal.claim(1)
        journal.finish(number, Outcome(task=task, result=Result.GONE, etag_in=etag))
        assert run(settings(), journal, workers=1).counts == {"done": 3}
    with Journal.open(tmp_path / "k", settings()) as journal:
        journal.record_listing([Task(bucket=bucket, key="a", etag=etag)])
        ((number, task),) = journal.claim(1)
        journal.finish(number, Outcome(task=task, result=Result.GONE))
        assert journal.record_listing([Task(bucket=bucket, key="a", etag=etag)]) == 1


def test_the_young_are_looked_at_by_each_run(settings: Settings, tmp_path: Path) -> None:
    """What was too young to be rewritten is older now."""
    with Journal.open(tmp_path / "j", settings()) as journal:
        journal.record_listing([Task(bucket="b", key="k", etag='"1"')])
        ((number, task),) = journal.claim(1)
        journal.finish(number, Outcome(task=task, result=Result.SKIPPED, reason=SkipReason.YOUNG))
        journal.begin()
        assert journal.counts() == {"open": 1}


@pytest.mark.slow
def test_finished_books_are_put_aside(settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, kms: Any) -> None:
    """A second run looks at everything itself and says so; what the first one wrote down is kept beside the journal."""
    _put(plain_s3, bucket)
    path = tmp_path / "books.journal"
    first = _run(settings(), path)
    assert (first.this_run, first.counts) == ({"done": 3}, {"done": 3})
    said: list[Event] = []
    second = _run(settings(), path, on_event=said.append)
    assert (second.this_run, second.counts) == ({"already": 3}, {"already": 3})
    assert any("looked at again" in event.message for event in said)
    (archive,) = tmp_path.glob("books.2*.journal")
    # The run that put them aside is not at work on them.
    assert look_at_journal(archive).state == "finished"
    with Journal.open(archive, settings()) as old:
        assert [outcome.result for outcome in old.outcomes()] == [Result.DONE] * 3
        with Journal.open(path, settings()) as journal:
            assert old.mac_key == journal.mac_key


@pytest.mark.slow
def test_a_verification_verifies_each_time(
    settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Neither with a named journal nor with several processes does an earlier run vouch for an object."""
    _put(make_client(), bucket)
    job = settings(action=Action.VERIFY)
    assert _run(job, tmp_path / "j").this_run == {"done": 3}
    again = _run(job, tmp_path / "j")
    assert again.this_run == {"done": 3}
    assert again.requests["get_object"] >= 3
    # Also where one failed, and also where the ETag is the same: the metadata were taken away.
    stored = plain_s3.get_object(Bucket=bucket, Key="b")["Body"].read()
    plain_s3.put_object(Bucket=bucket, Key="b", Body=stored)
    assert _run(job, tmp_path / "j").counts == {"done": 2, "skipped": 1}


@pytest.mark.slow
def test_a_run_says_what_it_did_itself(settings: Settings, tmp_path: Path, bucket: str, plain_s3: Any) -> None:
    """Beside what an earlier run of the same plan has done."""
    _put(plain_s3, bucket)
    stop = threading.Event()
    first = _run(settings(), tmp_path / "j", stop=stop, on_event=lambda event: event.kind == "finished" and stop.set())
    second = _run(settings(), tmp_path / "j")
    assert second.counts == {"done": 3}
    assert second.this_run == {"done": 3 - first.this_run["done"]}
    assert plan(settings()).already == 3


def test_two_runs_with_two_keys_do_not_share_books(settings: Settings, tmp_path: Path) -> None:
    """An alias that was moved while a run is at work: a second run cannot put the first one's books aside."""
    job = settings(action=Action.REWRAP)
    with Journal.open(tmp_path / "j", job) as first, Journal.open(tmp_path / "j", job) as second:
        first.begin("one")
        with pytest.raises(MigrationError, match="another run is at work"):
            second.begin("two")
        assert second.begin("one") == ""
        with contextlib.suppress(MigrationError):
            second.begin("two")
        first.end(finished=True)
        assert not first._rows("SELECT 1 FROM about WHERE name = 'finished'")
        second.end(finished=True)
        assert first._rows("SELECT 1 FROM about WHERE name = 'finished'")
