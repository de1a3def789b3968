"""A dry run: everything is looked at as a run would, and the plan is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, combined
from s3ec.cli.listing import nothing_there
from s3ec.cli.outcomes import document_of, outcome_code, said_of
from s3ec.cli.output import Output, Table, human_bytes
from s3ec.cli.progress import Progress
from s3ec.cli.repeats import Repeats
from s3ec.cli.urls import S3Url
from s3ec.migrate import Outcome, Plan, Result, plan
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.work.key_check import check_keys
from s3ec.migrate.work.object_lists import ObjectList

__all__ = ["preview"]

_REASONS = {
    "retry": "could not be looked at",
    "failed": "could not be looked at",
    "gone": "deleted meanwhile",
}
"""Results of a dry run that are not reasons yet."""


class _LeftAlone:
    """Gathers what a dry run would leave undone, and reports each object to the progress."""

    def __init__(self, progress: Progress) -> None:
        """Take the progress of the dry run."""
        self._progress = progress
        self._repeats = Repeats(progress.say)
        self.outcomes: list[Outcome] = []

    def __call__(self, outcome: Outcome) -> None:
        """Count one object, and say why if it would be left undone."""
        skipped = outcome.result in (Result.SKIPPED, Result.GONE)
        undone = outcome.leaves_undone
        self._progress.advance(outcome.task.size or 0, failed=undone and not skipped, skipped=skipped)
        self._progress.event({"kind": "planned", "outcome": outcome.to_dict()})
        if undone:
            self.outcomes.append(outcome)
            self._repeats.add(*said_of(outcome))

    def close(self) -> None:
        """Say how many more there were."""
        self._repeats.close()


def preview(environment: Environment, settings: MigrationSettings, url: S3Url, objects: ObjectList | None) -> ExitCode:
    """Look at everything as a run would, and print the plan.

    Raises:
        FailureError: nothing lies under the source.
        s3ec.errors.KeyringError: the key to wrap with is absent or switched off.
    """
    options, output = environment.options, environment.output
    doubts = check_keys(settings, wraps=True, session=environment.session)
    with Progress.of(output, options, "looked at") as progress:
        left = _LeftAlone(progress)
        found = plan(settings, objects=objects, workers=options.workers, on_outcome=left)
        left.close()
    _show(output, replace(found, warnings=(*doubts, *found.warnings)), url, left.outcomes)
    # What a run would leave alone is the plan itself; a key that does not open what is there is a mistake in it.
    failed = [outcome_code(outcome) for outcome in left.outcomes if outcome.result is Result.FAILED]
    return combined(failed)


def _show(output: Output, plan: Plan, url: S3Url, left: Sequence[Outcome] = ()) -> None:
    """Write a dry run's answer.

    Raises:
        FailureError: nothing lies under the source.
    """
    if not plan.objects and url.key:
        raise nothing_there(url)
    if output.as_json:
        listed = [{**document_of(outcome), "code": int(outcome_code(outcome))} for outcome in left]
        output.document({"dry_run": True, **plan.to_dict(), "left_alone": listed})
        return
    table = Table(("Plan", ">Objects", ">Bytes"))
    table.add("listed", plan.objects, human_bytes(plan.bytes))
    table.add("to do", plan.to_do, human_bytes(plan.to_do_bytes))
    table.add("as wanted already", plan.already, "")
    for reason, count in plan.skipped.items():
        table.add(f"left alone: {_REASONS.get(reason, reason)}", count, "")
    output.table(table)
    requests = Table(("Requests", ">Number"))
    for name, count in plan.requests.items():
        requests.add(name, count)
    requests.add("KMS", plan.kms_calls)
    output.table(requests)
    cost = {name: value for name, value in plan.cost.to_dict().items() if value}
    said = ", ".join(f"{name.replace('_', ' ')} {_dollars(value)}" for name, value in cost.items())
    output.line(f"cost, estimated: {said or '$0'}")
    for warning in plan.warnings:
        output.line(f"warning: {warning}")


def _dollars(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.01 else "under $0.01"
