"""S3 Batch Operations: S3 walks a manifest and invokes a Lambda function once for each object.

`lambda_handler` is the function. Its settings stand in the environment variable ``S3EC_SETTINGS`` (`MigrationSettings`
as JSON) or, under invocation schema 2.0, in the user argument ``settings``. S3 keeps the books: every outcome goes into
the job's completion report.
Source: Amazon S3 user guide, "Invoke AWS Lambda function" (invocation schemas 1.0 and 2.0).
"""

from __future__ import annotations

import concurrent.futures
import copy
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import ConfigurationError, S3ECError
from s3ec.migrate.model import Action, Outcome, Result, SkipReason, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.step import migrate_one
from s3ec.migrate.work.context import MigrationContext
from s3ec.migrate.work.ending import PASSING_ERRORS, status_of

__all__ = ["SETTINGS_VARIABLE", "handle", "lambda_handler", "manifest_lines"]

SETTINGS_VARIABLE = "S3EC_SETTINGS"

SUCCEEDED, TEMPORARY, PERMANENT = "Succeeded", "TemporaryFailure", "PermanentFailure"
_SCHEMAS = ("1.0", "2.0")

_BYTES_PER_SECOND = 20 * 2**20
"""What a function surely does; an object that would need longer than there is time for is not begun."""
_RESERVE_SECONDS = 15.0
"""Kept back to answer S3: a function that times out counts as a permanent failure, and is not tried again."""
_RESULT_LENGTH = 1000

# To S3 a skipped object is not a failure: a job whose failures pass one half after a thousand objects is ended by it.
_CODES = {
    Result.DONE: SUCCEEDED,
    Result.ALREADY: SUCCEEDED,
    Result.SKIPPED: SUCCEEDED,
    Result.GONE: SUCCEEDED,
    Result.PLANNED: SUCCEEDED,
    Result.FAILED: PERMANENT,
    Result.CHANGED: TEMPORARY,
    Result.RETRY: TEMPORARY,
}


