"""Throughput through the endpoint beside the same client directly at the same MinIO, in one run.

    python tests/benchmarks/serve.py [--rounds 7]

MinIO, the endpoint (an AES key: no KMS) and the client are three processes that share this machine. Every round
measures both ways, in turns; printed is the median over the rounds of *through / directly of the same round*, with the
lowest and the highest; then the seconds of both ways, and what the endpoint itself computed in one of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from s3ec.serve.credentials_file import credentials_in  # noqa: E402

from support import servers  # noqa: E402  # found only now that the folder of tests is on the path

BUCKET = "benchmark"
MIB = 1024 * 1024
SMALL = 100


@contextlib.contextmanager
def serving(home: Path, arguments: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Start an endpoint in front of a server; yields the arguments of its clients, and its process ID."""
    (home / "key").write_bytes(bytes(range(128, 160)))
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": arguments["endpoint_url"],
        "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": arguments["region_name"],
    }
    words = ["serve", "--port", "0", "--aes-key-file", str(home / "key"), "--credentials", str(home / "own")]
    with subprocess.Popen([sys.executable, "-m", "s3ec", *words], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip().partition("=")[2]
        own = credentials_in(home / "own")
        pair = {"aws_access_key_id": own.access_key, "aws_secret_access_key": own.secret_key}
        try:
            yield {**arguments, **pair, "endpoint_url": url}, process.pid
        finally:
            process.terminate()


def seconds(run: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def computed(process_id: int) -> float:
    """Seconds of processor time that a process has used, in all of its threads."""
    fields = Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cases(client: Any) -> dict[str, Callable[[], object]]:
    """What is measured, with one client."""
    large, small = os.urandom(64 * MIB), os.urandom(1024)
    return {
        "put 64 MiB": lambda: client.put_object(Bucket=BUCKET, Key="large", Body=large),
        "get 64 MiB": lambda: client.get_object(Bucket=BUCKET, Key="large")["Body"].read(),
        "put 1 KiB": lambda: [client.put_object(Bucket=BUCKET, Key=f"s{i}", Body=small) for i in range(SMALL)],
        "get 1 KiB": lambda: [client.get_object(Bucket=BUCKET, Key=f"s{i}")["Body"].read() for i in range(SMALL)],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        direct = stack.enter_context(servers.minio(home, tls=False)).arguments()
        through, endpoint = stack.enter_context(serving(home, direct))
        clients = [stack.enter_context(contextlib.closing(boto3.client("s3", **each))) for each in (direct, through)]
        clients[0].create_bucket(Bucket=BUCKET)
        ways = [cases(client) for client in clients]
        for name in ways[0]:
            measured: list[float] = []
            took: list[tuple[float, float]] = []
            begin = 0.0
            for number in range(rounds + 1):
                order = (0, 1) if number % 2 else (1, 0)
                begin = begin if number > 1 else computed(endpoint)  # the first is for warming up
                times = {way: seconds(ways[way][name]) for way in order}
                if number:
                    measured.append(times[0] / times[1])
                    took.append((times[0], times[1]))
            low, middle, high = min(measured), statistics.median(measured), max(measured)
            directly, slower = (statistics.median(each) for each in zip(*took, strict=True))
            own = (computed(endpoint) - begin) / rounds
            print(
                f"{name:12} {middle:5.2f}  ({low:.2f} to {high:.2f})   {directly:.3f} s, {slower:.3f} s, {own:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
