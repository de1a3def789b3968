"""What S3 or KMS refuses, forgets or does not know: nothing is carried over by halves, nothing is lost."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ParamValidationError
from botocore.response import StreamingBody

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.migrate import Action, KeyringSpec, MigrationContext, Outcome, Result, SkipReason, Task, migrate_one
from s3ec.migrate.steps.source import Source, check_length
from s3ec.migrate.steps.step import next_task
from s3ec.migrate.steps.yielding import PLACE_UNGUARDED
from s3ec.migrate.work.conditions import teach_conditions
from s3ec.migrate.work.ending import TaskEndedError
from s3ec.migrate.work.limits import MemoryBudget, TokenBucket

from .conftest import Open, Settings
from support.aws import create_kms_key, keep_versions
from support.vectors import all_vectors


def _answer(client: Any, operation: str, code: str, status: int = 403, service: str = "s3") -> None:
    """Let every request of this operation be answered with this error, as a server without permission would."""

    def refuse(**_: Any) -> Any:
        parsed = {"Error": {"Code": code, "Message": "refused"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return AWSResponse("", status, {}, None), parsed

    client.meta.events.register(f"before-call.{service}.{operation}", refuse)


def _do(context: MigrationContext, bucket: str, key: str = "k") -> Outcome:
    return migrate_one(Task(bucket=bucket, key=key), context=context)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "reason", "leave"),
    [
        ("GetObjectTagging", SkipReason.TAGS_UNREADABLE, "ignore_tags"),
        ("GetObjectAcl", SkipReason.ACL_UNREADABLE, "ignore_acl"),
    ],
)
def test_what_may_not_be_read_is_not_left_behind_silently(
    operation: str, reason: SkipReason, leave: str, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """Without permission the object is left alone and listed; with the explicit opt-in it is done without."""
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")["ETag"]
    context = open_context(settings())
    _answer(context.s3, operation, "AccessDenied")
    outcome = _do(context, bucket)
    assert (outcome.reason, outcome.leaves_undone) == (reason, True)
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag
    context = open_context(settings(**{leave: True}))
    _answer(context.s3, operation, "AccessDenied")
    assert _do(context, bucket).result is Result.DONE


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("NotImplemented", 501), ("InternalError", 500), ("SlowDown", 503)]
)
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.REWRAP])
def test_versions_that_cannot_be_listed_are_a_note(
    action: Action,
    code: str,
    status: int,
    settings: Settings,
    open_context: Open,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
    aws: dict[str, Any],
) -> None:
    """The object is written by then: a failure would have the next look find it done, and nobody would hear of it."""
    keep_versions(plain_s3, bucket)
    client = plain_s3 if action is Action.MIGRATE else make_client()
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    context = open_context(settings(action=action, keyring=KeyringSpec(kind="kms", key_id=create_kms_key(aws))))
    _answer(context.s3, "ListObjectVersions", code, status)
    outcome = _do(context, bucket)
    assert outcome.result is Result.DONE
    assert PLACE_UNGUARDED in outcome.notes


def test_an_object_of_another_owner_is_left_alone(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """Written again it would belong to somebody else, and its ACL could not be set from here."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    context = open_context(settings())
    context._facts[bucket] = replace(context.facts(bucket), owner_id="somebody-else")
    assert _do(context, bucket).reason is SkipReason.FOREIGN_OWNER


def _annotate(context: MigrationContext, bucket: str) -> dict[str, bytes]:
    """A server that knows annotations: one is there, and what is put is kept."""
    context._annotations[bucket] = True
    kept: dict[str, bytes] = {}
    ok = AWSResponse("", 200, {}, None)
    events = context.s3.meta.events
    events.register(
        "before-call.s3.ListObjectAnnotations",
        lambda **_: (ok, {"Annotations": [{"AnnotationName": "note"}], "ResponseMetadata": {}}),
    )
    events.register(
        "before-call.s3.GetObjectAnnotation",
        lambda **_: (ok, {"AnnotationPayload": io.BytesIO(b"text"), "ResponseMetadata": {}}),
    )

    def put(params: dict[str, Any], **_: Any) -> Any:
        kept[params["query_string"]["annotationName"]] = params["headers"]["x-amz-object-if-match"]
        return ok, {"ResponseMetadata": {}}

    events.register("before-call.s3.PutObjectAnnotation", put)
    return kept