def lambda_handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Answer one invocation; this is what Lambda calls.

    Raises:
        ConfigurationError: there are no settings, or the event is not S3 Batch Operations'.
    """
    arguments = event.get("job", {}).get("userArguments") or {}
    text = arguments.get("settings") or os.environ.get(SETTINGS_VARIABLE)
    if not text:
        raise ConfigurationError(f"no settings: give the environment variable {SETTINGS_VARIABLE}")
    return handle(
        event, context=_context(text), remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1000
    )


@functools.lru_cache(maxsize=4)
def _context(settings: str) -> MigrationContext:
    """Clients and keyrings, kept for as long as Lambda keeps the process."""
    return MigrationContext.open(MigrationSettings.from_json(settings))


def handle(
    event: Mapping[str, Any], *, context: MigrationContext, remaining_seconds: Callable[[], float]
) -> dict[str, Any]:
    """Do the one task of an invocation.

    Args:
        event: invocation schema 1.0 or 2.0.
        context: the job.
        remaining_seconds: how long this invocation may still run.

    Returns:
        The answer in the same schema.

    Raises:
        ConfigurationError: the event is not S3 Batch Operations'.
    """
    version = event.get("invocationSchemaVersion")
    tasks = event.get("tasks")
    if version not in _SCHEMAS or not isinstance(tasks, list) or not tasks:
        raise ConfigurationError(f"not an invocation of S3 Batch Operations in schema {' or '.join(_SCHEMAS)}")
    return {
        "invocationSchemaVersion": version,
        "invocationId": event.get("invocationId"),
        "treatMissingKeysAs": PERMANENT,
        "results": [_result(each, context, remaining_seconds) for each in tasks],
    }


def _result(
    task: Mapping[str, Any], context: MigrationContext, remaining_seconds: Callable[[], float]
) -> dict[str, str]:
    try:
        code, text = _attempt(task, context, remaining_seconds)
    except (ClientError, BotoCoreError, S3ECError, *PASSING_ERRORS) as error:
        # What would stop a run of one's own: the key, the bucket or the credentials. S3 tries again before it gives up.
        code, text = TEMPORARY, f"{type(error).__name__}: {error}"
    return {"taskId": task["taskId"], "resultCode": code, "resultString": text[:_RESULT_LENGTH]}


def _attempt(
    task: Mapping[str, Any], context: MigrationContext, remaining_seconds: Callable[[], float]
) -> tuple[str, str]:
    settings = context.settings
    named = str(task.get("s3Bucket") or task["s3BucketArn"]).rpartition(":")[2]
    bucket = settings.source.bucket
    if named != bucket.rpartition(":")[2]:
        # The settings say where to write: an object of another bucket would go over one of the same name there.
        return PERMANENT, f"refused: the task is about bucket {named}, the settings are for {bucket}"
    budget = remaining_seconds() - _RESERVE_SECONDS
    if budget < 0:
        return TEMPORARY, "too little time is left of this invocation to begin anything"
    context.facts(bucket)  # HEAD says of an object in a bucket that is not there what it says of a missing object
    wanted, size = _resolve(context, bucket, str(task["s3Key"]), task.get("s3VersionId") or None)
    if size is None:
        return _answer(Outcome(task=wanted, result=Result.GONE))
    if not (wanted.key.startswith(settings.source.prefix) and settings.is_source(wanted.key)):
        return PERMANENT, f"refused: the settings are for s3://{bucket}/{settings.source.prefix} alone"
    if wanted.version_id and settings.action is not Action.VERIFY and not _is_current(context, wanted):
        return _answer(_of_old_version(context, wanted))
    if settings.action is not Action.REWRAP and size > budget * _BYTES_PER_SECOND:
        return PERMANENT, f"{size} bytes are too many for one invocation: run such objects on another engine"
    pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
    try:
        outcome = pool.submit(migrate_one, wanted, context=context).result(timeout=budget)
    except concurrent.futures.TimeoutError:
        # Its requests are conditional: if it is thawed later and goes on, it cannot overwrite newer objects.
        return TEMPORARY, "the invocation ran out of time"
    finally:
        pool.shutdown(wait=False)
    return _answer(outcome)


def _answer(outcome: Outcome) -> tuple[str, str]:
    return _CODES[outcome.result], _text(outcome)


def _resolve(context: MigrationContext, bucket: str, encoded: str, version: str | None) -> tuple[Task, int | None]:
    """Return the object behind a URL-encoded key, and its size; None if there is no such object or version.

    Manifests are encoded in two ways, with a blank as ``+`` or as ``%20``: the object itself tells which. A manifest of
    all versions also names delete markers (405), which hold nothing.
    """
    first = unquote_plus(encoded)
    for key in dict.fromkeys((first, unquote(encoded))):
        found = _head(context, bucket, key)
        # A bucket that has never kept versions has nulls in its manifest, and not every server knows them there.
        if version and _version(found) != version:
            found = _head(context, bucket, key, VersionId=version) if version != "null" or found else None
        if found is not None:
            size = int(found["ContentLength"])
            return Task(bucket=bucket, key=key, version_id=version, size=size), size
    return Task(bucket=bucket, key=first, version_id=version), None


def _head(context: MigrationContext, bucket: str, key: str, **version: str) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = context.s3.head_object(Bucket=bucket, Key=key, **version)
    except ClientError as error:
        if status_of(error) not in (404, 405):
            raise
        return None
    return answer


def _version(found: Mapping[str, Any] | None) -> str | None:
    return None if found is None else str(found.get("VersionId") or "null")


def _is_current(context: MigrationContext, task: Task) -> bool:
    return _version(_head(context, task.bucket, task.key)) == task.version_id


def _of_old_version(context: MigrationContext, task: Task) -> Outcome:
    """What becomes of a version that is not current: nothing. Where the current one is as wanted, the task was done."""
    looking = copy.copy(context)
    looking.dry_run = True
    current = migrate_one(replace(task, version_id=None, size=None), context=looking)
    if current.result is Result.PLANNED or current.result.is_final and current.result is not Result.ALREADY:
        reason = SkipReason.OLD_VERSION
        return Outcome(task=task, result=Result.SKIPPED, reason=reason, message=reason.advice)
    return replace(current, task=task)


def _text(outcome: Outcome) -> str:
    """The outcome in one line, for the completion report; shortened so that it stays JSON."""
    names = {"result", "reason", "error", "message", "etag_out", "version_out"}
    # S3 writes this into a bucket. Nothing that a guess at the plaintext could be tried on belongs there: neither a
    # digest nor the ETag of an object that was plaintext, which is its MD5.
    if outcome.format_before in ("V1", "V2", "V3"):
        names.add("etag_in")
    values = {name: value for name, value in outcome.to_dict().items() if name in names and value != ""}
    text = json.dumps(values, separators=(",", ":"))
    if len(text) > _RESULT_LENGTH:
        values["message"] = values.get("message", "")[: _RESULT_LENGTH // 4]
        text = json.dumps(values, separators=(",", ":"))
    return text


def manifest_lines(tasks: Iterable[Task], *, with_versions: bool = False) -> Iterator[str]:
    """Lines of a manifest in ``S3BatchOperations_CSV_20180820``: all with a version, or none, as S3 demands."""
    for task in tasks:
        row = [task.bucket, quote(task.key, safe="/")]
        if with_versions:
            row.append(task.version_id or "null")
        yield ",".join(row) + "\n"
