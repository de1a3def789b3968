"""What is told of an object that was written, or that was found to need no writing."""

from __future__ import annotations

from s3ec.migrate.model import Outcome, Result
from s3ec.migrate.steps.sealing import Sealing
from s3ec.migrate.steps.source import Source
from s3ec.migrate.steps.writing import Target, Written
from s3ec.migrate.work.context import MigrationContext

__all__ = ["outcome_of"]


def outcome_of(
    source: Source,
    result: Result,
    context: MigrationContext,
    *,
    target: Target | None = None,
    written: Written | None = None,
    sealed: Sealing | None = None,
    message: str = "",
    notes: tuple[str, ...] = (),
) -> Outcome:
    """The outcome with all that is known of the object before and after."""
    bucket, key = context.settings.target(source.task.key)
    stands = sealed.content_metadata if sealed else source.content_metadata
    seen = written.plaintext_length if written else None
    return Outcome(
        task=source.task,
        result=result,
        message=message,
        destination_bucket=target.bucket if target else bucket,
        destination_key=target.key if target else key,
        etag_in=source.etag,
        version_in=source.version_id,
        etag_out=written.etag if written else None,
        version_out=written.version_id if written else None,
        plaintext_length=source.plaintext_length if seen is None else seen,
        plaintext_mac=context.mac(written.plaintext_sha256) if written else None,
        format_before=source.format,
        format_after=stands.format.value if stands else "plaintext",
        wrapping_algorithm=stands.encrypted_data_key.wrapping_algorithm.label if stands else None,
        wrapping_key=context.settings.keyring.label if sealed else None,
        notes=notes,
    )
