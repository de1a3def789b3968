"""What a run would do and cost: every object looked at, nothing written.

Prices are list prices of us-east-1 in US dollars (aws.amazon.com/s3/pricing, aws.amazon.com/kms/pricing); they give the
order of magnitude, not the bill.
"""

from __future__ import annotations

import collections
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from s3ec.migrate.context import MigrationContext
from s3ec.migrate.local import wanted
from s3ec.migrate.model import Action, Cost, Outcome, Plan, Result, Task
from s3ec.migrate.object_lists import ListedObjects, ObjectList
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.step import migrate_one
from s3ec.migrate.writing import part_length

__all__ = ["plan"]

_GIB = 2**30
_WRITES = frozenset(
    {"put_object", "copy_object", "create_multipart_upload", "upload_part", "upload_part_copy"}
    | {"complete_multipart_upload", "list_objects_v2", "put_object_annotation"}
)
_WRITE_PRICE = 0.005 / 1000
_READ_PRICE = 0.0004 / 1000
_KMS_PRICE = 0.03 / 10_000
# Storage a GiB and month, retrieval a GiB, days that are paid at least.
_CLASSES = {
    "STANDARD": (0.023, 0.0, 0),
    "INTELLIGENT_TIERING": (0.023, 0.0, 0),
    "STANDARD_IA": (0.0125, 0.01, 30),
    "ONEZONE_IA": (0.01, 0.01, 30),
    "GLACIER_IR": (0.004, 0.03, 90),
    "GLACIER": (0.0036, 0.01, 90),
    "DEEP_ARCHIVE": (0.00099, 0.02, 180),
}


def plan(
    settings: MigrationSettings,
    *,
    objects: ObjectList | None = None,
    context: MigrationContext | None = None,
    workers: int = 16,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> Plan:
    """Look at every object, as a run would, and add up.

    Costs a HEAD and the reading of tags and ACL for each object; for a rewrap between KMS keys also a ``ReEncrypt``,
    whose answer is thrown away, since nothing else tells which key has wrapped a data key.

    Args:
        settings: the job.
        objects: what to do; None lists the source.
        context: of the process, with ``dry_run``; None builds one.
        workers: threads.
        on_outcome: told what would become of each object.

    Raises:
        botocore.exceptions.ClientError: what would stop the whole job.
    """
    with contextlib.ExitStack() as stack:
        if context is None:
            context = stack.enter_context(contextlib.closing(MigrationContext.open(settings, dry_run=True)))
        facts = context.facts(settings.source.bucket)
        context.facts(settings.target("")[0])
        listing = (
            ListedObjects(context.s3, settings.source.bucket, settings.source.prefix) if objects is None else objects
        )
        total = _Total(settings, keeps_versions=facts.keeps_versions)
        for outcome in _look(wanted(listing, settings), context, workers):
            total.add(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
        return total.plan(_warnings(settings, context))


def _look(tasks: Iterable[Task], context: MigrationContext, workers: int) -> Iterator[Outcome]:
    waiting: collections.deque[Future[Outcome]] = collections.deque()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for task in tasks:
            waiting.append(pool.submit(migrate_one, task, context=context))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Total:
    """Adds up what would be done."""

    def __init__(self, settings: MigrationSettings, *, keeps_versions: bool) -> None:
        self._settings = settings
        self._keeps_versions = keeps_versions
        self._counts: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._kms_calls = 0
        self._retrieval = self._early = self._old_versions = 0.0

    def add(self, outcome: Outcome) -> None:
        size = outcome.task.size if outcome.task.size is not None else outcome.plaintext_length or 0
        self._counts.update({"objects": 1, "bytes": size})
        if outcome.format_before:
            self._formats[outcome.format_before] += 1
        self._requests.update(outcome.requests)
        if outcome.result is Result.ALREADY:
            self._counts["already"] += 1
        elif outcome.result is Result.PLANNED:
            self._counts.update({"to_do": 1, "to_do_bytes": size})
            self._add_writes(outcome)
            self._add_storage(outcome.task.storage_class or "STANDARD", size)
        else:
            self._skipped[outcome.reason.value if outcome.reason else outcome.result.value] += 1

    def _add_writes(self, outcome: Outcome) -> None:
        settings, length = self._settings, outcome.plaintext_length or 0
        if settings.action is Action.REWRAP:
            self._kms_calls += settings.keyring.is_kms
            self._requests.update({"copy_object": 1, "head_object": 2})
            return
        if outcome.format_before == outcome.format_after:
            self._requests.update({"copy_object": 1, "head_object": 2})  # to another place, as it is
            return
        self._kms_calls += settings.keyring.is_kms * (2 if settings.read_back else 1)
        source = settings.source_keyring or settings.keyring
        self._kms_calls += source.is_kms and outcome.format_before != "plaintext"
        self._requests["get_object"] += 2 if settings.read_back else 1
        if length <= settings.single_request_limit:
            self._requests["put_object"] += 1
            return
        parts = length // part_length(length, settings) + 1
        self._requests.update(
            {"create_multipart_upload": 1, "upload_part": parts, "complete_multipart_upload": 1, "head_object": 2}
        )

    def _add_storage(self, storage_class: str, size: int) -> None:
        month, retrieval, days = _CLASSES.get(storage_class, _CLASSES["STANDARD"])
        if self._settings.action is not Action.REWRAP:
            self._retrieval += size / _GIB * retrieval
        if self._settings.in_place and not self._keeps_versions:
            self._early += size / _GIB * month * days / 30
        if self._settings.in_place and self._keeps_versions:
            self._old_versions += size / _GIB * month

    def plan(self, warnings: tuple[str, ...]) -> Plan:
        writes = sum(count for name, count in self._requests.items() if name in _WRITES)
        reads = self._requests.total() - writes
        return Plan(
            identity=self._settings.identity,
            objects=self._counts["objects"],
            bytes=self._counts["bytes"],
            to_do=self._counts["to_do"],
            to_do_bytes=self._counts["to_do_bytes"],
            already=self._counts["already"],
            skipped=dict(self._skipped),
            formats=dict(self._formats),
            requests=dict(self._requests),
            kms_calls=self._kms_calls,
            cost=Cost(
                s3_requests=writes * _WRITE_PRICE + reads * _READ_PRICE,
                kms_requests=self._kms_calls * _KMS_PRICE,
                retrieval=self._retrieval,
                early_deletion=self._early,
                old_versions_per_month=self._old_versions,
            ),
            warnings=warnings,
        )


def _warnings(settings: MigrationSettings, context: MigrationContext) -> tuple[str, ...]:
    facts, target = context.facts(settings.source.bucket), context.facts(settings.target("")[0])
    found = {
        "every object written gets a new LastModified": True,
        "the bucket keeps versions: plaintext versions stay, readable and paid for, until they are purged": (
            settings.in_place and facts.keeps_versions
        ),
        "the bucket keeps no versions: each overwrite is final (it happens after verification only)": (
            settings.in_place and not facts.keeps_versions
        ),
        "lifecycle rules count from the new LastModified: consider pausing them": target.has_lifecycle,
        "each write raises the bucket's event notifications: consider pausing them": target.has_notifications,
        "replication copies each new version; its destination needs the KMS key too (a multi-Region key)": (
            target.has_replication
        ),
        "Object Lock is on: locked plaintext versions cannot be removed before their retention ends": target.has_lock,
    }
    return tuple(text for text, applies in found.items() if applies)
