"""What a run would do and cost: every object looked at, nothing written."""

from __future__ import annotations

import collections
import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from s3ec.migrate.jobs.estimate import (
    KMS_PRICE,
    StorageClass,
    kms_calls_for,
    price_of,
    requests_for,
    shared_data_keys,
    storage_class,
    writes_file,
)
from s3ec.migrate.jobs.local import wanted
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.model import Action, Cost, Outcome, Plan, Result, Task
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps import plaintext
from s3ec.migrate.steps.source import open_source
from s3ec.migrate.steps.step import migrate_one
from s3ec.migrate.work.context import BucketFacts, Calls, MigrationContext
from s3ec.migrate.work.ending import TaskEndedError
from s3ec.migrate.work.key_names import key_names, unresolved
from s3ec.migrate.work.object_lists import ListedObjects, ObjectList

__all__ = ["plan"]

_GIB = 2**30
_LISTS = frozenset({"list_objects_v2", "list_object_versions"})


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
        context: context of the process, with ``dry_run``; None builds one.
        workers: threads.
        on_outcome: called with what would become of each object.

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
        kms_before = context.meter.of_this_thread
        keys = key_names(context)
        # A run resolves aliases at its beginning and at its end.
        resolving = 2 * (context.meter.of_this_thread - kms_before)
        total = _Total(settings, facts)
        context.contexts.clear()
        check = _SourceKey(context)
        books = stack.enter_context(_books(listing, settings))
        context.mac_key = books.mac_key
        for outcome in _look(books.open_tasks(), context, workers):
            total.add(outcome)
            check.look(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
        resolving += shared_data_keys(context.contexts, settings)
        total.add_beside(context.overhead, resolving, is_live=listing.is_live)
        doubts = tuple(f"KMS does not tell which key {alias} is" for alias in unresolved(keys))
        return total.plan((*_warnings(settings, context), *doubts))


@contextlib.contextmanager
def _books(listing: ObjectList, settings: MigrationSettings) -> Iterator[Journal]:
    """The list as a run takes it in: a journal that is gone afterwards, and knows whose instruction file is listed."""
    with tempfile.TemporaryDirectory(prefix="s3ec-plan-") as folder, Journal.open(f"{folder}/plan", settings) as books:
        books.record_listing(wanted(listing, settings))
        if listing.is_complete:
            books.mark_instruction_files()
        yield books


class _SourceKey:
    """Opens the data key of the first object that a run would have to open, as that run would."""

    def __init__(self, context: MigrationContext) -> None:
        self._context = context
        self._is_due = context.settings.action is Action.UPGRADE

    def look(self, outcome: Outcome) -> None:
        """Look at one outcome of the dry run.

        Raises:
            s3ec.errors.S3ECError: the key does not open it: a run would fail at each object.
        """
        opens = outcome.result is Result.PLANNED and outcome.format_before != "plaintext"
        if not (self._is_due and opens and outcome.format_before != outcome.format_after):
            return
        self._is_due = False
        context = self._context
        try:
            calls = Calls(context.s3, context.direct)
            source = open_source(outcome.task, context=context, calls=calls, with_body=False)
        except TaskEndedError:
            return  # another writer was here since; a run looks for itself
        plaintext.cipher_of(source, context.read_manager, allow_legacy=context.settings.allow_legacy)


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

    def __init__(self, settings: MigrationSettings, facts: BucketFacts) -> None:
        self._settings = settings
        self._facts = facts
        self._counts: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._kms_calls = 0
        self._writes_files = False
        self._s3 = self._retrieval = self._early = self._old_versions = 0.0

    def add(self, outcome: Outcome) -> None:
        size = outcome.task.size if outcome.task.size is not None else outcome.plaintext_length or 0
        self._counts.update({"objects": 1, "bytes": size})
        if outcome.format_before:
            self._formats[outcome.format_before] += 1
        requests = requests_for(outcome, self._settings, self._facts)
        self._writes_files |= writes_file(outcome, self._settings)
        prices = storage_class(outcome.task.storage_class)
        self._requests.update(requests)
        self._s3 += price_of(requests, prices)
        self._kms_calls += kms_calls_for(outcome, self._settings)
        if outcome.result is Result.ALREADY:
            self._counts["already"] += 1
        elif outcome.result in (Result.PLANNED, Result.DONE):
            self._counts.update({"to_do": 1, "to_do_bytes": size})
            self._add_storage(prices, size)
        else:
            self._skipped[outcome.reason.value if outcome.reason else outcome.result.value] += 1

    def add_beside(self, requests: Mapping[str, int], kms_calls: int, *, is_live: bool) -> None:
        """What a run asks beside its objects: the bucket, and the list, which it goes through once more at its end."""
        lists = 2 if is_live and self._settings.action is not Action.VERIFY else 1
        # Files that the run itself writes show as new in its second list, and are looked at.
        lists += is_live and self._writes_files
        beside = Counter({name: count * (lists if name in _LISTS else 1) for name, count in requests.items()})
        self._requests.update(beside)
        self._s3 += price_of(beside, storage_class(None))
        self._kms_calls += kms_calls

    def _add_storage(self, prices: StorageClass, size: int) -> None:
        if self._settings.action is Action.VERIFY:
            self._retrieval += size / _GIB * prices.retrieval
            return
        if self._settings.action is not Action.REWRAP:
            self._retrieval += size / _GIB * prices.retrieval
        if self._settings.in_place and not self._facts.keeps_versions:
            self._early += size / _GIB * prices.month * prices.days / 30
        if self._settings.in_place and self._facts.keeps_versions:
            self._old_versions += size / _GIB * prices.month

    def plan(self, warnings: tuple[str, ...]) -> Plan:
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
                s3_requests=self._s3,
                kms_requests=self._kms_calls * KMS_PRICE,
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
