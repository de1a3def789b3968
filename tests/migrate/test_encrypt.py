"""Plaintext becomes encrypted, with everything that hangs on it; whatever cannot be carried over stands as it was."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from s3ec.migrate import Location, Outcome, Result, SkipReason, Task
from s3ec.migrate.steps.step import next_task
from s3ec.migrate.work.macs import etag_mac

from .conftest import Step
from support.macs import MAC_KEY, mac_of

RETAIN_UNTIL = datetime.datetime(2040, 1, 2, tzinfo=datetime.timezone.utc)
PROPERTIES: dict[str, Any] = {
    "Metadata": {"team": "hr", "mixed-case": "Value"},
    "CacheControl": "no-cache",
    "ContentDisposition": 'attachment; filename="a.txt"',
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "ContentType": "text/plain",
    "Expires": datetime.datetime(2039, 1, 1, tzinfo=datetime.timezone.utc),
    "WebsiteRedirectLocation": "/elsewhere",
    "StorageClass": "STANDARD_IA",
    "Tagging": "cost=42&name=a%20b%2Bc",
    "ServerSideEncryption": "aws:kms",
    "SSEKMSKeyId": "some-key",
    "BucketKeyEnabled": True,
}


def read(make_client: Callable[..., Any], bucket: str, key: str) -> bytes:
    """The plaintext as a client reads it that takes nothing but encrypted objects."""
    from s3ec import STORED_CONTEXT

    answer = make_client().get_object(Bucket=bucket, Key=key, EncryptionContext=STORED_CONTEXT)
    body: bytes = answer["Body"].read()
    return body


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 100_000])
def test_plaintext_becomes_encrypted_in_place(
    size: int, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """The bytes that S3 holds are others afterwards, a reader gets the same ones, and the outcome tells both."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=body)["ETag"]
    outcome = step("k")
    assert outcome.result is Result.DONE
    assert (outcome.format_before, outcome.format_after) == ("plaintext", "V3")
    # The ETag of plaintext is its MD5: only a MAC of it is told.
    assert outcome.etag_in == outcome.task.etag == etag_mac(MAC_KEY, outcome.task, etag) != etag
    assert outcome.plaintext_mac == mac_of(body)
    assert outcome.plaintext_length == size
    assert outcome.kms_calls == 1
    head = plain_s3.head_object(Bucket=bucket, Key="k")
    assert (head["ETag"], head["ContentLength"]) == (outcome.etag_out, size + 16)
    assert read(make_client, bucket, "k") == body


def test_everything_that_hangs_on_an_object_is_carried_over(step: Step, bucket: str, plain_s3: Any) -> None:
    """Metadata, headers, tags, storage class, server-side encryption and redirect are as they were."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", **PROPERTIES)
    before = plain_s3.head_object(Bucket=bucket, Key="k")
    tags = plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert step("k").result is Result.DONE
    after = plain_s3.head_object(Bucket=bucket, Key="k")
    changed = {"ETag", "ContentLength", "LastModified", "ResponseMetadata", "Metadata"}
    assert {name: value for name, value in after.items() if name not in changed} == {
        name: value for name, value in before.items() if name not in changed
    }
    assert before["Metadata"].items() <= after["Metadata"].items()
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags


def test_another_server_side_mode_can_be_asked_for(step: Step, bucket: str, plain_s3: Any) -> None:
    """Given a mode, it is used for what is written, whatever the object had."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    wanted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "another"}
    assert step("k", server_side_encryption=wanted).result is Result.DONE
    head = plain_s3.head_object(Bucket=bucket, Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "another")


def test_a_second_run_encrypts_nothing_twice(step: Step, bucket: str, plain_s3: Any) -> None:
    """What is encrypted as wanted is left alone, without a request to KMS."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    first = step("k")
    second = step("k")
    assert second.result is Result.ALREADY
    assert second.kms_calls == 0
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == first.etag_out


@pytest.mark.slow
def test_the_count_of_tags_may_be_believed(step: Step, bucket: str, plain_s3: Any) -> None:
    """Where it is, an object without tags costs no request for them, and one with tags keeps them."""
    plain_s3.put_object(Bucket=bucket, Key="bare", Body=b"x")
    plain_s3.put_object(Bucket=bucket, Key="tagged", Body=b"x", Tagging="a=b")
    assert "get_object_tagging" not in step("bare", trust_tag_count=True).requests
    assert step("tagged", trust_tag_count=True).requests["get_object_tagging"] == 1
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="tagged")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_acl_grants_are_set_with_the_object(step: Step, bucket: str, plain_s3: Any) -> None:
    """A public object stays public, and its owner its owner."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    before = plain_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert step("k").result is Result.DONE
    after = plain_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]
    assert sorted(map(str, before)) == sorted(map(str, after))


