"""100,000 small objects: the rate and peak memory of a migration beside a bare get+put loop, in one run.

    python tests/benchmarks/migrate_small_objects.py [--objects 100000] [--size 10240] [--processes 1] [--threads 16]

The server is MinIO on memory-backed storage where there is some, with a raw wrapping key: no KMS is measured. The bare
loop is what somebody would write who carries nothing over: ``get_object`` and ``put_object`` by boto3 in one process of
as many threads. The migration, with its default settings, also reads each object's tags, looks again before it writes,
encrypts, decrypts again to compare, and keeps its journal. The loop runs before and after it, and the ratio is to the
mean of both. Server and clients share the machine, so only the ratio means something.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from s3ec import AesKeyring, EncryptionClient
from s3ec.migrate import Action, Connection, Event, Journal, KeyringSpec, Location, MigrationSettings, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import servers  # noqa: E402  # found only now that the folder of tests is on the path

BUCKET = "benchmark"


def main() -> int:
    """Fill, loop, migrate, check; prints one line for each."""
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
        body = os.urandom(options.size)
        keys = [f"{number % 1000:03}/{number:06}" for number in range(options.objects)]
        _timed(
            "fill",
            len(keys),
            lambda: _each(keys, lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=body), options.threads),
        )

        def get_and_put(key: str) -> None:
            content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            client.put_object(Bucket=BUCKET, Key=key, Body=content)

        sample = keys[:: max(1, len(keys) // options.bare)]
        bare = _timed("bare get+put", len(sample), lambda: _each(sample, get_and_put, options.threads))
        settings = _settings(arguments["endpoint_url"], folder, options=options)
        with Journal.open(folder / "journal", settings) as journal:
            peaks: dict[int, int] = {}

            def watch(event: Event) -> None:
                if event.kind == "finished" and int(time.monotonic() * 10) % 10 == 0:
                    for child in multiprocessing.active_children():
                        peaks[child.pid or 0] = _peak(child.pid or 0)

            def migrate() -> None:
                summary = run(settings, journal, workers=options.threads, processes=options.processes, on_event=watch)
                assert summary.counts == {"done": len(keys)}, summary
                print("requests:", ", ".join(f"{count} {name}" for name, count in sorted(summary.requests.items())))

            rate = _timed(f"migrate, {options.processes} x {options.threads}", len(keys), migrate)
        _check(arguments, folder, body, islice(keys, 0, None, max(1, len(keys) // 200)))
        again = _timed("bare get+put", len(sample), lambda: _each(sample, get_and_put, options.threads))
        print(f"migrate / bare: {rate / ((bare + again) / 2):.2f}")
        print("peak memory of the migrating process:", _mib(_peak(os.getpid())))
        print("peak memory of each worker:", ", ".join(map(_mib, peaks.values())) or "none: one process did it all")
    return 0


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
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--bare", type=int, default=10_000, help="objects of the bare loop")
    parser.add_argument("--size", type=int, default=10_240, help="bytes of each")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", "--workers", type=int, default=16, help="of each process, and of the bare loop")
    parser.add_argument("--old", action="store_true", help="believe the listing at once, as of objects of yesterday")
    parser.add_argument("--trust-tag-count", action="store_true", help="ask for tags only where GET counts some")
    return parser.parse_args()


def _settings(endpoint_url: str, folder: Path, *, options: argparse.Namespace) -> MigrationSettings:
    path = folder / "wrapping-key"
    path.write_bytes(os.urandom(32))
    return MigrationSettings(
        action=Action.MIGRATE,
        source=Location(bucket=BUCKET),
        keyring=KeyringSpec(kind="aes-file", path=str(path)),
        connection=Connection(endpoint_url=endpoint_url, region_name="us-east-1"),
        ignore_acl=True,  # as in a bucket whose ACLs are off, which is AWS's default and MinIO does not know
        trust_tag_count=options.trust_tag_count,
        settle_seconds=0 if options.old else 600,
    )


def _each(keys: Iterable[str], function: Callable[[str], Any], threads: int) -> None:
    source = iter(keys)
    with ThreadPoolExecutor(threads) as pool:
        # A thousand at a time: a future for each of all the objects would be most of this program's memory.
        while batch := list(islice(source, 1000)):
            collections.deque(pool.map(function, batch), maxlen=0)


def _timed(name: str, count: int, function: Callable[[], Any]) -> float:
    began = time.monotonic()
    function()
    seconds = time.monotonic() - began
    print(f"{name}: {count} objects in {seconds:.1f} s, {count / seconds:.0f} a second", flush=True)
    return count / seconds


def _check(arguments: dict[str, Any], folder: Path, body: bytes, keys: Iterable[str]) -> None:
    keyring = AesKeyring((folder / "wrapping-key").read_bytes())
    reader = EncryptionClient(keyring=keyring, **arguments)
    for key in keys:
        assert reader.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body


if __name__ == "__main__":
    raise SystemExit(main())
