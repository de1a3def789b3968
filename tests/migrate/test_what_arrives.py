"""What is encrypted is what was listed and stored: a path that cuts, flips or forgets is noticed before any write."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.response import StreamingBody

from s3ec.migrate import MigrationContext, Result, SkipReason, Task, migrate_one
from s3ec.migrate.steps.suspicion import could_be_ciphertext

from .conftest import Open, Settings, Step
from support.aws import keep_versions
from support.macs import digests_of
from support.vectors import all_vectors

BODY = b"0123456789" * 100


def _lie(context: MigrationContext, change: Callable[[bytes], bytes]) -> None:
    def alter(parsed: dict[str, Any], **_: Any) -> None:
        if "Body" in parsed:
            body = change(parsed["Body"].read())
            parsed.update(Body=StreamingBody(io.BytesIO(body), len(body)), ContentLength=len(body))

    context.s3.meta.events.register("after-call.s3.GetObject", alter)


@pytest.mark.parametrize(
    "change",
    [lambda body: body[:400], lambda body: body + b"!", lambda body: b"9" + body[1:], lambda body: b""],
    ids=["cut", "longer", "flipped", "emptied"],
)
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("changes", [{}, {"single_request_limit": 100}], ids=["whole", "in parts"])
def test_other_bytes_than_the_stored_ones(
    change: Callable[[bytes], bytes],
    listed: bool,
    changes: dict[str, Any],
    settings: Settings,
    open_context: Open,
    bucket: str,
    plain_s3: Any,
) -> None:
    """Their MD5 is not the ETag's, or their number not the one listed: tried again, and nothing was written."""
    etag = plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY)["ETag"]
    context = open_context(settings(**changes))
    _lie(context, change)
    task = Task(bucket=bucket, key="k", etag=etag, size=len(BODY)) if listed else Task(bucket=bucket, key="k")
    outcome = migrate_one(task, context=context)
    assert (outcome.result, outcome.leaves_undone) == (Result.RETRY, True)
    assert not [digest for body in (BODY, change(BODY)) for digest in digests_of(body) if digest in outcome.to_json()]
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BODY
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)


def test_servers_whose_etags_are_no_md5(settings: Settings, open_context: Open, bucket: str, plain_s3: Any) -> None:
    """They are said by name; objects under SSE-KMS and uploads in parts have no such ETag on S3 either."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    context = open_context(settings(etag_is_md5=False))
    context.s3.meta.events.register(
        "after-call.s3.GetObject", lambda parsed, **_: parsed.update(ETag=f'"{"0" * 32}"') if "Body" in parsed else None
    )
    context.s3.meta.events.register("before-parameter-build.s3", lambda params, **_: params.pop("IfMatch", None))
    assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE


@pytest.mark.slow
@pytest.mark.parametrize("encrypted", [{"ServerSideEncryption": "aws:kms"}, {"ServerSideEncryption": "AES256"}])
def test_server_side_modes_of_every_kind_arrive(
    encrypted: dict[str, str], step: Step, bucket: str, plain_s3: Any
) -> None:
    """Where the ETag is not an MD5 of the content it is not taken for one."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=BODY, **encrypted)
    assert step("k").result is Result.DONE


def test_metadata_that_was_lost_on_the_way(
    settings: Settings, open_context: Open, make_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """A GET that forgets the metadata of an encrypted object does not make plaintext of it."""
    make_client().put_object(Bucket=bucket, Key="k", Body=BODY)
    before = plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    context = open_context(settings())
    context.s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: parsed.update(Metadata={}))
    outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    assert (outcome.result, outcome.leaves_undone) == (Result.CHANGED, True)
    assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == before


@pytest.mark.slow
@pytest.mark.parametrize("versioned", [False, True])
def test_a_listing_that_skips_the_instruction_file(
    versioned: bool, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
) -> None:
    """Bytes that look like ciphertext are never taken for plaintext on a listing's word alone."""
    if versioned:
        keep_versions(plain_s3, bucket)
    for vector in all_vectors():
        if vector.instruction_file is None or vector.format == "V3" or vector.instruction_file.suffix != ".instruction":
            continue
        plain_s3.put_object(Bucket=bucket, Key="k", Body=vector.body)
        plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=vector.instruction_file.body)
        task = Task(bucket=bucket, key="k", has_instruction_file=False)
        outcome = migrate_one(task, context=open_context(settings(settle_seconds=0)))
        assert outcome.reason in (SkipReason.OLD_FORMAT, SkipReason.MALFORMED), vector.name
        assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == vector.body


def test_what_could_be_ciphertext() -> None:
    """Each stored vector's body could; text, tables, and files that begin as no cipher's output does could not."""
    for vector in all_vectors():
        assert could_be_ciphertext(vector.body[:4096], len(vector.body)), vector.name
    for plain in (
        b"short", b"a line of text, long enough\n", "Übersicht über alles, 日本".encode(), b"{}" * 50, bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)), b"PK\x03\x04" + bytes(range(200)), ("ü" * 4000).encode()[:4096],
    ):  # fmt: skip
        assert not could_be_ciphertext(plain, len(plain)), plain[:20]