@pytest.mark.slow
def test_the_acl_is_not_asked_for_where_the_bucket_has_none(step: Step, bucket: str, plain_s3: Any) -> None:
    """With Object Ownership enforced by the bucket's owner no request is spent on ACLs."""
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    plain_s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    outcome = step("k")
    assert outcome.result is Result.DONE
    assert "get_object_acl" not in outcome.requests


def test_a_concurrent_writer_wins(step: Step, bucket: str, plain_s3: Any) -> None:
    """An object that was written since it was listed stands as its writer left it, and is looked at again."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    stale = Task(bucket=bucket, key="k", etag='"0123"')
    outcome = step("k", task=stale)
    assert outcome.result is Result.CHANGED
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    again = next_task(outcome, _any_settings())
    assert again == Task(bucket=bucket, key="k", attempt=1)
    assert step("k", task=again).result is Result.DONE


def _any_settings() -> Any:
    from s3ec.migrate import Action, KeyringSpec, MigrationSettings

    keyring = KeyringSpec(kind="kms", key_id="k")
    return MigrationSettings(action=Action.MIGRATE, source=Location(bucket="b"), keyring=keyring, max_attempts=2)


def test_planning_anew_is_bounded(bucket: str) -> None:
    """After the last attempt the object is given up, and its last outcome says why."""
    last = Outcome(task=Task(bucket=bucket, key="k", attempt=1), result=Result.CHANGED)
    assert next_task(last, _any_settings()) is None
    assert last.leaves_undone


def test_a_writer_between_read_and_write_wins(
    step: Step, bucket: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write carries the ETag that was read: what came in between is not overwritten."""
    from s3ec.migrate.steps import writing

    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    write = writing.write

    def late(*arguments: Any, **options: Any) -> Any:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        return write(*arguments, **options)

    monkeypatch.setattr(writing, "write", late)
    assert step("k").result is Result.CHANGED
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_a_deleted_object_stays_deleted(step: Step, bucket: str, plain_s3: Any) -> None:
    """What was deleted since it was listed, even during the task, does not come back."""
    assert step("k", task=Task(bucket=bucket, key="k", etag='"1"')).result is Result.GONE
    assert plain_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("key", ["folder/", "a b+c%2Fd", "ünï/cødé 😀", " ", "x" * 1024, "a//b", "./a"])