@pytest.mark.slow
def test_annotations_are_set_again_where_versions_keep_the_old_ones(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """They are put on the new version under its ETag, and the outcome says that this came after the object."""
    if not hasattr(plain_s3, "put_object_annotation"):
        pytest.skip("this SDK knows no annotations")
    keep_versions(plain_s3, bucket)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    context = open_context(settings())
    kept = _annotate(context, bucket)
    outcome = _do(context, bucket)
    assert outcome.result is Result.DONE
    assert list(kept.values()) == [outcome.etag_out]
    assert any("annotations" in note for note in outcome.notes)


def test_annotations_without_versions_stop_the_task(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """A kill between object and annotation would lose it forever, so the object is left alone and listed."""
    if not hasattr(plain_s3, "put_object_annotation"):
        pytest.skip("this SDK knows no annotations")
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    context = open_context(settings())
    _annotate(context, bucket)
    assert _do(context, bucket).reason is SkipReason.ANNOTATED


def test_a_server_without_annotations_is_asked_once(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """Moto answers 500: the probe shows it, one note says it, and no object costs a request for it."""
    for key in ("a", "b"):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    context = open_context(settings())
    outcomes = [_do(context, bucket, key) for key in ("a", "b")]
    assert all("list_object_annotations" not in outcome.requests for outcome in outcomes)
    assert context._annotations == {bucket: False}
    assert [len([note for note in outcome.notes if "annotations" in note]) for outcome in outcomes] == [1, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"MissingMeta": 1},
        {"Metadata": {"a": "ünï"}},
        {"SSECustomerAlgorithm": "AES256"},
        {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
    ],
    ids=["missing metadata", "not UTF-8", "SSE-C", "archived tier"],
)
def test_what_cannot_be_said_again_is_left_alone(
    changes: dict[str, Any], settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """Headers and metadata that this SDK cannot send as they are, and objects that cannot be read, are listed."""
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    context = open_context(settings())
    context.s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: parsed.update(changes))
    outcome = _do(context, bucket)
    assert outcome.result is Result.SKIPPED
    assert outcome.leaves_undone
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag


def test_half_of_content_metadata_is_no_plaintext(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """An object whose instruction file lies under another suffix, or is lost, is not encrypted a second time."""
    metadata = {"x-amz-unencrypted-content-length": "1"}
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 17, Metadata=metadata)["ETag"]
    outcome = _do(open_context(settings()), bucket)
    assert (outcome.reason, outcome.leaves_undone) == (SkipReason.MALFORMED, True)
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag


def test_an_object_above_one_gcm_stream_is_left_alone() -> None:
    """2^36 - 32 bytes is what one stream carries; one more is refused before anything is read."""
    task = Task(bucket="b", key="k")
    check_length(Source(task=task, response={"ContentLength": GCM_MAX_PLAINTEXT_LENGTH, "ETag": '"1"'}))
    with pytest.raises(TaskEndedError) as caught:
        check_length(Source(task=task, response={"ContentLength": GCM_MAX_PLAINTEXT_LENGTH + 1, "ETag": '"1"'}))
    assert caught.value.reason is SkipReason.TOO_LARGE


@pytest.mark.parametrize("code", ["ThrottlingException", "KMSInternalException"])
def test_a_throttled_kms_is_asked_again_later(
    code: str, settings: Settings, bucket: str, plain_s3: Any, kms: Any, kms_key: str, open_context: Open
) -> None:
    """Throttling is a passing fault: the same task comes round again, and the object stands meanwhile."""
    from s3ec import KmsKeyring
    from s3ec.keyrings import DefaultMaterialsManager

    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    job = settings()
    context = open_context(job)
    _answer(kms, "GenerateDataKey", code, 400, "kms")
    context.write_manager = DefaultMaterialsManager(KmsKeyring(kms_key, client=kms))
    outcome = _do(context, bucket)
    assert outcome.result is Result.RETRY
    assert next_task(outcome, job) == replace(outcome.task, attempt=1)
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.slow
@pytest.mark.parametrize(("code", "status"), [("ConditionalRequestConflict", 409), ("SlowDown", 503)])
def test_a_conflict_or_a_busy_s3_is_tried_again(
    code: str, status: int, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """409 and 503 say that the same request may succeed later."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    context = open_context(settings())
    _answer(context.s3, "PutObject", code, status)
    assert _do(context, bucket).result is Result.RETRY


@pytest.mark.slow
def test_one_data_key_can_serve_many_objects(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """With reuse switched on KMS is asked once, and each object is still read on its own."""
    context = open_context(settings(reuse_data_keys=True))
    calls = 0
    for number in range(5):
        plain_s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"%d" % number)
        calls += _do(context, bucket, f"k{number}").kms_calls
    assert calls == context.meter.total == 1
    for number in range(5):
        assert make_client().get_object(Bucket=bucket, Key=f"k{number}")["Body"].read() == b"%d" % number


def test_kms_requests_are_paced() -> None:
    """Calls beyond the burst wait until their token is due."""
    waits: list[float] = []
    bucket = TokenBucket(50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", waits.append)
        for _ in range(75):
            bucket.acquire()
    assert len(waits) >= 20
    assert 0.3 < max(waits) <= 0.5


def test_memory_is_waited_for() -> None:
    """Whoever needs more than there is waits; more than the whole counts as the whole."""
    import threading

    budget = MemoryBudget(10)
    entered = threading.Event()

    def second() -> None:
        with budget.reserve(100):
            entered.set()

    with budget.reserve(1):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()


@pytest.mark.slow
def test_an_sdk_without_conditions_sends_them_all_the_same(
    aws: dict[str, Any], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where botocore knows no parameter for the condition, it goes out as a header, and S3 obeys it."""
    client = boto3.client("s3", **aws)
    for name in ("IfMatch", "IfNoneMatch"):
        # What an older service model looks like.
        monkeypatch.delitem(
            client.meta.service_model.operation_model("PutObject").input_shape.members, name, raising=False
        )
    with pytest.raises(ParamValidationError):
        client.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    teach_conditions(client)
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    client.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="k", Body=b"3", IfNoneMatch="*")


@pytest.mark.slow
def test_verification_reads_everything_and_writes_nothing(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Sound objects verify, altered ones fail and say why, plaintext is named as such."""
    client = make_client()
    for key in ("sound", "altered"):
        client.put_object(Bucket=bucket, Key=key, Body=b"text")
    stored = plain_s3.get_object(Bucket=bucket, Key="altered")
    body = bytes([stored["Body"].read()[0] ^ 1]) + bytes(19)
    plain_s3.put_object(Bucket=bucket, Key="altered", Body=body, Metadata=stored["Metadata"])
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    context = open_context(settings(action=Action.VERIFY))
    outcomes = {key: _do(context, bucket, key) for key in ("sound", "altered", "plain")}
    assert outcomes["sound"].result is Result.DONE
    assert outcomes["altered"].result is Result.FAILED
    assert "tampering" in outcomes["altered"].message
    assert outcomes["plain"].reason is SkipReason.NOT_ENCRYPTED
    written = {"put_object", "copy_object", "delete_object"}
    assert not any(written & outcome.requests.keys() for outcome in outcomes.values())


@pytest.mark.slow
def test_a_write_whose_answer_was_lost_is_found_done(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """S3 carried the write out and the answer never came: the repeated request sees another ETag, and that is right."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b" * 1900})
    job = settings(instruction_file="when-needed")
    context = open_context(job)

    def lose(parsed: dict[str, Any], model: Any, http_response: Any, **_: Any) -> None:
        # As if a repetition of the request had been told that its condition does not hold any more.
        if parsed.get("ETag") and plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"].get("x-amz-d"):
            http_response.status_code = 412
            parsed["Error"] = {"Code": "PreconditionFailed", "Message": "lost"}

    context.s3.meta.events.register("after-call.s3.PutObject", lose)
    outcome = _do(context, bucket)
    assert outcome.result is Result.CHANGED
    # The instruction file holds the only data key of what was written: it must not have been taken back.
    assert make_client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    again = next_task(outcome, job)
    assert again is not None
    assert migrate_one(again, context=open_context(job)).result is Result.ALREADY


def test_what_does_not_decrypt_to_what_was_read_is_not_committed(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of memory or cipher between reading and writing is found by the reader's cipher, before the put."""
    from s3ec.crypto.content import ContentEncryptor

    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)["ETag"]
    sound = ContentEncryptor.update

    def faulty(self: ContentEncryptor, data: Any) -> bytes:
        ciphertext = bytearray(sound(self, data))
        ciphertext[7] ^= 1
        return bytes(ciphertext)

    monkeypatch.setattr(ContentEncryptor, "update", faulty)
    outcome = _do(open_context(settings()), bucket)
    assert outcome.result is Result.FAILED
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag


def test_what_is_not_what_was_written_when_it_is_read_back_is_a_failure(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """The option reads the object from S3 again: a byte that has changed there is found, and named tampering."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
    context = open_context(settings(read_back=True))
    answers = 0

    def change(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal answers
        answers += "Body" in parsed and parsed["Metadata"].get("x-amz-d") is not None
        if answers:
            body = bytearray(parsed["Body"].read())
            body[50] ^= 1
            parsed["Body"] = StreamingBody(io.BytesIO(bytes(body)), len(body))

    context.s3.meta.events.register("after-call.s3.GetObject", change)
    outcome = _do(context, bucket)
    assert answers == 1
    assert (outcome.result, outcome.error) == (Result.FAILED, "AuthenticationError")


def test_a_listing_is_not_believed_about_young_objects(
    settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """A file that the listing does not show is still found, so that ciphertext is never taken for plaintext."""
    vector = next(v for v in all_vectors() if v.format == "V2" and v.instruction_file is not None)
    assert vector.instruction_file is not None
    plain_s3.put_object(Bucket=bucket, Key="k", Body=vector.body, Metadata=dict(vector.metadata))
    plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=vector.instruction_file.body)
    task = Task(bucket=bucket, key="k", has_instruction_file=False)
    assert migrate_one(task, context=open_context(settings())).reason is SkipReason.OLD_FORMAT
    # Nor about an old one whose bytes look like ciphertext.
    assert migrate_one(task, context=open_context(settings(settle_seconds=0))).reason is SkipReason.OLD_FORMAT
