"""Throughput beside plain boto3, and beside the official Python client where it is installed, in one run.

    python tests/benchmarks/throughput.py [--rounds 7] [--large 256] [--json FILE]

MinIO over https stores the objects, in memory where there is a place for that, and `prompt_kms.py` answers as KMS, over
http. All of them share this machine, and machines are noisy: so every round measures every client, in turns, and what
is printed is the median over the rounds of *client / boto3 of the same round*, with the lowest and the highest. More
than 1 is faster than plain boto3, which encrypts nothing. `s3ec` calls KMS for each object; `s3ec, cached` keeps data
keys (`CachingMaterialsManager`); `official` is amazon-s3-encryption-client-python with its defaults.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from prompt_kms import KEY_ARN

from s3ec import CachingMaterialsManager, EncryptionClient, KmsKeyring
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import servers  # noqa: E402  # found only now that the folder of tests is on the path
from support.aws import client_arguments  # noqa: E402

KIB, MIB = 1024, 1024 * 1024
BUCKET = "benchmark"
SPAN = 64 * KIB


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    Attributes:
        name: as printed.
        size: bytes of the object.
        repeats: operations in one round.
        run: does one operation.
        official: whether the official client can do it at all.
    """

    name: str
    size: int
    repeats: int
    run: Callable[[Any, str, Work], object]
    official: bool = True


_TRASH = ".minio.sys/tmp/.trash"


@dataclass(frozen=True, slots=True)
class Work:
    """The bytes of a case, in memory and as a file, and a place for a download."""

    body: bytes
    source: Path
    target: Path


def _put(client: Any, prefix: str, work: Work) -> None:
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/put", Body=work.body)


def _put_file(client: Any, prefix: str, work: Work) -> None:
    with work.source.open("rb") as body:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/put", Body=body)


def _get(client: Any, prefix: str, _: Work) -> None:
    body = client.get_object(Bucket=BUCKET, Key=f"{prefix}/source")["Body"]
    while body.read(MIB):
        pass


def _range(client: Any, prefix: str, work: Work) -> None:
    start = random.randrange(len(work.body) - SPAN)  # noqa: S311  # an offset, no secret
    wanted = f"bytes={start}-{start + SPAN - 1}"
    content = client.get_object(Bucket=BUCKET, Key=f"{prefix}/source", Range=wanted)["Body"].read()
    if content != work.body[start : start + SPAN]:
        raise AssertionError("a range gave other bytes")


def _upload(client: Any, prefix: str, work: Work) -> None:
    client.upload_file(str(work.source), BUCKET, f"{prefix}/put")


def _download(client: Any, prefix: str, work: Work) -> None:
    client.download_file(BUCKET, f"{prefix}/source", str(work.target))
    if work.target.stat().st_size != len(work.body):
        raise AssertionError("a download has another length")


def _cases(large: int) -> list[Case]:
    return [
        Case("put_object, 1 KiB", KIB, 100, _put),
        Case("get_object, 1 KiB", KIB, 100, _get),
        Case("put_object, 1 MiB", MIB, 30, _put),
        Case("get_object, 1 MiB", MIB, 30, _get),
        Case("64 KiB of 64 MiB, verified", 64 * MIB, 50, _range, official=False),
        Case(f"put_object, file of {large} MiB", large * MIB, 1, _put_file),
        Case(f"get_object, {large} MiB, verified first", large * MIB, 1, _get),
        Case(f"upload_file, {large} MiB", large * MIB, 1, _upload),
        # boto3's own ranged download, which the official client passes through, cannot be decrypted there.
        Case(f"download_file, {large} MiB", large * MIB, 1, _download, official=False),
    ]