def test_any_key_is_moved(key: str, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]) -> None:
    """Folders' markers and keys that need encoding are objects like others."""
    plain_s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert step(key).result is Result.DONE
    assert read(make_client, bucket, key) == b""


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_objects_are_listed_and_left(storage_class: str, step: Step, bucket: str, plain_s3: Any) -> None:
    """What must be restored first is said to be so."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=storage_class)
    outcome = step("k")
    assert (outcome.result, outcome.reason) == (Result.SKIPPED, SkipReason.ARCHIVED)
    assert outcome.leaves_undone


@pytest.mark.slow
def test_metadata_that_would_not_fit_is_found_before_any_write(step: Step, bucket: str, plain_s3: Any) -> None:
    """Nothing is written where S3's 2 KB of metadata cannot take ours beside the caller's."""
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b" * 1900})["ETag"]
    for dry_run in (True, False):
        outcome = step("k", dry_run=dry_run)
        assert outcome.reason is SkipReason.METADATA_TOO_LARGE
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["when-needed", "always"])
def test_an_instruction_file_takes_what_does_not_fit(
    layout: str, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Where it is allowed, the encrypted data key goes into an instruction file, and readers find it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b" * 1900})
    assert step("k", instruction_file=layout).result is Result.DONE
    assert read(make_client, bucket, "k") == b"x"
    keys = [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["k", "k.instruction"]
    assert step("k", instruction_file=layout).result is Result.ALREADY
    assert step("k.instruction").reason is SkipReason.INSTRUCTION_FILE


def test_a_write_that_fails_takes_its_instruction_file_back(
    step: Step, bucket: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another writer wins, no instruction file is left beside its object."""
    from s3ec.migrate.steps import writing

    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    write = writing.write

    def late(*arguments: Any, **options: Any) -> Any:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        return write(*arguments, **options)

    monkeypatch.setattr(writing, "write", late)
    assert step("k", instruction_file="always").result is Result.CHANGED
    assert [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_locks_are_carried_to_the_new_version(step: Step, settings: Any, plain_s3: Any) -> None:
    """Retention and legal hold stand on the encrypted version too; the old one stays, and that is said."""
    bucket = settings().source.bucket + "-locked"
    plain_s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    plain_s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=RETAIN_UNTIL,
        ObjectLockLegalHoldStatus="ON",
    )
    outcome = step("k", task=Task(bucket=bucket, key="k"), source=Location(bucket=bucket))
    assert outcome.result is Result.DONE
    assert outcome.version_in != outcome.version_out
    assert any("locked" in note for note in outcome.notes)
    head = plain_s3.head_object(Bucket=bucket, Key="k")
    assert head["VersionId"] == outcome.version_out
    assert head["ObjectLockMode"] == "GOVERNANCE"
    assert head["ObjectLockRetainUntilDate"] == RETAIN_UNTIL
    assert head["ObjectLockLegalHoldStatus"] == "ON"


def test_a_locked_object_is_not_moved_to_where_no_lock_is(
    step: Step, bucket: str, settings: Any, plain_s3: Any
) -> None:
    """A destination that cannot keep the lock does not get the object."""
    locked = bucket + "-locked"
    plain_s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    plain_s3.put_object(Bucket=locked, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON")
    outcome = step(
        "k",
        task=Task(bucket=locked, key="k"),
        source=Location(bucket=locked),
        destination=Location(bucket=bucket),
    )
    assert outcome.reason is SkipReason.DESTINATION_WITHOUT_LOCK


@pytest.mark.slow
def test_the_original_time_can_be_kept(step: Step, bucket: str, plain_s3: Any) -> None:
    """Where asked for, a metadata entry keeps when the object was written."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    before = plain_s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    step("k", keep_last_modified="original-last-modified")
    after = plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]
    assert datetime.datetime.fromisoformat(after["original-last-modified"]) == before


@pytest.mark.slow
def test_an_original_time_that_is_kept_already_stays(step: Step, bucket: str, plain_s3: Any) -> None:
    """S3 keeps names in lower case, whatever case they are asked for in: the first entry is the original one."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"original": "long ago"})
    assert step("k", keep_last_modified="Original").result is Result.DONE
    assert plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]["original"] == "long ago"


def test_young_objects_of_infrequent_access_can_be_spared(step: Step, bucket: str, plain_s3: Any) -> None:
    """What is paid for thirty days is left alone until then, where that is wanted."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="STANDARD_IA")
    outcome = step("k", skip_young=True)
    assert outcome.reason is SkipReason.YOUNG
    assert not outcome.leaves_undone


def test_reading_back_compares_with_what_was_written(step: Step, bucket: str, plain_s3: Any) -> None:
    """The option reads the object again from S3 with the reader's keyring."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)
    outcome = step("k", read_back=True)
    assert outcome.result is Result.DONE
    assert outcome.kms_calls == 2


def test_a_dry_run_writes_nothing(step: Step, bucket: str, plain_s3: Any) -> None:
    """A dry run says what it would do, and asks no KMS."""
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    outcome = step("k", dry_run=True)
    assert outcome.result is Result.PLANNED
    assert outcome.kms_calls == 0
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag


