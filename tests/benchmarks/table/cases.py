"""What is measured: the cases of the table, and the sizes of which the memory is looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["COLUMNS", "KMS_CASES", "MEMORY_CLIENTS", "MEMORY_OPERATIONS", "MEMORY_PAIRS", "SIZES", "Case", "cases"]

KIB, MIB = 1 << 10, 1 << 20

COLUMNS = {
    "s3ec": "s3ec",
    "cached": "s3ec, data keys cached",
    "official": "official Python client",
}
"""The columns of the table: what stands above them, by their name."""

KMS_CASES = (
    "put-1k",
    "get-1k",
    "put-1k-prefetched",
    "range-64k",
    "put-large",
    "upload-file",
    "download-file",
    "migrate-10k",
)
"""Cases of which the calls of KMS are drawn: of each kind one, since the size makes no difference."""

SIZES = (1, 8, 64, 256, 1024, 4096, 8192)
"""MiB of the objects of which the memory is looked at."""

MEMORY_PAIRS = (("put_file", "get"), ("upload_file", "download_file"))
"""Operations of which the memory is looked at: one that stores an object, and one that reads it."""

MEMORY_OPERATIONS = tuple(operation for pair in MEMORY_PAIRS for operation in pair)

MEMORY_CLIENTS = {"boto3": 8192, "s3ec": 8192, "official": 1024}
"""Clients of the memory's measurement, with the largest object in MiB: the official one takes several times as much."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table.

    Attributes:
        name: in the file of results.
        label: in the table and the plots.
        operation: a method of `clients.Plain`.
        size: bytes of the object.
        clients: the kinds of clients to measure beside plain boto3, by column (`COLUMNS`).
        repeats: operations in one round.
        rounds: how often it is measured, at most.
        threads: that do the operations.
        kms_seconds: what KMS takes for an answer.
        is_far: whether the server is as far and as slow as a real one (`distance.py`).
        uses_file: whether the bytes come from a file, and not from memory.
    """

    name: str
    label: str
    operation: str
    size: int
    clients: dict[str, str]
    repeats: int = 1
    rounds: int = 7
    threads: int = 1
    kms_seconds: float = 0.0
    is_far: bool = False
    uses_file: bool = False

    def parameters(self) -> dict[str, Any]:
        """All of it, for a worker and for the file of results."""
        return asdict(self)


_ALL = {"s3ec": "s3ec", "cached": "s3ec-cached", "official": "official"}
_PLAIN = {"s3ec": "s3ec", "official": "official"}
_OURS = {"s3ec": "s3ec", "cached": "s3ec-cached"}
_DELAYED = {"s3ec": "s3ec-delayed", "official": "official-delayed"}
_CACHED = {"cached": "s3ec-cached"}
_NEAR_KMS = 0.01


def cases(large: int, rounds: int) -> list[Case]:
    """The cases.

    Args:
        large: MiB of the large objects.
        rounds: of each case; those of large objects take fewer.
    """
    return [
        case
        if case.rounds <= rounds
        else Case(**{**{name: getattr(case, name) for name in Case.__slots__}, "rounds": rounds})
        for case in (*_small(), *_middle(), *_large(large), *_far(large), *_migrations())
    ]


def _small() -> list[Case]:
    return [
        Case("put-1k", "put_object, 1 KiB", "put", KIB, _ALL, 200),
        Case("get-1k", "get_object, 1 KiB", "get", KIB, _ALL, 200),
        Case("put-1k-kms", "put_object, 1 KiB, KMS 10 ms away", "put", KIB, _ALL, 60, kms_seconds=_NEAR_KMS),
        Case("get-1k-kms", "get_object, 1 KiB, KMS 10 ms away", "get", KIB, _ALL, 60, kms_seconds=_NEAR_KMS),
        Case(
            "put-1k-prefetched",
            "put_object, 1 KiB, KMS 10 ms away, prefetched",
            "put",
            KIB,
            {"s3ec": "s3ec-prefetched"},
            60,
            kms_seconds=_NEAR_KMS,
        ),
        Case("put-1k-threads", "put_object, 1 KiB, 16 threads", "put", KIB, _CACHED, 400, threads=16),
        Case("get-1k-threads", "get_object, 1 KiB, 16 threads", "get", KIB, _CACHED, 400, threads=16),
        Case("put-1m", "put_object, 1 MiB", "put", MIB, _ALL, 40),
        Case("get-1m", "get_object, 1 MiB", "get", MIB, _ALL, 40),
    ]


def _middle() -> list[Case]:
    return [
        Case("put-64m", "put_object, 64 MiB of memory", "put", 64 * MIB, _PLAIN, 3),
        Case("get-64m", "get_object, 64 MiB, verified", "get", 64 * MIB, _PLAIN, 3),
        Case("get-64m-delayed", "get_object, 64 MiB, delayed authentication", "get", 64 * MIB, _DELAYED, 3),
        Case("range-64k", "64 KiB of 64 MiB, verified", "range", 64 * MIB, _OURS, 100),
    ]


def _large(mib: int) -> list[Case]:
    size, name = mib * MIB, _size(mib)
    more: dict[str, Any] = {"rounds": 5, "uses_file": True}
    return [
        Case("put-large", f"put_object, file of {name}", "put_file", size, _PLAIN, **more),
        Case("get-large", f"get_object, {name}, verified", "get", size, _PLAIN, **more),
        Case("get-large-delayed", f"get_object, {name}, delayed authentication", "get", size, _DELAYED, **more),
        Case("upload-file", f"upload_file, {name}", "upload_file", size, _PLAIN, **more),
        Case("upload-fileobj", f"upload_fileobj, {name}", "upload_fileobj", size, _PLAIN, **more),
        Case("download-file", f"download_file, {name}, verified", "download_file", size, _PLAIN, **more),
    ]


def _far(large: int) -> list[Case]:
    """Fifteen milliseconds to the first byte, and 90 MiB/s for each connection."""
    mib = min(large, 256)
    size, name = mib * MIB, _size(mib)
    more: dict[str, Any] = {"rounds": 3, "uses_file": True, "is_far": True}
    return [
        Case("far-upload", f"upload_file, {name}, distant S3", "upload_file", size, _PLAIN, **more),
        Case("far-download", f"download_file, {name}, distant S3", "download_file", size, _PLAIN, **more),
        Case("far-get", f"get_object, {name}, distant S3", "get", size, {"s3ec": "s3ec"}, **more),
        Case("far-range", "64 KiB of 64 MiB, distant S3", "range", 64 * MIB, {"s3ec": "s3ec"}, 50, is_far=True),
    ]


def _migrations() -> list[Case]:
    return [
        Case(
            "migrate-10k",
            "read plain, write encrypted, 10 KiB, 16 threads",
            "migrate",
            10 * KIB,
            _ALL,
            200,
            threads=16,
        ),
        Case(
            "migrate-64m",
            "read plain, write encrypted, 64 MiB, 4 threads",
            "migrate",
            64 * MIB,
            _ALL,
            4,
            3,
            threads=4,
        ),
    ]


def _size(mib: int) -> str:
    return f"{mib // 1024} GiB" if mib >= 1024 and mib % 1024 == 0 else f"{mib} MiB"
