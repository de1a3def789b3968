"""Errors of ours end a request: what failed here would fail no less the second time."""

from __future__ import annotations

from typing import Any

from s3ec.errors import S3ECError

__all__ = ["end_retries", "own_error_in"]


def own_error_in(error: BaseException | None) -> S3ECError | None:
    """The error of ours that an error is, or was made of; a transport keeps it as its argument or as its cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, S3ECError):
            return error
        seen.add(id(error))
        kwargs = getattr(error, "kwargs", None)
        kept = kwargs.get("error") if isinstance(kwargs, dict) else None
        error = kept if isinstance(kept, BaseException) else error.__cause__
    return None


def end_retries(caught_exception: Exception | None = None, **_: Any) -> None:
    """Never send again after an error of ours: a source that changed would change no less the second time.

    It is raised, since no answer means "no" to every botocore: older ones take False for a delay of no seconds, again
    and again.
    """
    own = own_error_in(caught_exception)
    if own is not None:
        raise own