def main() -> int:
    """Measure every case and print a line for each client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--large", type=int, default=256, metavar="MIB", help="size of the large object")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write ratios and KMS calls, for table.py")
    options = parser.parse_args()
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3ec-benchmark-", dir=base)))
        server = stack.enter_context(servers.minio(folder / "minio", tls=True))
        calls: Counter[str] = Counter()
        clients = _clients(server.arguments(), stack.enter_context(_kms_endpoint()), calls)
        found: dict[str, dict[str, Any]] = {}
        clients["boto3"].create_bucket(Bucket=BUCKET)
        print(f"{'':40} {'client':14} {'/ boto3':>8}   lowest..highest")
        for case in _cases(options.large):
            calls.clear()
            seconds = _measure(case, clients, folder, server.data / _TRASH, options.rounds, calls)
            _report(case, seconds)
            operations = options.rounds * case.repeats
            found[case.name] = {
                name: {"ratios": _ratios(seconds, name), "kms_calls": calls[name] / operations}
                for name in seconds
                if name != "boto3"
            }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


class _Counting:
    """A keyring that counts what it is asked; an event of the client's would be heard, and change how it is asked."""

    def __init__(self, keyring: KmsKeyring, name: str, calls: Counter[str]) -> None:
        self._keyring, self._name, self._calls = keyring, name, calls
        self.capabilities = keyring.capabilities

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        self._calls[self._name] += 1
        return self._keyring.on_encrypt(request)

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        self._calls[self._name] += 1
        return self._keyring.on_decrypt(request)


def _clients(arguments: dict[str, Any], kms_url: str, calls: Counter[str]) -> dict[str, Any]:
    def keyring(name: str) -> _Counting:
        return _Counting(KmsKeyring(KEY_ARN, client=kms), name, calls)

    kms = boto3.client("kms", **client_arguments(kms_url))
    clients: dict[str, Any] = {
        "boto3": boto3.client("s3", **arguments),
        "s3ec": EncryptionClient(keyring=keyring("s3ec"), **arguments),
        "s3ec, cached": EncryptionClient(
            materials_manager=CachingMaterialsManager(keyring("s3ec, cached")), **arguments
        ),
    }
    if importlib.util.find_spec("s3_encryption"):
        from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
        from s3_encryption.materials.kms_keyring import KmsKeyring as OfficialKeyring

        own = boto3.client("kms", **client_arguments(kms_url))
        own.meta.events.register("before-call.kms", lambda **_: calls.update(["official"]))
        config = S3EncryptionClientConfig(keyring=OfficialKeyring(own, KEY_ARN))
        clients["official"] = S3EncryptionClient(boto3.client("s3", **arguments), config)
    return clients


def _measure(
    case: Case, clients: dict[str, Any], folder: Path, trash: Path, rounds: int, calls: Counter[str]
) -> dict[str, list[float]]:
    """Seconds of each round, by client; the order is turned round every round."""
    work = Work(os.urandom(case.size), folder / "source", folder / "target")
    work.source.write_bytes(work.body)
    able = [name for name in clients if case.official or name != "official"]
    for name in able:
        clients[name].put_object(Bucket=BUCKET, Key=f"{name}/source", Body=work.body)
        case.run(clients[name], name, work)
    calls.clear()
    seconds: dict[str, list[float]] = {name: [] for name in able}
    for number in range(rounds):
        for name in able if number % 2 else reversed(able):
            gc.collect()
            began = time.perf_counter()
            for _ in range(case.repeats):
                case.run(clients[name], name, work)
            seconds[name].append(time.perf_counter() - began)
            # MinIO keeps what was overwritten for five minutes, which would fill the memory.
            for overwritten in trash.iterdir():
                shutil.rmtree(overwritten, ignore_errors=True)
    return seconds


def _report(case: Case, seconds: dict[str, list[float]]) -> None:
    for name in seconds:
        if name == "boto3":
            continue
        ratios = _ratios(seconds, name)
        spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
        print(f"{case.name:40} {name:14} {statistics.median(ratios):8.2f}   {spread}", flush=True)


def _ratios(seconds: dict[str, list[float]], name: str) -> list[float]:
    return [plain / encrypted for plain, encrypted in zip(seconds["boto3"], seconds[name], strict=True)]


@contextlib.contextmanager
def _kms_endpoint() -> Iterator[str]:
    """A process of its own: here it would take turns with the clients."""
    program = Path(__file__).with_name("prompt_kms.py")
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


if __name__ == "__main__":
    sys.exit(main())
