"""Half of a format, or a mix of several: such an object may be encrypted, and is never taken for plaintext."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody

from s3ec import CommitmentPolicy
from s3ec.migrate import Action, Journal, MigrationSettings, Result, SkipReason, Task, migrate_one, plan, run
from s3ec.migrate.audit.report import audit, blocks
from s3ec.migrate.audit.survey import Survey
from s3ec.migrate.audit.survey_object import SurveyedObject

from support.vectors import all_vectors

IV = base64.b64encode(b"1" * 12).decode()
KEY = base64.b64encode(bytes(48)).decode()
CONTENT_V3 = {
    "x-amz-c": "115",
    "x-amz-d": base64.b64encode(bytes(28)).decode(),
    "x-amz-i": base64.b64encode(bytes(28)).decode(),
}
MALFORMED = {
    "an IV alone": {"x-amz-iv": IV},
    "an encrypted key alone": {"x-amz-key": KEY},
    "an encrypted key of V2 alone": {"x-amz-key-v2": KEY},
    "V2 without its key": {"x-amz-iv": IV, "x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-wrap-alg": "kms+context"},
    "a description alone": {"x-amz-matdesc": "{}"},
    "two of three of V3": {name: CONTENT_V3[name] for name in ("x-amz-c", "x-amz-d")},
    "V3 without its key": {**CONTENT_V3, "x-amz-w": "12"},
    "V3 without its wrapping": {**CONTENT_V3, "x-amz-3": KEY},
    "a length alone": {"x-amz-unencrypted-content-length": "17"},
    "a checksum alone": {"x-amz-unencrypted-content-md5": KEY},
    "names in capitals": {"X-Amz-Iv": IV},
    "an empty value": {"x-amz-key-v2": ""},
    "the mark of a file under another suffix": {"x-amz-crypto-instr-file": ""},
}
WITHOUT_FILE = {"V3 without its file": CONTENT_V3}
MIXED = {
    "V1 and V2": {"x-amz-key": KEY, "x-amz-key-v2": KEY, "x-amz-iv": IV},
    "V2 and V3": {"x-amz-key-v2": KEY, "x-amz-iv": IV, **CONTENT_V3},
    "V1 and half of V3": {"x-amz-key": KEY, "x-amz-iv": IV, "x-amz-c": "115"},
}
ERRORS = {
    **dict.fromkeys(MALFORMED, "MalformedMetadataError"),
    **dict.fromkeys(WITHOUT_FILE, "InstructionFileError"),
    **dict.fromkeys(MIXED, "ConflictingMetadataError"),
}
HALVES: Mapping[str, Mapping[str, str]] = {**MALFORMED, **WITHOUT_FILE, **MIXED}


@pytest.fixture
def halves(bucket: str, plain_s3: Any) -> str:
    """A bucket with one object of each, named after what it has."""
    for name, metadata in HALVES.items():
        plain_s3.put_object(Bucket=bucket, Key=name, Body=b"perhaps ciphertext", Metadata=dict(metadata))
    return bucket


def _stored(plain_s3: Any, bucket: str) -> dict[str, tuple[str, Mapping[str, str]]]:
    heads = {name: plain_s3.head_object(Bucket=bucket, Key=name) for name in HALVES}
    return {name: (head["ETag"], head["Metadata"]) for name, head in heads.items()}


@pytest.mark.slow
def test_a_survey_calls_them_unreadable_and_says_why(halves: str, plain_s3: Any) -> None:
    """None of them is counted as plaintext, or as any format."""
    found = {each.key: each for each in Survey(plain_s3, halves)}
    assert {key: each.format for key, each in found.items()} == dict.fromkeys(HALVES, "unreadable")
    assert {key: each.error for key, each in found.items()} == ERRORS
    assert all(each.problem for each in found.values())


@pytest.mark.slow
def test_an_audit_counts_them_apart_and_says_that_they_block(halves: str, plain_s3: Any) -> None:
    """They are in the totals, in none of the formats, and under a reason with an advice."""
    document = audit(Survey(plain_s3, halves)).document()
    assert (document["objects"], document["unreadable"]) == (len(HALVES), len(HALVES))
    assert set(document["formats"].values()) == {0}
    blocking = {each["reason"]: (each["objects"], bool(each["advice"])) for each in document["blocks_migration"]}
    assert blocking == {
        "malformed": (len(MALFORMED) + len(WITHOUT_FILE), True),
        "conflicting": (len(MIXED), True),
    }
    assert document["ready_for_require_decrypt"] is False


@pytest.mark.slow
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.UPGRADE])
def test_none_of_them_is_encrypted_again(
    action: Action, settings: Callable[..., MigrationSettings], halves: str, plain_s3: Any, tmp_path: Path
) -> None:
    """A plan and a run leave each as it is, list it with its reason, and count it as wanted and not done."""
    before = _stored(plain_s3, halves)
    job = settings(action=action)
    planned = plan(job)
    assert (planned.objects, planned.to_do, planned.kms_calls) == (len(HALVES), 0, 0)
    assert planned.skipped == {"malformed": len(MALFORMED) + len(WITHOUT_FILE), "failed": len(MIXED)}
    with Journal.open(tmp_path / "journal", job) as journal:
        summary = run(job, journal, workers=4)
        outcomes = {outcome.task.key: outcome for outcome in journal.outcomes()}
    assert (summary.undone, summary.kms_calls) == (len(HALVES), 0)
    assert {key: outcome.error for key, outcome in outcomes.items()} == ERRORS
    assert all(outcome.message for outcome in outcomes.values())
    assert {outcomes[name].reason for name in (*MALFORMED, *WITHOUT_FILE)} == {SkipReason.MALFORMED}
    assert {outcomes[name].result for name in MIXED} == {Result.FAILED}
    assert _stored(plain_s3, halves) == before


@pytest.mark.slow
def test_an_object_that_lost_all_but_its_length_is_left_alone(
    settings: Callable[..., MigrationSettings], bucket: str, plain_s3: Any, tmp_path: Path
) -> None:
    """Such a length stands beside every instruction file of the older clients: without file a half, with it V2."""
    vector = next(v for v in all_vectors() if v.name == "java/javasdk1-v2-aes256-instr-17")
    assert vector.metadata.keys() == {"x-amz-unencrypted-content-length"}
    assert vector.instruction_file is not None
    plain_s3.put_object(Bucket=bucket, Key="k", Body=vector.body, Metadata=dict(vector.metadata))
    (stripped,) = Survey(plain_s3, bucket)
    assert (stripped.format, stripped.error) == ("unreadable", "MalformedMetadataError")
    with Journal.open(tmp_path / "journal", settings()) as journal:
        assert run(settings(), journal, workers=1).reasons == {"malformed": 1}
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == vector.body
    plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=vector.instruction_file.body)
    assert {each.key: each.format for each in Survey(plain_s3, bucket)} == {
        "k": "V2",
        "k.instruction": "instruction-file",
    }


def test_whatever_makes_it_unreadable_it_blocks() -> None:
    """An error of S3 that nobody has foreseen is a reason, too."""
    assert blocks(SurveyedObject(key="k", format="unreadable", error="SlowDown")) == ["unreadable"]
    assert blocks(SurveyedObject(key="k")) == []


def test_half_an_instruction_file_that_arrived_is_no_sign_of_plaintext(
    make_client: Callable[..., Any],
    plain_s3: Any,
    bucket: str,
    settings: Callable[..., MigrationSettings],
    open_context: Callable[..., Any],
) -> None:
    """A connection cut while the file was read says nothing about the object, which would be encrypted twice."""
    writer = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT, instruction_file_writes=True)
    writer.put_object(Bucket=bucket, Key="k", Body=b"plaintext")
    before = plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    length = plain_s3.head_object(Bucket=bucket, Key="k.instruction")["ContentLength"]
    context = open_context(settings())

    def cut(parsed: dict[str, Any], **_: Any) -> None:
        if parsed["ContentLength"] == length:
            parsed["Body"] = StreamingBody(io.BytesIO(parsed["Body"].read(10)), length)

    context.s3.meta.events.register("after-call.s3.GetObject", cut, unique_id="cut")
    outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    assert (outcome.result, outcome.error) == (Result.RETRY, "IncompleteReadError")
    context.s3.meta.events.unregister("after-call.s3.GetObject", unique_id="cut")
    assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is not Result.DONE
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == before
