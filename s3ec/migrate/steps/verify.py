"""Reads one object whole and authenticates it; writes nothing."""

from __future__ import annotations

import hashlib

from s3ec.migrate.model import Outcome, Result, SkipReason, Task
from s3ec.migrate.steps import plaintext
from s3ec.migrate.steps.outcomes import outcome_of
from s3ec.migrate.steps.source import open_source
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError

__all__ = ["is_sampled", "verify"]

_UNAUTHENTICATED = "decrypted, but AES-CBC carries no tag that could verify it"


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
        seen = plaintext.digest(chunks)
    finally:
        source.close()
    return outcome_of(
        source,
        Result.DONE,
        context,
        seen=seen,
        notes=(_UNAUTHENTICATED,) if source.content_metadata.algorithm_suite.is_legacy else (),
    )
