"""The one pure step that every engine feeds: one task in, one outcome out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from s3ec.errors import S3ECError
from s3ec.migrate.model import Action, Outcome, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.reencrypt import reencrypt
from s3ec.migrate.steps.rewrap import rewrap
from s3ec.migrate.steps.verify import verify
from s3ec.migrate.work.context import Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError, ended_by
from s3ec.migrate.work.macs import hide_digests

__all__ = ["job_text", "migrate_one", "next_task", "run_json"]

_MAC_KEY = "mac_key"

_STEPS: dict[Action, Callable[..., Outcome]] = {
    Action.MIGRATE: reencrypt,
    Action.UPGRADE: reencrypt,
    Action.REWRAP: rewrap,
    Action.VERIFY: verify,
}

_OF_THE_JOB = (S3ECError, ClientError, BotoCoreError, OSError)


def migrate_one(task: Task, *, context: MigrationContext) -> Outcome:
    """Do one task, whatever its settings' action is. Idempotent: running it twice, at once or later, does no harm.

    Returns:
        How it ended. Whatever concerns this object alone is in the outcome and not an exception.

    Raises:
        s3ec.errors.ConfigurationError: the settings cannot work.
        s3ec.errors.KeyringError: KMS does not wrap under the key of the settings: absent, disabled or not allowed.
        botocore.exceptions.ClientError: what stops the whole job: no such bucket, no valid credentials.
        botocore.exceptions.BotoCoreError: the same, found before a request was sent.
    """
    calls = Calls(context.s3, context.direct)
    kms_before = context.meter.of_this_thread
    try:
        outcome = _STEPS[context.settings.action](task, context=context, calls=calls)
    # This is the edge of every worker. An unforeseen error must not take a worker with it, or the run would wait
    # for its task forever; it ends this task, under its own name, and the run with a code. Nothing is swallowed.
    except Exception as error:
        ended = ended_by(error)
        if ended is None:
            if isinstance(error, _OF_THE_JOB):
                raise
            ended = TaskEndedError(Result.FAILED, f"unexpected {type(error).__name__}: {error}")
            ended.error = type(error).__name__
        outcome = Outcome(task=task, result=ended.result, reason=ended.reason, message=ended.message, error=ended.error)
    outcome = replace(outcome, requests=dict(calls.counts), kms_calls=context.meter.of_this_thread - kms_before)
    return hide_digests(outcome, context.mac_key)


def next_task(outcome: Outcome, settings: MigrationSettings) -> Task | None:
    """Return the task to run next for an outcome that is not final, or None if the attempts are used up.

    After another writer's change the ETag of the list is worth nothing: the next attempt takes the object as it is.
    """
    task = outcome.task
    if outcome.result.is_final or task.attempt + 1 >= settings.max_attempts:
        return None
    if outcome.result is Result.RETRY:
        return replace(task, attempt=task.attempt + 1)
    return replace(task, etag=None, version_id=None, has_instruction_file=None, attempt=task.attempt + 1)


def run_json(task: str, settings: str) -> str:
    """`migrate_one` for engines that carry text: task and settings as JSON in, the outcome as JSON out.

    The context is built once per process and settings.

    Args:
        task: the task.
        settings: `MigrationSettings`, or what `job_text` made of them and a journal's key: only then can the outcome
            name its plaintext, and the task be compared with what was listed.
    """
    return migrate_one(Task.from_json(task), context=_context(settings)).to_json()


def job_text(settings: MigrationSettings, mac_key: bytes) -> str:
    """The settings as JSON, with the key under which workers name what they read; it is as secret as those names."""
    return json.dumps({**settings.to_dict(), _MAC_KEY: mac_key.hex()}, separators=(",", ":"))


@functools.lru_cache(maxsize=4)
def _context(job: str) -> MigrationContext:
    # The key comes last in what `job_text` makes, and settings have no such name.
    settings, found, mac_key = job.rpartition(f',"{_MAC_KEY}":"')
    if not found:
        return MigrationContext.open(MigrationSettings.from_json(job))
    context = MigrationContext.open(MigrationSettings.from_json(settings + "}"))
    context.mac_key = bytes.fromhex(mac_key.removesuffix('"}'))
    return context
