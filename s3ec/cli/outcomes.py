"""One object's outcome of a bucket job for people: its line, its document, its exit code."""

from __future__ import annotations

import re
from typing import Any

from s3ec.cli.failures import ExitCode, family_of
from s3ec.cli.urls import S3Url
from s3ec.cli.words import in_options
from s3ec.migrate import Outcome, Result, SkipReason

__all__ = ["document_of", "outcome_code", "said_of"]

_REASON_CODES = {
    SkipReason.LEGACY: ExitCode.POLICY,
    SkipReason.NOT_ENCRYPTED: ExitCode.METADATA,
    SkipReason.MALFORMED: ExitCode.METADATA,
    SkipReason.TOO_LARGE: ExitCode.CONTENT,
}


def outcome_code(outcome: Outcome) -> ExitCode:
    """Return the exit code of one object that was left undone: by its error, else by the reason."""
    if outcome.error:
        return family_of(outcome.error)
    if outcome.reason is not None:
        return _REASON_CODES.get(outcome.reason, ExitCode.LEFT_UNDONE)
    return ExitCode.MIGRATION if outcome.result is Result.CHANGED else ExitCode.LEFT_UNDONE


def document_of(outcome: Outcome) -> dict[str, Any]:
    """Return an object that is left undone as flat JSON."""
    reason = outcome.reason.value if outcome.reason else None
    return {
        "bucket": outcome.task.bucket,
        "key": outcome.task.key,
        "version_id": outcome.task.version_id,
        "result": outcome.result.value,
        "reason": reason,
        "error": outcome.error,
        "message": _message(outcome),
    }


def said_of(outcome: Outcome) -> tuple[str, str]:
    """Return the object's URL, and the line about it."""
    url = str(S3Url(outcome.task.bucket, outcome.task.key))
    return url, f"s3ec: {url}: {_message(outcome)}"


def _message(outcome: Outcome) -> str:
    """Say why it is left undone, in the command line's words."""
    advice = outcome.reason.advice if outcome.reason else ""
    text = outcome.message or advice or outcome.result.value
    if outcome.reason is SkipReason.ARCHIVED:
        storage = f" ({outcome.task.storage_class})" if outcome.task.storage_class else ""
        text = f"is archived{storage}: restore it first (aws s3api restore-object)"
    option = " (--allow-legacy)" if outcome.reason is SkipReason.LEGACY and "enable_legacy" not in text else ""
    text = re.sub(r" \[s3://[^\]]*\]$", "", text)
    return in_options(text) + option
