"""Throughput through the endpoint beside the same client directly at the same MinIO, in one run.

    python tests/benchmarks/serve.py [--rounds 7] [--only 'get 1 KiB']

MinIO, the endpoint (an AES key: no KMS) and the client are three processes that share this machine. Every round
measures both ways, in turns; printed is the median over the rounds of *through / directly of the same round*, with the
lowest and the highest; then the seconds of both ways, and what the endpoint itself computed in one of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import servers, serving  # noqa: E402  # found only now that the folder of tests is on the path

BUCKETS = ("directly", "through")
MIB = 1024 * 1024
SMALL = 100


def seconds(run: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def computed(process_id: int) -> float:
    """Seconds of processor time that a process has used, in all of its threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cases(client: Any, bucket: str) -> dict[str, Callable[[], object]]:
    """What is measured, with one client."""
    large, small = os.urandom(64 * MIB), os.urandom(1024)
    return {
        "put 64 MiB": lambda: client.put_object(Bucket=bucket, Key="large", Body=large),
        "get 64 MiB": lambda: client.get_object(Bucket=bucket, Key="large")["Body"].read(),
        "put 1 KiB": lambda: [client.put_object(Bucket=bucket, Key=f"s{i}", Body=small) for i in range(SMALL)],
        "get 1 KiB": lambda: [client.get_object(Bucket=bucket, Key=f"s{i}")["Body"].read() for i in range(SMALL)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", action="append", help="measure this case alone; repeatable")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        direct = stack.enter_context(servers.minio(home, tls=False)).arguments()
        endpoint = stack.enter_context(serving.started(home, direct))
        both = (direct, endpoint.arguments())
        clients = [stack.enter_context(contextlib.closing(boto3.client("s3", **each))) for each in both]
        for bucket in BUCKETS:
            clients[0].create_bucket(Bucket=bucket)
        ways = [cases(*each) for each in zip(clients, BUCKETS, strict=True)]
        for name in ways[0]:
            if name not in (arguments.only or ways[0]):
                for way in ways:
                    way[name]()  # what others read
                continue
            measured: list[float] = []
            took: list[tuple[float, float]] = []
            begin = 0.0
            for number in range(rounds + 1):
                order = (0, 1) if number % 2 else (1, 0)
                begin = begin if number > 1 else computed(endpoint.process.pid)  # the first is for warming up
                times = {way: seconds(ways[way][name]) for way in order}
                if number:
                    measured.append(times[0] / times[1])
                    took.append((times[0], times[1]))
            low, middle, high = min(measured), statistics.median(measured), max(measured)
            directly, slower = (statistics.median(each) for each in zip(*took, strict=True))
            own = (computed(endpoint.process.pid) - begin) / rounds
            print(
                f"{name:12} {middle:5.2f}  ({low:.2f} to {high:.2f})   {directly:.3f} s, {slower:.3f} s, {own:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