@pytest.mark.slow
def test_objects_can_go_to_another_place(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """With a destination the source stays as it is, and the key keeps what follows the prefix."""
    etag = plain_s3.put_object(Bucket=bucket, Key="in/a/b", Body=b"x")["ETag"]
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    outcome = step("in/a/b", **where)
    assert outcome.result is Result.DONE
    assert (outcome.destination_bucket, outcome.destination_key) == (bucket, "out/a/b")
    assert plain_s3.head_object(Bucket=bucket, Key="in/a/b")["ETag"] == etag
    assert read(make_client, bucket, "out/a/b") == b"x"
    assert step("in/a/b", **where).result is Result.ALREADY
    assert step("in/a/b", keep_last_modified="t", **where).reason is SkipReason.DESTINATION_EXISTS


@pytest.mark.slow
def test_nothing_at_the_destination_is_overwritten(step: Step, bucket: str, plain_s3: Any) -> None:
    """An object that has the name already stands, whether plain or encrypted with other content."""
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    plain_s3.put_object(Bucket=bucket, Key="in/a", Body=b"x")
    plain_s3.put_object(Bucket=bucket, Key="out/a", Body=b"y")
    assert step("in/a", **where).reason is SkipReason.DESTINATION_EXISTS
    assert step("out/a").result is Result.DONE
    etag = plain_s3.head_object(Bucket=bucket, Key="out/a")["ETag"]
    assert step("in/a", **where).reason is SkipReason.DESTINATION_EXISTS
    assert plain_s3.head_object(Bucket=bucket, Key="out/a")["ETag"] == etag


@pytest.mark.slow
def test_a_source_that_changed_replaces_its_own_earlier_copy(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """What this job wrote at the destination may be replaced by it, under the ETag that it wrote."""
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    plain_s3.put_object(Bucket=bucket, Key="in/a", Body=b"x")
    first = step("in/a", **where)
    plain_s3.put_object(Bucket=bucket, Key="in/a", Body=b"newer")
    again = Task(bucket=bucket, key="in/a", replaces=first.etag_out)
    assert step("in/a", task=again, **where).result is Result.DONE
    assert read(make_client, bucket, "out/a") == b"newer"


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["never", "always"])
def test_what_is_encrypted_already_moves_as_it_is(
    layout: str, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """To another place an encrypted object is copied inside S3, with its instruction file; no key is asked for."""
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    plain_s3.put_object(Bucket=bucket, Key="in/a", Body=b"x", Metadata={"b": "c"}, Tagging="d=e")
    step("in/a", instruction_file=layout)
    stored = plain_s3.get_object(Bucket=bucket, Key="in/a")["Body"].read()
    outcome = step("in/a", **where)
    assert (outcome.result, outcome.kms_calls) == (Result.DONE, 0)
    assert plain_s3.get_object(Bucket=bucket, Key="out/a")["Body"].read() == stored
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="out/a")["TagSet"] == [{"Key": "d", "Value": "e"}]
    answer = make_client().get_object(Bucket=bucket, Key="out/a")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"x", {"b": "c"})
    assert step("in/a", **where).result is Result.ALREADY
    keys = [entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket, Prefix="out/")["Contents"]]
    assert keys == (["out/a"] if layout == "never" else ["out/a", "out/a.instruction"])


@pytest.mark.slow
def test_a_foreign_file_under_an_instruction_files_name_stands(step: Step, bucket: str, plain_s3: Any) -> None:
    """Neither a move nor a migration overwrites what only happens to have that name."""
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    for key in ("in/a", "b"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for key in ("out/a.instruction", "b.instruction"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"somebody's own")
    step("in/a", instruction_file="always")
    assert step("in/a", **where).reason is SkipReason.DESTINATION_EXISTS
    assert step("b", instruction_file="always").reason is SkipReason.DESTINATION_EXISTS
    for key in ("out/a.instruction", "b.instruction"):
        assert plain_s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"somebody's own"


@pytest.mark.slow
def test_a_bound_object_is_bound_to_its_new_place(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """The object's ARN in the context is the destination's, whether it was bound before or is from now on."""
    where = {"source": Location(bucket=bucket, prefix="in/"), "destination": Location(bucket=bucket, prefix="out/")}
    bound = make_client(bind_object=True)
    plain_s3.put_object(Bucket=bucket, Key="in/a", Body=b"x")
    assert step("in/a", bind_object=True).result is Result.DONE
    assert bound.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"x"
    assert step("in/a", **where).result is Result.DONE
    assert bound.get_object(Bucket=bucket, Key="out/a")["Body"].read() == b"x"
