"""16 KiB objects over https: aiobotocore, the asynchronous client on it, and the synchronous one in threads; one run.

``PYTHONPATH=.:tests python tests/benchmarks/async_small_objects.py``, with the extra ``aio`` and what the tests need.
The server is another process on loopback; rounds are interleaved, and each figure is the median of them.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.config import Config

import s3ec.aio
from s3ec import AesKeyring, EncryptionClient

from support.lying_s3 import lying_s3
from support.servers import write_certificate

BODY = os.urandom(16 * 1024)
KEYRING = AesKeyring(bytes(32))


def serve(folder: str, answer: Any) -> None:
    """Run the server, and say where it is."""
    certificate = write_certificate(Path(folder), "public.crt", "private.key")
    with lying_s3(certificate=str(certificate), key_file=str(Path(folder) / "private.key")) as server:
        answer.send(server.arguments())
        threading.Event().wait()


async def together(count: int, at_once: int, call: Callable[[int], Awaitable[object]]) -> float:
    """Make so many calls, so many at once; the operations of a second."""
    numbers = iter(range(count))

    async def go_on() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await asyncio.gather(*[go_on() for _ in range(at_once)])
    return count / (time.perf_counter() - began)


async def of_tasks(opening: Any, count: int, at_once: int) -> tuple[float, float]:
    """Puts and gets of an asynchronous client."""
    async with opening as s3:

        async def put(number: int) -> None:
            await s3.put_object(Bucket="b", Key=f"k{number % 100}", Body=BODY)

        async def get(number: int) -> None:
            answer = await s3.get_object(Bucket="b", Key=f"k{number % 100}")
            assert len(await answer["Body"].read()) == len(BODY)

        await together(100, at_once, put)
        return await together(count, at_once, put), await together(count, at_once, get)


def of_threads(s3: Any, count: int, at_once: int) -> tuple[float, float]:
    """The same of a synchronous one."""

    def put(number: int) -> None:
        s3.put_object(Bucket="b", Key=f"k{number % 100}", Body=BODY)

    def get(number: int) -> None:
        assert len(s3.get_object(Bucket="b", Key=f"k{number % 100}")["Body"].read()) == len(BODY)

    def each(call: Callable[[int], None], calls: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(call, range(calls)))
        return calls / (time.perf_counter() - began)

    each(put, 100)
    return each(put, count), each(get, count)


def measure(arguments: dict[str, Any], count: int, at_once: int, rounds: int) -> None:
    """Measure all three, and print what they do in a second and how they compare."""
    session = AioSession()
    pool = {"max_pool_connections": at_once}
    path = {"s3": {"addressing_style": "path"}}
    asynchronous = {**arguments, "config": AioConfig(**pool, **path)}
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "aiobotocore": lambda: asyncio.run(of_tasks(session.create_client("s3", **asynchronous), count, at_once)),
        "s3ec.aio": lambda: asyncio.run(
            of_tasks(s3ec.aio.EncryptionClient(session=session, keyring=KEYRING, **asynchronous), count, at_once)
        ),
        "s3ec in threads": lambda: of_threads(
            EncryptionClient(keyring=KEYRING, **{**arguments, "config": Config(**pool, **path)}), count, at_once
        ),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    print(f"{at_once} at once")
    medians = {
        name: [statistics.median(each) for each in zip(*figures, strict=True)] for name, figures in found.items()
    }
    for name, (put, get) in medians.items():
        print(f"  {name:16} put {put:7.0f}/s  get {get:7.0f}/s")
    for name in ("aiobotocore", "s3ec in threads"):
        put, get = (ours / theirs for ours, theirs in zip(medians["s3ec.aio"], medians[name], strict=True))
        print(f"  s3ec.aio is {put:.2f} (put) and {get:.2f} (get) times {name}")


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
            arguments = here.recv()
            for at_once in (8, 64):
                measure(arguments, options.count, at_once, options.rounds)
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
