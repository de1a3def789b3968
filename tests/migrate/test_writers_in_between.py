"""Another writer's change wins, whatever it changes and whenever it comes; what cannot be guarded is said."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from s3ec.migrate import Action, KeyringSpec, Location, MigrationContext, Outcome, Result, Task, migrate_one
from s3ec.migrate.steps.yielding import TAGS_LEFT, TAGS_UNGUARDED, UNGUARDED

from .conftest import Open, Settings
from support.aws import create_kms_key, empty_bucket, keep_versions, new_bucket_name
from support.interference import Interference

BODY = b"the same bytes, " * 100
JOBS = ["migrate", "in parts", "rewrap"]


@pytest.fixture
def place(bucket: str, plain_s3: Any, request: pytest.FixtureRequest) -> str:
    """The bucket, with versions where the test asks for them."""
    if "versioned" in request.fixturenames and request.getfixturevalue("versioned"):
        keep_versions(plain_s3, bucket)
    return bucket


def _changes(job: str, aws: dict[str, Any]) -> dict[str, Any]:
    if job == "rewrap":
        return {"action": Action.REWRAP, "keyring": KeyringSpec(kind="kms", key_id=create_kms_key(aws))}
    return {"single_request_limit": 100} if job == "in parts" else {}


def _commit(job: str) -> str:
    return {"migrate": "PutObject", "in parts": "CompleteMultipartUpload", "rewrap": "CopyObject"}[job]


def _put(client: Any, plain_s3: Any, bucket: str, job: str) -> None:
    (client if job == "rewrap" else plain_s3).put_object(
        Bucket=bucket, Key="k", Body=BODY, Metadata={"state": "old"}, Tagging="t=old"
    )


def _run(context: MigrationContext, bucket: str) -> Outcome:
    return migrate_one(Task(bucket=bucket, key="k"), context=context)


def _with_other_metadata(plain_s3: Any, bucket: str) -> None:
    """The same bytes, and so the same ETag, with other metadata, type and tags."""
    head = plain_s3.head_object(Bucket=bucket, Key="k")
    plain_s3.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource={"Bucket": bucket, "Key": "k"},
        MetadataDirective="REPLACE",
        Metadata={**head["Metadata"], "state": "NEW"},
        ContentType="text/new",
        TaggingDirective="REPLACE",
        Tagging="t=NEW",
    )


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("moment", ["before the last look", "before the commit"])
@pytest.mark.parametrize("versioned", [False, True])
def test_other_metadata_on_the_same_bytes(
    job: str,
    moment: str,
    versioned: bool,
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
    place: str,
    plain_s3: Any,
) -> None:
    """The ETag stays what it was, and the change is seen all the same; only one request's time has no guard."""
    _put(make_client(), plain_s3, place, job)
    context = open_context(settings(**_changes(job, aws)))
    operation = "HeadObject" if moment == "before the last look" else _commit(job)
    # A rewrap begins with a HEAD as well.
    nth = 2 if (operation, job) == ("HeadObject", "rewrap") else 1
    Interference(context.s3).when(operation, lambda: _with_other_metadata(plain_s3, place), nth=nth)
    outcome = _run(context, place)
    if moment == "before the commit" and not versioned:
        # Nothing on S3 guards this, so the outcome of each object says so.
        assert outcome.result is Result.DONE
        assert UNGUARDED in outcome.notes
        return
    assert outcome.result is Result.CHANGED
    assert plain_s3.head_object(Bucket=place, Key="k")["Metadata"]["state"] == "NEW"
    again = _run(context, place)
    assert again.result is Result.DONE
    head = plain_s3.head_object(Bucket=place, Key="k")
    assert (head["Metadata"]["state"], head["ContentType"]) == ("NEW", "text/new")
    assert plain_s3.get_object_tagging(Bucket=place, Key="k")["TagSet"] == [{"Key": "t", "Value": "NEW"}]
    assert (UNGUARDED in again.notes) is not versioned


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("versioned", [True])
def test_tags_alone(
    job: str,
    versioned: bool,
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
    place: str,
    plain_s3: Any,
) -> None:
    """Tags change neither ETag nor time: where the old version is kept they are compared, and carried over."""
    _put(make_client(), plain_s3, place, job)
    context = open_context(settings(**_changes(job, aws)))
    new = {"TagSet": [{"Key": "t", "Value": "NEW"}]}
    change = Interference(context.s3)
    change.when(_commit(job), lambda: plain_s3.put_object_tagging(Bucket=place, Key="k", Tagging=new))
    outcome = _run(context, place)
    assert outcome.result is Result.DONE
    assert any("tags" in note for note in outcome.notes)
    assert plain_s3.get_object_tagging(Bucket=place, Key="k")["TagSet"] == new["TagSet"]


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("versioned", [True])
def test_a_deletion_within_the_same_second(
    job: str,
    versioned: bool,
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
    place: str,
    plain_s3: Any,
) -> None:
    """AWS dates versions to the second: their order in the listing tells what came first, and no clock."""
    _put(make_client(), plain_s3, place, job)
    context = open_context(settings(**_changes(job, aws)))
    second = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

    def to_the_second(parsed: dict[str, Any], **_: Any) -> None:
        for entry in (*parsed.get("Versions", []), *parsed.get("DeleteMarkers", [])):
            entry["LastModified"] = second

    context.s3.meta.events.register("after-call.s3.ListObjectVersions", to_the_second)
    # The condition of the commit does not see it where the ETag's object is the one that the marker hides.
    watch = Interference(context.s3)
    watch.forget("If-Match", _commit(job))
    watch.when(_commit(job), lambda: plain_s3.delete_object(Bucket=place, Key="k"))
    assert _run(context, place).result is Result.GONE
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=place)
    assert _run(context, place).result is Result.GONE


