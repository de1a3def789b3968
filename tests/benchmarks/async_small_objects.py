"""16 KiB objects over https: aiobotocore, the asynchronous client on it, and the synchronous one in threads; one run.

``PYTHONPATH=.:tests python tests/benchmarks/async_small_objects.py``, with the extra ``aio`` and what the tests need.
The server is another process on loopback; rounds are interleaved, and each figure is the median of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from benchmarks.quick_s3 import serve
from botocore.config import Config

import s3ec.aio
from s3ec import AesKeyring, EncryptionClient

from support.aws import REGION

BODY = os.urandom(16 * 1024)
KEYRING = AesKeyring(bytes(32))
PLAIN, OURS, THREADS = "aiobotocore", "s3ec.aio", "s3ec in threads"


class Figure(NamedTuple):
    """What was measured of one kind of call.

    Attributes:
        rate: calls in a second.
        cpu: seconds of this process's time for each, whatever else the machine does meanwhile.
    """

    rate: float
    cpu: float


class Timed:
    """Measures what is done within it."""

    figure: Figure

    def __init__(self, count: int) -> None:
        """Take how many calls there will be."""
        self._count = count

    def __enter__(self) -> Timed:
        """Begin."""
        gc.collect()
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        wall, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        self.figure = Figure(self._count / wall, cpu / self._count)


async def together(count: int, at_once: int, call: Callable[[int], Awaitable[object]]) -> Figure:
    """Make so many calls, so many at once."""
    numbers = iter(range(count))

    async def go_on() -> None:
        for number in numbers:
            await call(number)

    with Timed(count) as timed:
        await asyncio.gather(*[go_on() for _ in range(at_once)])
    return timed.figure


async def of_tasks(opening: Any, count: int, at_once: int) -> tuple[Figure, Figure]:
    """Puts and gets of an asynchronous client."""
    async with opening as s3:

        async def put(number: int) -> None:
            await s3.put_object(Bucket="b", Key=f"k{number % 100}", Body=BODY)

        async def get(number: int) -> None:
            answer = await s3.get_object(Bucket="b", Key=f"k{number % 100}")
            assert len(await answer["Body"].read()) == len(BODY)

        await together(100, at_once, put)
        return await together(count, at_once, put), await together(count, at_once, get)


def of_threads(s3: Any, count: int, at_once: int) -> tuple[Figure, Figure]:
    """The same of a synchronous one."""

    def put(number: int) -> None:
        s3.put_object(Bucket="b", Key=f"k{number % 100}", Body=BODY)

    def get(number: int) -> None:
        assert len(s3.get_object(Bucket="b", Key=f"k{number % 100}")["Body"].read()) == len(BODY)

    def each(call: Callable[[int], None], calls: int) -> Figure:
        with Timed(calls) as timed, ThreadPoolExecutor(at_once) as pool:
            list(pool.map(call, range(calls)))
        return timed.figure

    each(put, 100)
    return each(put, count), each(get, count)


def measure(arguments: dict[str, Any], count: int, at_once: int, rounds: int) -> None:
    """Measure all three, and print what they do in a second and how they compare."""
    session = AioSession()
    pool = {"max_pool_connections": at_once}
    path = {"s3": {"addressing_style": "path"}}
    asynchronous = {**arguments, "config": AioConfig(**pool, **path)}
    ways: dict[str, Callable[[], tuple[Figure, Figure]]] = {
        PLAIN: lambda: asyncio.run(of_tasks(session.create_client("s3", **asynchronous), count, at_once)),
        OURS: lambda: asyncio.run(
            of_tasks(s3ec.aio.EncryptionClient(session=session, keyring=KEYRING, **asynchronous), count, at_once)
        ),
        THREADS: lambda: of_threads(
            EncryptionClient(keyring=KEYRING, **{**arguments, "config": Config(**pool, **path)}), count, at_once
        ),
    }
    found: dict[str, list[tuple[Figure, Figure]]] = {name: [] for name in ways}
    for number in range(rounds):
        # What comes first in a round is not always the same: machines slow down and speed up meanwhile.
        for name in sorted(ways, reverse=number % 2 == 1):
            found[name].append(ways[name]())
    print(f"{at_once} at once")
    for name, figures in found.items():
        texts = [
            f"{call} {statistics.median(each[kind].rate for each in figures):6.0f}/s "
            f"{statistics.median(each[kind].cpu for each in figures) * 1e6:6.0f} us"
            for kind, call in enumerate(("put", "get"))
        ]
        print(f"  {name:16} {'   '.join(texts)}")
    for name in (PLAIN, THREADS):
        for kind, call in enumerate(("put", "get")):
            pairs = [(ours[kind], theirs[kind]) for ours, theirs in zip(found[OURS], found[name], strict=True)]
            speed = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
            effort = statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs)
            print(f"  {call}: s3ec.aio is {speed:.2f} times as fast as {name}; by processor time {effort:.2f} times")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there), daemon=True)
        server.start()
        try:
            url, certificate = here.recv()
            arguments = {
                "endpoint_url": url,
                "region_name": REGION,
                "aws_access_key_id": "someone",
                "aws_secret_access_key": "something",
                "verify": certificate,
            }
            for at_once in (8, 64):
                measure(arguments, options.count, at_once, options.rounds)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
