"""What a run sends and costs, reckoned from what a dry run has seen; the tests compare it with what runs really send.

Prices are list prices of us-east-1 in US dollars (aws.amazon.com/s3/pricing, aws.amazon.com/kms/pricing); they give the
order of magnitude, not the bill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from s3ec.migrate.model import Action, Outcome, Result
from s3ec.migrate.settings import MigrationSettings
from s3ec.migrate.steps.instruction_files import PLACED, REMOVED
from s3ec.migrate.steps.writing import part_length
from s3ec.migrate.work.context import BucketFacts

__all__ = [
    "KMS_PRICE",
    "StorageClass",
    "kms_calls_for",
    "price_of",
    "requests_for",
    "shared_data_keys",
    "storage_class",
    "writes_file",
]

KMS_PRICE = 0.03 / 10_000
"""Dollars of one request."""
_OBJECTS_PER_DATA_KEY = 10_000
"""The default of `s3ec.CachingMaterialsManager`."""

_WRITES = frozenset(
    {"put_object", "copy_object", "create_multipart_upload", "upload_part", "upload_part_copy"}
    | {"complete_multipart_upload", "put_object_annotation", "put_object_tagging"}
)
_LISTS = frozenset({"list_objects_v2", "list_object_versions", "list_multipart_uploads", "list_object_annotations"})
_FREE = frozenset({"delete_object", "abort_multipart_upload"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """Prices of one storage class.

    Attributes:
        month: dollars per GiB and month.
        retrieval: dollars for reading a GiB.
        days: how many are paid at least.
        write: dollars for one PUT, COPY, POST or LIST.
        read: dollars for one GET or another request.
    """

    month: float
    retrieval: float
    days: int
    write: float
    read: float


_CLASSES = {
    "STANDARD": StorageClass(month=0.023, retrieval=0.0, days=0, write=5e-6, read=4e-7),
    "INTELLIGENT_TIERING": StorageClass(month=0.023, retrieval=0.0, days=0, write=5e-6, read=4e-7),
    "REDUCED_REDUNDANCY": StorageClass(month=0.024, retrieval=0.0, days=0, write=5e-6, read=4e-7),
    "STANDARD_IA": StorageClass(month=0.0125, retrieval=0.01, days=30, write=1e-5, read=1e-6),
    "ONEZONE_IA": StorageClass(month=0.01, retrieval=0.01, days=30, write=1e-5, read=1e-6),
    "GLACIER_IR": StorageClass(month=0.004, retrieval=0.03, days=90, write=2e-5, read=1e-5),
    "GLACIER": StorageClass(month=0.0036, retrieval=0.01, days=90, write=3e-5, read=4e-7),
    "DEEP_ARCHIVE": StorageClass(month=0.00099, retrieval=0.02, days=180, write=5e-5, read=4e-7),
    "EXPRESS_ONEZONE": StorageClass(month=0.11, retrieval=0.0, days=0, write=1.13e-6, read=3e-8),
}


def storage_class(name: str | None) -> StorageClass:
    """Prices of a class; of an unknown one those of STANDARD."""
    return _CLASSES.get(name or "STANDARD", _CLASSES["STANDARD"])


def price_of(requests: Counter[str], prices: StorageClass) -> float:
    """Dollars for requests to objects of one class."""
    standard = _CLASSES["STANDARD"]
    total = 0.0
    for name, count in requests.items():
        if name in _FREE:
            continue
        # A listing is paid like a write, and always as STANDARD.
        price = standard.write if name in _LISTS else prices.write if name in _WRITES else prices.read
        total += count * price
    return total


def kms_calls_for(outcome: Outcome, settings: MigrationSettings) -> int:
    """Requests to KMS that a run sends for an object that a dry run has looked at."""
    if settings.action in (Action.REWRAP, Action.VERIFY):
        # Looking is the same there: nothing but KMS tells which key has wrapped a data key.
        opened_again = outcome.result is Result.PLANNED and settings.read_back and settings.keyring.is_kms
        return outcome.kms_calls + opened_again
    if outcome.result is not Result.PLANNED or _moves_as_it_is(outcome):
        return 0
    source = settings.source_keyring or settings.keyring
    # Data keys that many objects share are counted by `shared_data_keys`.
    wraps = settings.keyring.is_kms and not settings.reuse_data_keys
    opens = source.is_kms and outcome.format_before != "plaintext"
    return wraps + opens + (settings.keyring.is_kms and settings.read_back)


def shared_data_keys(contexts: Mapping[frozenset[tuple[str, str]], int], settings: MigrationSettings) -> int:
    """Requests to KMS for data keys that objects of one encryption context share, in a run of one process.

    A run that lasts longer than a data key is kept asks for more of them; how long it will last is not known.
    """
    if not (settings.reuse_data_keys and settings.keyring.is_kms):
        return 0
    return sum(-(-count // _OBJECTS_PER_DATA_KEY) for count in contexts.values())


def writes_file(outcome: Outcome, settings: MigrationSettings) -> bool:
    """True if a run writes an instruction file for it."""
    if outcome.result is not Result.PLANNED:
        return False
    if settings.action is Action.REWRAP:
        return bool(outcome.requests.get("get_object"))  # it was read: there the data key lies
    return PLACED in outcome.notes


def requests_for(outcome: Outcome, settings: MigrationSettings, facts: BucketFacts) -> Counter[str]:
    """Requests to S3 that a run sends for an object that a dry run has looked at."""
    requests: Counter[str] = Counter(outcome.requests)
    if settings.action in (Action.MIGRATE, Action.UPGRADE) and requests["head_object"]:
        # Where a dry run looks, a run reads.
        requests.update({"head_object": -1, "get_object": 1})
    if outcome.result is Result.PLANNED:
        if settings.action is Action.REWRAP:
            requests.update(_rewrap(outcome, settings, facts))
        elif _moves_as_it_is(outcome):
            requests.update(_look_at_target(settings) + Counter({"head_object": 1, "copy_object": 1}))
        else:
            requests.update(_write(outcome, settings, facts))
        if settings.read_back:
            requests["get_object"] += 1
    return +requests


def _moves_as_it_is(outcome: Outcome) -> bool:
    return outcome.format_before == outcome.format_after


def _rewrap(outcome: Outcome, settings: MigrationSettings, facts: BucketFacts) -> Counter[str]:
    if writes_file(outcome, settings):  # which alone is replaced, and shows in the next list
        asked = {"get_object_tagging": 1, "get_object_acl": int(_asks_acls(settings, facts))}
        return Counter({"put_object": 1, "head_object": 1, **asked})
    copied = Counter({"copy_object": 1, "head_object": 2})
    length = outcome.task.size or 0
    if length > settings.copy_limit:
        parts = -(-length // min(settings.copy_limit, max(2**30, -(-length // 10_000))))
        del copied["copy_object"]
        copied.update({"create_multipart_upload": 1, "upload_part_copy": parts, "complete_multipart_upload": 1})
    return copied + _looks_afterwards(settings, facts)


def _write(outcome: Outcome, settings: MigrationSettings, facts: BucketFacts) -> Counter[str]:
    length = outcome.plaintext_length or 0
    # Right before the write: whether the object is still what was read.
    found = Counter({"head_object": 1}) + _look_at_target(settings)
    if PLACED in outcome.notes:
        # Looked for, written, and looked at once more in the next list.
        found.update({"get_object": 2, "put_object": 1})
    if REMOVED in outcome.notes:
        # After a look at the object and at both, so that no other writer's goes.
        found.update({"head_object": 3, "delete_object": 1})
    if length <= settings.single_request_limit:
        found["put_object"] += 1
    else:
        parts = max(1, -(-length // part_length(length, settings)))
        # After the completion: whether S3 stored what was sent.
        looks = {"head_object": 1}
        found.update({"create_multipart_upload": 1, "upload_part": parts, "complete_multipart_upload": 1, **looks})
        found += _look_at_target(settings)
    return found + _looks_afterwards(settings, facts)


def _look_at_target(settings: MigrationSettings) -> Counter[str]:
    """At another place: whether something has the name; S3 says why not in the answer to a GET alone."""
    return Counter() if settings.in_place else Counter({"head_object": 1, "get_object": 1})


def _looks_afterwards(settings: MigrationSettings, facts: BucketFacts) -> Counter[str]:
    """Where versions are kept: whether another writer came in between, or changed the tags."""
    if not (settings.in_place and facts.keeps_versions):
        return Counter()
    return Counter({"list_object_versions": 1, "get_object_tagging": int(not settings.ignore_tags)})


def _asks_acls(settings: MigrationSettings, facts: BucketFacts) -> bool:
    return facts.has_acls and not settings.ignore_acl
