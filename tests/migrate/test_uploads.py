"""Multipart uploads that a run begins without learning their id are not left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3ec.migrate import Action, Journal, KeyringSpec, MigrationContext, MigrationSettings, run

from support.aws import create_kms_key, date_uploads
from support.proxy import Answer, Request, proxy

MIB = 2**20


@pytest.mark.slow
@pytest.mark.parametrize("how", ["500 after it", "reset after it", "each time", "abort fails"])
@pytest.mark.parametrize("action", [Action.MIGRATE, Action.REWRAP])
def test_an_upload_whose_answer_was_lost_is_aborted(
    how: str,
    action: Action,
    settings: Callable[..., MigrationSettings],
    endpoint: str,
    tmp_path: Path,
    aws: dict[str, Any],
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """The SDK begins a second one after a lost answer; by the end of the run both are gone, and others' are not."""
    client = plain_s3 if action is Action.MIGRATE else make_client()
    client.put_object(Bucket=bucket, Key="large", Body=bytes(6 * MIB))
    theirs = plain_s3.create_multipart_upload(Bucket=bucket, Key="large", Metadata={"of": "another"})["UploadId"]
    plain_s3.upload_part(Bucket=bucket, Key="large", UploadId=theirs, PartNumber=1, Body=b"theirs")
    begun = 0

    def lie(request: Request, ask: Callable[[], Answer]) -> Answer | None:
        nonlocal begun
        answer = ask()
        if request.method == "POST" and request.path.endswith("?uploads") and answer.status == 200:
            begun += 1
            if begun == 1 or how == "each time":
                return None if how == "reset after it" else Answer(500, {}, b"")
        if (
            how == "abort fails"
            and request.method in ("DELETE", "PUT")
            and "partNumber=1" in request.path
            and begun == 2
        ):
            return Answer(403, {}, b"<Error><Code>AccessDenied</Code></Error>")
        return answer

    with proxy(endpoint) as lying:
        lying.fault = lie
        keyring = {"keyring": KeyringSpec(kind="kms", key_id=create_kms_key(aws))} if action is Action.REWRAP else {}
        job = settings(
            action=action, single_request_limit=MIB, part_size=5 * MIB, copy_limit=5 * MIB, max_attempts=1, **keyring
        )
        job = replace(job, connection=replace(job.connection, endpoint_url=lying.url, max_attempts=2))
        with (
            Journal.open(tmp_path / "j", job) as journal,
            contextlib.closing(MigrationContext.open(job, uploads=journal)) as context,
        ):
            date_uploads(context.s3)
            summary = run(job, journal, context=context, workers=1)
            assert journal.leftover_uploads(own=True) == []
    assert begun >= 2
    assert summary.undone == (1 if how in ("each time", "abort fails") else 0)
    uploads = plain_s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["UploadId"] for upload in uploads] == [theirs]
