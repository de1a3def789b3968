"""The one pure step that every engine feeds: one task in, one outcome out."""

from __future__ import annotations

import functools
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

__all__ = ["migrate_one", "next_task", "run_json"]

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
    return replace(outcome, requests=dict(calls.counts), kms_calls=context.meter.of_this_thread - kms_before)


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
    """
    return migrate_one(Task.from_json(task), context=_context(settings)).to_json()


@functools.lru_cache(maxsize=4)
def _context(settings: str) -> MigrationContext:
    return MigrationContext.open(MigrationSettings.from_json(settings))
