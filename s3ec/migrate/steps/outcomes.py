"""What is told of an object that a step has looked at, whatever became of it."""

from __future__ import annotations

from s3ec.formats import ContentMetadata
from s3ec.migrate.model import Action, Outcome, Result
from s3ec.migrate.steps.source import Source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.work.context import MigrationContext

__all__ = ["Seen", "outcome_of"]

Seen = tuple[int, str]
"""Length and SHA-256 (hex) of a plaintext that was read to its verified end."""


def outcome_of(
    source: Source,
    result: Result,
    context: MigrationContext,
    *,
    target: Target | None = None,
    written: Written | None = None,
    stands: ContentMetadata | None = None,
    seen: Seen | None = None,
    message: str = "",
    notes: tuple[str, ...] = (),
) -> Outcome:
    """The outcome with all that is known of the object before and after.

    Args:
        source: the object as it was read.
        result: how it ended.
        context: context of the worker.
        target: where it was written; by default where the settings put it.
        written: what a write left behind.
        stands: what is stored there now under the key of the settings; by default what was found, whoever's key it is.
        seen: the plaintext, where it was read whole.
        message: a sentence for people.
        notes: what an operator should know.
    """
    settings = context.settings
    bucket, key = settings.target(source.task.key) if target is None else (target.bucket, target.key)
    is_written = settings.action is not Action.VERIFY
    length = source.plaintext_length
    if seen is not None:
        length = seen[0]
    elif written is not None and written.plaintext_length is not None:
        length = written.plaintext_length
    now = stands or source.content_metadata
    return Outcome(
        task=source.task,
        result=result,
        message=message,
        destination_bucket=bucket if is_written else None,
        destination_key=key if is_written else None,
        etag_in=source.etag,
        version_in=source.version_id,
        etag_out=written.etag if written else None,
        version_out=written.version_id if written else None,
        plaintext_length=length,
        plaintext_mac=context.mac(seen[1] if seen else written.plaintext_sha256 if written else None),
        format_before=source.format,
        format_after=now.format.value if now else "plaintext",
        wrapping_algorithm=now.encrypted_data_key.wrapping_algorithm.label if now else None,
        wrapping_key=settings.keyring.label if stands else None,
        notes=notes,
    )
