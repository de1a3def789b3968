"""Objects above one request's size: streamed in parts, nothing committed before all of it is verified."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from s3ec.algorithms import CommitmentPolicy
from s3ec.migrate import Action, Result, Task
from s3ec.migrate.steps import writing

from .conftest import Step
from support.macs import mac_of

MIB = 2**20
IN_PARTS = {"single_request_limit": MIB, "part_size": 5 * MIB}


@pytest.mark.slow
@pytest.mark.parametrize("size", [5 * MIB, 10 * MIB, 10 * MIB + 1, 12 * MIB])
def test_a_large_object_goes_in_parts(
    size: int, step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """The parts join to one object that a reader authenticates, with all that hung on the plaintext."""
    body = os.urandom(size)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"a": "b"}, Tagging="c=d", ContentType="x/y")
    outcome = step("k", **IN_PARTS)
    assert outcome.result is Result.DONE, outcome.message
    assert "put_object" not in outcome.requests
    assert outcome.plaintext_mac == mac_of(body)
    answer = make_client().get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == body
    assert (answer["Metadata"], answer["ContentType"]) == ({"a": "b"}, "x/y")
    assert plain_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "c", "Value": "d"}]
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
    assert step("k", **IN_PARTS).result is Result.ALREADY


@pytest.mark.slow
def test_a_large_old_object_is_upgraded_in_parts(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """Decryption and encryption go hand in hand, part by part."""
    body = os.urandom(11 * MIB)
    old = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    old.put_object(Bucket=bucket, Key="k", Body=body)
    assert step("k", action=Action.UPGRADE, **IN_PARTS).result is Result.DONE
    assert make_client().get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.slow
def test_what_does_not_verify_is_never_committed(
    step: Step, bucket: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """A bad tag shows at the very end, when most parts are sent: the upload is aborted, the object stands."""
    old = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    old.put_object(Bucket=bucket, Key="k", Body=bytes(11 * MIB))
    stored = plain_s3.get_object(Bucket=bucket, Key="k")
    body = bytearray(stored["Body"].read())
    body[3] ^= 1
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(body), Metadata=stored["Metadata"])["ETag"]
    outcome = step("k", action=Action.UPGRADE, **IN_PARTS)
    assert outcome.result is Result.FAILED
    assert outcome.requests["abort_multipart_upload"] == 1
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ETag"] == etag
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["changed", "deleted"])
def test_a_writer_during_the_upload_wins(
    what: str, step: Step, bucket: str, plain_s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moto ignores the condition of CompleteMultipartUpload, as other servers may: a last look before it helps."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(6 * MIB))
    check = writing._Upload._check_target

    def late(self: Any) -> None:
        if what == "changed":
            plain_s3.put_object(Bucket=bucket, Key="k", Body=b"new")
        else:
            plain_s3.delete_object(Bucket=bucket, Key="k")
        check(self)

    monkeypatch.setattr(writing._Upload, "_check_target", late)
    outcome = step("k", **IN_PARTS)
    assert outcome.result is (Result.CHANGED if what == "changed" else Result.GONE)
    contents = plain_s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [entry["Size"] for entry in contents] == ([3] if what == "changed" else [])
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.slow
def test_an_upload_is_noted_while_it_lasts(settings: Any, open_context: Any, bucket: str, plain_s3: Any) -> None:
    """What is under way stands in the books, so that a later run can clear it away; what is done does not."""
    from s3ec.migrate import Journal, migrate_one

    job = settings(**IN_PARTS)
    plain_s3.put_object(Bucket=bucket, Key="k", Body=bytes(6 * MIB))
    with Journal.open(":memory:", job) as journal:
        noted: list[str] = []
        opening = journal.upload_opening
        journal.upload_opening = lambda *what: (noted.append(what[1]), opening(*what))[1]  # type: ignore[method-assign]
        context = open_context(job, uploads=journal)
        assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
        assert noted == ["k"]
        assert journal._database.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


_CHILD = """
import resource, sys
from s3ec.migrate import MigrationContext, MigrationSettings, Task, migrate_one
settings = MigrationSettings.from_json(sys.argv[1])
context = MigrationContext.open(settings)
for key in sys.argv[2:]:
    outcome = migrate_one(Task(bucket=settings.source.bucket, key=key), context=context)
    print(outcome.result.value, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_object(settings: Any, bucket: str, plain_s3: Any) -> None:
    """An object many times as large takes no more memory than one of a few parts."""
    for key, size in (("small", 26 * MIB), ("large", 160 * MIB)):
        plain_s3.put_object(Bucket=bucket, Key=key, Body=bytes(size))
    command = [sys.executable, "-c", _CHILD, settings(**IN_PARTS).to_json(), "small", "large"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    (result, few), (same, many) = lines[:2], lines[2:]
    assert (result, same) == ("done", "done")
    assert int(many) - int(few) < 20 * 1024
