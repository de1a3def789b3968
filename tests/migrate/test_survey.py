"""The survey: what lies in a bucket, by listings and headers alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from s3ec import AesKeyring, CommitmentPolicy
from s3ec.migrate.audit.report import Audit, audit
from s3ec.migrate.audit.survey import Survey, bounded_map
from s3ec.migrate.audit.survey_object import look

from support.aws import keep_versions

V1 = {"x-amz-key": base64.b64encode(bytes(48)).decode(), "x-amz-iv": base64.b64encode(b"1" * 16).decode()}
FORGED = {"x-amz-key": "AA==", "x-amz-key-v2": "AA==", "x-amz-iv": "AA=="}


@pytest.fixture
def mixed(bucket: str, plain_s3: Any, make_client: Any) -> str:
    """A bucket with every format, a forgery, instruction files, and a neighbour with such a file's name."""
    put = plain_s3.put_object
    put(Bucket=bucket, Key="plain", Body=b"12345")
    put(Bucket=bucket, Key="v1", Body=bytes(32), Metadata=V1)
    make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT).put_object(
        Bucket=bucket, Key="v2", Body=b"1"
    )
    make_client().put_object(Bucket=bucket, Key="v3", Body=b"1", EncryptionContext={"team": "hr"})
    make_client(keyring=AesKeyring(bytes(32)), instruction_file_writes=True).put_object(
        Bucket=bucket, Key="beside", Body=b"1"
    )
    put(Bucket=bucket, Key="forged", Body=b"1", Metadata=FORGED)
    put(Bucket=bucket, Key="notes.instruction", Body=b"how to assemble the desk")
    put(Bucket=bucket, Key="desk", Body=b"1")
    put(Bucket=bucket, Key="desk.instruction", Body=b"how to assemble the desk")
    return bucket


def found(client: Any, bucket: str, **options: Any) -> dict[str, Any]:
    """What the survey says, by key."""
    return {each.key: each for each in Survey(client, bucket, **options)}


@pytest.mark.slow
def test_every_format_is_told_apart(mixed: str, plain_s3: Any):
    """Formats, locations and wrapping come from headers; an object that only has the name is an ordinary one."""
    objects = found(plain_s3, mixed)
    assert {key: each.format for key, each in objects.items()} == {
        "plain": "plaintext",
        "v1": "V1",
        "v2": "V2",
        "v3": "V3",
        "beside": "V3",
        "beside.instruction": "instruction-file",
        "forged": "unreadable",
        "notes.instruction": "plaintext",
        "desk": "plaintext",
        "desk.instruction": "plaintext",
    }
    assert (objects["v3"].wrapping_algorithm, objects["v3"].metadata_location) == ("kms+context", "metadata")
    assert objects["v3"].context_names == ("aws:x-amz-cek-alg", "team")
    assert (objects["beside"].wrapping_algorithm, objects["beside"].metadata_location) == (
        "AES/GCM",
        "instruction_file",
    )
    assert objects["forged"].error == "ConflictingMetadataError"


@pytest.mark.slow
def test_the_listing_is_gone_through_in_order_whatever_the_number_of_workers(mixed: str, plain_s3: Any):
    """One worker and many say the same, in the listing's order."""
    assert [each.key for each in Survey(plain_s3, mixed, workers=1)] == [
        each.key for each in Survey(plain_s3, mixed, workers=32)
    ]


@pytest.mark.slow
def test_an_orphaned_instruction_file_is_named(mixed: str, plain_s3: Any):
    """A file whose object is gone is found out when the survey is over."""
    plain_s3.delete_object(Bucket=mixed, Key="beside")
    result = audit(Survey(plain_s3, mixed))
    orphans = [each for each in result.document()["blocks_migration"] if each["reason"] == "orphaned-instruction-file"]
    assert [each["examples"] for each in orphans] == [["beside.instruction"]]


@pytest.mark.slow
def test_a_missing_instruction_file_is_a_problem(mixed: str, plain_s3: Any):
    """An object whose data key lay in the file that is gone can no longer be read, and is not called plaintext."""
    plain_s3.delete_object(Bucket=mixed, Key="beside.instruction")
    lost = found(plain_s3, mixed)["beside"]
    assert (lost.format, lost.error) == ("unreadable", "InstructionFileError")


