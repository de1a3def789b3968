"""Reads one object whole and authenticates it; writes nothing."""

from __future__ import annotations

import hashlib

from s3ec.migrate.model import Outcome, Result, SkipReason, Task
from s3ec.migrate.steps import plaintext
from s3ec.migrate.steps.source import Source, open_source
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError

__all__ = ["is_sampled", "verify"]


def is_sampled(task: Task, share: float) -> bool:
    """True if this object belongs to the sample: by a hash of its name, so that every worker and run agrees."""
    if share >= 1:
        return True
    name = f"{task.bucket}/{task.key}?{task.version_id or ''}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") < share * 2**64


def verify(task: Task, *, context: MigrationContext, calls: Calls) -> Outcome:
    """Do one object; plaintext is a skip, since nothing in it can be verified.

    Raises:
        TaskEndedError: it does not verify, or cannot be read.
    """
    source = open_source(task, context=context, calls=calls, with_body=True)
    try:
        if source.content_metadata is None:
            raise TaskEndedError.skip(SkipReason.NOT_ENCRYPTED)
        allow_legacy = context.settings.allow_legacy
        cipher = plaintext.cipher_of(
            source,
            context.read_manager,
            allow_legacy=allow_legacy,
        )
        chunks = plaintext.plaintext_of(source, cipher, etag_is_md5=context.settings.etag_is_md5)
        length, checksum = plaintext.digest(chunks)
    finally:
        source.close()
    return _outcome(
        source, length, checksum, context, authenticated=not source.content_metadata.algorithm_suite.is_legacy
    )


def _outcome(source: Source, length: int, checksum: str, context: MigrationContext, *, authenticated: bool) -> Outcome:
    stored = source.content_metadata
    return Outcome(
        task=source.task,
        result=Result.DONE,
        etag_in=source.etag,
        version_in=source.version_id,
        plaintext_length=length,
        plaintext_mac=context.mac(checksum),
        format_before=source.format,
        format_after=source.format,
        wrapping_algorithm=stored.encrypted_data_key.wrapping_algorithm.label if stored else None,
        notes=() if authenticated else ("decrypted, but AES-CBC carries no tag that could verify it",),
    )