@pytest.fixture
def watched(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> tuple[MigrationContext, Interference]:
    """A job that is about to encrypt an object of a bucket with versions, and what is done in between."""
    keep_versions(plain_s3, bucket)
    _put(None, plain_s3, bucket, "migrate")
    context = open_context(settings())
    return context, Interference(context.s3)


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
@pytest.mark.parametrize("refused", [("DeleteObject", 500, "InternalError"), ("CopyObject", 403, "AccessDenied")])
def test_what_cannot_be_put_back_is_a_failure(
    change: str,
    refused: tuple[str, int, str],
    watched: tuple[MigrationContext, Interference],
    bucket: str,
    plain_s3: Any,
) -> None:
    """Were it tried again, the next look would find the object done, and nobody would hear of what lies under it."""
    context, watch = watched
    watch.forget("If-Match", "PutObject")
    writes: dict[str, Callable[[], Any]] = {
        "overwritten": lambda: plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new content"),
        "deleted": lambda: plain_s3.delete_object(Bucket=bucket, Key="k"),
    }
    watch.when("PutObject", writes[change])
    watch.answer(*refused)
    if refused[0] == "CopyObject":
        watch.answer("DeleteObject", 403, "AccessDenied")
    outcome = _run(context, bucket)
    assert (outcome.result, outcome.leaves_undone) == (Result.FAILED, True)
    found = plain_s3.list_object_versions(Bucket=bucket, Prefix="k")
    theirs = found["DeleteMarkers"][0] if change == "deleted" else found["Versions"][1]
    assert f"({theirs['VersionId']}) could not be put back" in outcome.message


@pytest.mark.parametrize(("operation", "note"), [("GetObjectTagging", TAGS_UNGUARDED), ("PutObjectTagging", TAGS_LEFT)])
@pytest.mark.parametrize("code", [(403, "AccessDenied"), (500, "InternalError")])
def test_tags_that_cannot_be_followed_are_a_note(
    operation: str,
    note: str,
    code: tuple[int, str],
    watched: tuple[MigrationContext, Interference],
    bucket: str,
    plain_s3: Any,
) -> None:
    """The object is written by then."""
    context, watch = watched

    def change() -> None:
        plain_s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "t", "Value": "NEW"}]})
        watch.answer(operation, *code)

    watch.when("PutObject", change)
    outcome = _run(context, bucket)
    assert outcome.result is Result.DONE
    assert note in outcome.notes


@pytest.fixture
def locked(plain_s3: Any) -> Any:
    """A bucket with Object Lock."""
    name = new_bucket_name()
    plain_s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    empty_bucket(plain_s3, name)


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_a_lock_that_holds_our_version(
    job: str,
    change: str,
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
    locked: str,
    plain_s3: Any,
) -> None:
    """Our version cannot be removed, so the writer's is put on top of it, or a delete marker; and that is said."""
    _put(make_client(), plain_s3, locked, job)
    context = open_context(settings(source=Location(bucket=locked), ignore_acl=True, **_changes(job, aws)))
    watch = Interference(context.s3)
    watch.refuse_removal_of_versions()
    watch.forget("If-Match", _commit(job))
    writes: dict[str, Callable[[], Any]] = {
        "overwritten": lambda: plain_s3.put_object(Bucket=locked, Key="k", Body=b"new content", Tagging="t=NEW"),
        "deleted": lambda: plain_s3.delete_object(Bucket=locked, Key="k"),
    }
    watch.when(_commit(job), writes[change])
    outcome = _run(context, locked)
    assert "put on top" in outcome.message
    if change == "deleted":
        assert outcome.result is Result.GONE
        assert "Contents" not in plain_s3.list_objects_v2(Bucket=locked)
        return
    assert outcome.result is Result.CHANGED
    assert plain_s3.get_object(Bucket=locked, Key="k")["Body"].read() == b"new content"
    assert plain_s3.get_object_tagging(Bucket=locked, Key="k")["TagSet"] == [{"Key": "t", "Value": "NEW"}]