def test_a_prefix_limits_the_survey(mixed: str, plain_s3: Any):
    """The prefix is the literal beginning of the keys."""
    assert set(found(plain_s3, mixed, prefix="v")) == {"v1", "v2", "v3"}


@pytest.mark.slow
def test_versions_and_delete_markers_are_counted(bucket: str, plain_s3: Any, make_client: Any):
    """Old versions are counted without a look at each, and looked at where that is wanted."""
    keep_versions(plain_s3, bucket)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"12345")
    make_client().put_object(Bucket=bucket, Key="k", Body=b"12345")
    plain_s3.put_object(Bucket=bucket, Key="gone", Body=b"1")
    plain_s3.delete_object(Bucket=bucket, Key="gone")
    document = audit(Survey(plain_s3, bucket)).document()
    assert (document["objects"], document["formats"]["V3"]) == (1, 1)
    assert document["versions"] == {
        "kept": True,
        "noncurrent": 2,
        "noncurrent_bytes": 6,
        "delete_markers": 1,
        "readable": True,
        "noncurrent_formats": {},
    }
    every = audit(Survey(plain_s3, bucket, all_versions=True)).document()
    assert every["versions"]["noncurrent_formats"] == {"plaintext": 2}
    assert every["objects"] == 1


@pytest.mark.slow
def test_one_object(mixed: str, plain_s3: Any):
    """A single object is looked at with what lies beside it."""
    assert look(plain_s3, mixed, "beside").metadata_location == "instruction_file"
    assert look(plain_s3, mixed, "beside.instruction").format == "instruction-file"
    assert look(plain_s3, mixed, "plain").format == "plaintext"


def test_server_side_mode_class_and_metadata(bucket: str, plain_s3: Any, kms_key: str):
    """What HEAD says of S3's own layer, the storage class and the metadata's size."""
    plain_s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"1",
        StorageClass="GLACIER",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=kms_key,
        Metadata={"name": "value"},
    )
    each = found(plain_s3, bucket)["k"]
    assert (each.server_side_encryption, each.server_side_kms_key) == ("aws:kms", kms_key)
    assert (each.storage_class, each.is_archived, each.metadata_bytes) == ("GLACIER", True, 9)


@pytest.mark.slow
def test_everything_goes_through_json(mixed: str, plain_s3: Any):
    """Objects and audits are JSON, whatever is in them."""
    for each in Survey(plain_s3, mixed):
        assert type(each).from_json(each.to_json()) == each
    assert json.dumps(audit(Survey(plain_s3, mixed)).document())


def test_the_map_reads_ahead_by_a_bounded_number():
    """A listing may be endless: no more than a few items for each worker are taken before their results are."""
    taken = 0

    def items() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = bounded_map(lambda number: number * 2, items(), workers=2)
    assert [next(results) for _ in range(5)] == [2, 4, 6, 8, 10]
    assert taken <= 5 + 4 * 2
    results.close()


def test_an_empty_bucket(bucket: str, plain_s3: Any):
    """Nothing is counted, nothing stands in the way."""
    document = audit(Survey(plain_s3, bucket)).document()
    assert document["objects"] == 0
    assert document["formats"] == {"plaintext": 0, "V1": 0, "V2": 0, "V3": 0}
    assert document["ready_for_require_decrypt"] is True


@pytest.mark.slow
def test_the_survey_writes_nothing_and_asks_no_key(mixed: str, plain_s3: Any):
    """Every request is a LIST, a HEAD, or a GET of an instruction file or of a setting."""
    seen: set[str] = set()
    plain_s3.meta.events.register("before-call.s3", lambda model, **_: seen.add(model.name))
    audit(Survey(plain_s3, mixed, all_versions=True))
    assert all(name.startswith(("List", "Head", "Get")) for name in seen), seen


def test_an_audit_keeps_no_list_of_objects(bucket: str, plain_s3: Any):
    """However many objects one finding has, it names a few and counts all."""
    from s3ec.migrate.audit.survey_object import SurveyedObject

    result = Audit(bucket)
    for number in range(1000):
        result.add(SurveyedObject(key=str(number), size=10))
    (finding,) = result.not_committing.values()
    assert (finding.objects, finding.bytes, len(finding.examples)) == (1000, 10_000, 20)
