"""Small objects: the rate of a migration beside a bare get+put loop, in interleaved rounds of one run.

    python tests/benchmarks/migrate_small_objects.py [--rounds 5] [--objects 2000] [--size 10240] [--threads 16]
                                                     [--processes 1] [--bytes random|text] [--versions]

The server is MinIO on memory-backed storage where there is some, with a raw wrapping key: no KMS is measured. The bare
loop is what somebody would write who carries nothing over: ``get_object`` and ``put_object`` by boto3 in one process of
as many threads. The migration has its default settings, and objects that were written a moment ago. Server and clients
share the machine, so only the ratio of a round means something, and of the ratios the median; the CPU time for each
object, of the clients and of the server, depends least on what else the machine does.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from s3ec import AesKeyring, EncryptionClient
from s3ec.migrate import Action, Connection, Journal, KeyringSpec, Location, MigrationSettings, Summary, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import servers  # noqa: E402  # found only now that the folder of tests is on the path

BUCKET = "benchmark"
_BARE = "bare/"


@dataclass(frozen=True)
class Measured:
    """One half of a round.

    Attributes:
        rate: objects a second.
        client: CPU milliseconds of the client for each object, its child processes included.
        server: those of the server.
    """

    rate: float
    client: float
    server: float

    def __str__(self) -> str:
        return f"{self.rate:4.0f}/s, CPU {self.client:.2f} + {self.server:.2f} ms"


def main() -> int:
    """Fill, then loop and migrate in turn, check; prints a line for each round, and the medians."""
    options = _options()
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own is made in it
    base = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s3ec-benchmark-", dir=base)))
        server = stack.enter_context(servers.minio(folder / "minio", tls=False))
        arguments = server.arguments()
        os.environ["AWS_ACCESS_KEY_ID"] = arguments["aws_access_key_id"]
        os.environ["AWS_SECRET_ACCESS_KEY"] = arguments["aws_secret_access_key"]
        client = boto3.client("s3", config=Config(max_pool_connections=options.threads), **arguments)
        client.create_bucket(Bucket=BUCKET)
        if options.versions:
            client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        body = _body(options)
        prefixes = [_BARE, *(f"{number}/" for number in range(options.rounds))]
        keys = [key for prefix in prefixes for key in _keys(prefix, options.objects)]
        _each(keys, lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=body), options.threads)

        def get_and_put(key: str) -> None:
            content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            client.put_object(Bucket=BUCKET, Key=key, Body=content)

        def bare() -> None:
            _each(_keys(_BARE, options.objects), get_and_put, options.threads)

        rounds, last, peaks = [], Summary(), _Peaks()
        for number in range(options.rounds):
            settings = _settings(arguments["endpoint_url"], folder, prefix=f"{number}/")

            def migrate(settings: MigrationSettings = settings, number: int = number) -> None:
                nonlocal last
                with Journal.open(folder / f"{number}.journal", settings) as journal, peaks.watched():
                    last = run(settings, journal, workers=options.threads, processes=options.processes)
                assert last.counts == {"done": options.objects}, last

            # Each goes first in every other round: what one leaves behind in the server must not favour the other.
            first, second = (bare, migrate) if number % 2 else (migrate, bare)
            measured = {function: _measure(function, options.objects, folder) for function in (first, second)}
            rounds.append((measured[bare], measured[migrate]))
            print(f"bare {measured[bare]}   migrate {measured[migrate]}   ", end="")
            print(f"ratio {measured[migrate].rate / measured[bare].rate:.2f}", flush=True)
            _check(
                arguments, folder, body, islice(_keys(f"{number}/", options.objects), 0, None, options.objects // 20)
            )
        _report(options, rounds, last)
        print("peak memory:", _mib(_peak(os.getpid())), *(f"{_mib(peak)} (worker)" for peak in peaks.seen.values()))
    return 0


def _report(options: argparse.Namespace, rounds: list[tuple[Measured, Measured]], last: Summary) -> None:
    def median(value: Callable[[Measured, Measured], float]) -> float:
        return statistics.median(value(*pair) for pair in rounds)

    name = f"migrate ({options.processes} x {options.threads}) / bare ({options.threads} threads)"
    print(f"{name}: {median(lambda bare, migrate: migrate.rate / bare.rate):.2f}, median of {options.rounds} rounds")
    client = median(lambda bare, migrate: migrate.client / bare.client)
    both = median(lambda bare, migrate: (migrate.client + migrate.server) / (bare.client + bare.server))
    print(f"CPU for each object, migrate / bare: client {client:.2f}, client and server {both:.2f}")
    print("requests:", ", ".join(f"{count} {name}" for name, count in sorted(last.requests.items())))


class _Peaks:
    """Most memory of each child process, looked at while they live."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1.0):
                for child in multiprocessing.active_children():
                    self.seen[child.pid or 0] = max(_peak(child.pid or 0), self.seen.get(child.pid or 0, 0))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _measure(function: Callable[[], None], count: int, folder: Path) -> Measured:
    began, client, server = time.monotonic(), _client_seconds(), _server_seconds(folder)
    function()
    seconds = time.monotonic() - began
    each = 1000 / count
    return Measured(count / seconds, each * (_client_seconds() - client), each * (_server_seconds(folder) - server))


def _client_seconds() -> float:
    used = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _server_seconds(folder: Path) -> float:
    """CPU seconds of the server whose command line names the folder; 0 where there is no ``/proc``."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (path / "cmdline").read_bytes().partition(b"server")[2]:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _keys(prefix: str, count: int) -> Iterator[str]:
    return (f"{prefix}{number % 20:03}/{number:06}" for number in range(count))


def _body(options: argparse.Namespace) -> bytes:
    text = b"Dear reader, this is a line of an ordinary letter.\n"
    return (
        os.urandom(options.size)
        if options.bytes == "random"
        else (text * (options.size // len(text) + 1))[: options.size]
    )


def _peak(pid: int) -> int:
    """Most bytes that a process has had in memory; what getrusage says of a child includes its parent's before exec."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--objects", type=int, default=2000, help="of each round, for each of the two")
    parser.add_argument("--size", type=int, default=10_240, help="bytes of each")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", "--workers", type=int, default=16, help="of each process, and of the bare loop")
    parser.add_argument(
        "--bytes", choices=["random", "text"], default="random", help="random bytes look like ciphertext"
    )
    parser.add_argument("--versions", action="store_true", help="in a bucket that keeps versions")
    return parser.parse_args()


def _settings(endpoint_url: str, folder: Path, *, prefix: str) -> MigrationSettings:
    path = folder / "wrapping-key"
    if not path.exists():
        path.write_bytes(os.urandom(32))
    return MigrationSettings(
        action=Action.MIGRATE,
        source=Location(bucket=BUCKET, prefix=prefix),
        keyring=KeyringSpec(kind="aes-file", path=str(path)),
        connection=Connection(endpoint_url=endpoint_url, region_name="us-east-1"),
    )


def _each(keys: Iterable[str], function: Callable[[str], Any], threads: int) -> None:
    source = iter(keys)
    with ThreadPoolExecutor(threads) as pool:
        # A thousand at a time: a future for each of all the objects would be most of this program's memory.
        while batch := list(islice(source, 1000)):
            collections.deque(pool.map(function, batch), maxlen=0)


def _check(arguments: dict[str, Any], folder: Path, body: bytes, keys: Iterable[str]) -> None:
    keyring = AesKeyring((folder / "wrapping-key").read_bytes())
    reader = EncryptionClient(keyring=keyring, **arguments)
    for key in keys:
        assert reader.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body


if __name__ == "__main__":
    raise SystemExit(main())
