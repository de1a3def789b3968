"""One client under load: memory and descriptors have to stay flat.

    python tests/benchmarks/load.py [--seconds 600] [--threads 64] [--workers 4] [--abandoned 5000] [--tasks 200]
                                    [--svg FILE]

Phases, one after another, each in a process of its own that is sampled from within: threads that share one client and
do all kinds of things; worker processes, forked from one that has used its client, which do the same; uploads that are
begun, given a part, and abandoned; tasks on one asynchronous client (where aiobotocore is installed). Whatever is read
is compared with what was written. The S3 is another process on loopback. It prints a table, draws a plot on request,
and fails if an operation did, if a descriptor is left over, or if memory grew in the second half of a phase.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

MiB = 1024 * 1024
SAMPLES = 120
ALLOWED_GROWTH = 16 * MiB
"""From the middle of a phase to its end. What is lost with every operation is more after a few thousand of them."""
ALLOWED_DESCRIPTORS = 8


@dataclass
class Phase:
    """What one process did and used.

    Attributes:
        name: of the phase.
        operations: how many there were of each kind.
        memory: resident bytes, at equal distances.
        descriptors: open ones, at the same moments.
        left: descriptors that are open when the client is closed, beyond those from before it was made.
    """

    name: str
    operations: dict[str, int] = field(default_factory=dict)
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    left: int = 0

    @property
    def growth(self) -> int:
        """Bytes by which the last quarter lies above the second, each at its lowest."""
        quarter = max(len(self.memory) // 4, 1)
        return self._lowest() - min(self.memory[quarter : 2 * quarter] or self.memory[:1])

    @property
    def is_flat(self) -> bool:
        """Whether nothing was lost."""
        return self.growth <= ALLOWED_GROWTH and self.left <= ALLOWED_DESCRIPTORS

    def __str__(self) -> str:
        last = self._lowest()
        middle = (last - self.growth) / MiB
        return (
            f"| {self.name} | {sum(self.operations.values()):,} | {middle:.0f} | {last / MiB:.0f} "
            f"| {max(self.descriptors)} | {self.left} |"
        )

    def _lowest(self) -> int:
        return min(self.memory[-max(len(self.memory) // 4, 1) :])


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def sampled(phase: Phase) -> Iterator[None]:
    """Note memory and descriptors until the end, at most `SAMPLES` of them."""
    stop, distance = threading.Event(), [0.02]

    def note() -> None:
        while not stop.wait(distance[0]):
            phase.memory.append(_resident())
            phase.descriptors.append(_descriptors())
            if len(phase.memory) == 2 * SAMPLES:
                del phase.memory[::2], phase.descriptors[::2]
                distance[0] *= 2

    thread = threading.Thread(target=note)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        phase.memory.append(_resident())
        phase.descriptors.append(_descriptors())


def _arguments(url: str) -> dict[str, Any]:
    return {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "load",
        "aws_secret_access_key": "load",
    }


def make_client(url: str, threads: int) -> Any:
    """The client of a phase; its table of opened keys is as small as the objects are few."""
    from botocore.config import Config

    from s3ec import AesKeyring, EncryptionClient

    config = Config(max_pool_connections=threads, retries={"total_max_attempts": 3})
    return EncryptionClient(keyring=AesKeyring(bytes(range(32))), config=config, **_arguments(url))


class Mixed:
    """All kinds of operations on one object, whose content is known."""

    def __init__(self, client: Any, name: str, count: Callable[[str], None]) -> None:
        """Begin with an object."""
        self._client, self._count = client, count
        self._chance = random.Random(name)
        self._place = {"Bucket": "b", "Key": name}
        self._content = b""
        self._kinds = [self.put, self.get, self.head, self.range, self.open, self.upload, self.abort]
        for kind in self._kinds:
            kind()

    def step(self) -> None:
        """Do one thing."""
        self._chance.choice(self._kinds)()

    def put(self) -> None:
        """Other content."""
        self._content = self._chance.randbytes(self._chance.randrange(100, 64 * 1024))
        self._client.put_object(**self._place, Body=self._content)
        self._count("put")

    def get(self) -> None:
        """All of it."""
        assert self._client.get_object(**self._place)["Body"].read() == self._content
        self._count("get")

    def head(self) -> None:
        """Its length."""
        assert self._client.head_object(**self._place)["ContentLength"] == len(self._content)
        self._count("head")

    def range(self) -> None:
        """A part of it, verified."""
        answer = self._client.get_object(**self._place, Range="bytes=50-99")
        assert answer["Body"].read() == self._content[50:100]
        self._count("range")

    def open(self) -> None:
        """As a file that seeks."""
        import s3ec

        with s3ec.open(self._client, **self._place) as file:
            file.seek(len(self._content) // 2)
            assert file.read() == self._content[len(self._content) // 2 :]
        self._count("open")

    def _begin(self) -> tuple[dict[str, Any], str]:
        self._content = self._chance.randbytes(self._chance.randrange(100, 64 * 1024))
        place = {**self._place, "UploadId": self._client.create_multipart_upload(**self._place)["UploadId"]}
        etag: str = self._client.upload_part(**place, PartNumber=1, Body=self._content)["ETag"]
        return place, etag

    def upload(self) -> None:
        """In one part, by the calls of a multipart upload."""
        place, etag = self._begin()
        self._client.complete_multipart_upload(**place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        self._count("upload")

    def abort(self) -> None:
        """One that is given up."""
        before = self._content
        place, _ = self._begin()
        self._client.abort_multipart_upload(**place)
        self._content = before
        self._count("abort")


def run_threads(client: Any, phase: Phase, seconds: float, threads: int, prefix: str = "thread") -> None:
    """Let threads do all kinds of things for so long, and each kind at least once.

    Raises:
        BaseException: what the first of them raised that failed.
    """
    counts, failures, lock = Counter[str](), list[BaseException](), threading.Lock()
    deadline = time.monotonic() + seconds

    def count(kind: str) -> None:
        with lock:
            counts[kind] += 1

    def work(number: int) -> None:
        try:
            mixed = Mixed(client, f"{prefix}{number}", count)
            while time.monotonic() < deadline and not failures:
                mixed.step()
        except BaseException as error:  # raised below
            failures.append(error)

    with sampled(phase):
        running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    phase.operations = dict(counts)
    if failures:
        raise failures[0]


def run_abandoned(client: Any, phase: Phase, uploads: int) -> None:
    """Begin uploads, give each a part that is kept here, and forget them."""
    with sampled(phase):
        for number in range(uploads):
            place = {"Bucket": "b", "Key": f"abandoned{number % 16}"}
            upload_id = client.create_multipart_upload(**place)["UploadId"]
            client.upload_part(**place, UploadId=upload_id, PartNumber=1, Body=b"x" * 1024)
    phase.operations = {"abandoned": uploads}


async def run_tasks(url: str, phase: Phase, seconds: float, tasks: int) -> None:
    """Let tasks put and get through one asynchronous client."""
    from s3ec import AesKeyring
    from s3ec.aio import EncryptionClient

    counts: Counter[str] = Counter()
    deadline = time.monotonic() + seconds

    async def work(client: Any, number: int) -> None:
        chance, place = random.Random(number), {"Bucket": "b", "Key": f"task{number}"}
        while True:
            content = chance.randbytes(chance.randrange(64 * 1024))
            await client.put_object(**place, Body=content)
            answer = await client.get_object(**place)
            assert await answer["Body"].read() == content
            assert (await client.head_object(**place))["ContentLength"] == len(content)
            counts.update(["put", "get", "head"])
            if time.monotonic() >= deadline:
                return

    with sampled(phase):
        async with EncryptionClient(keyring=AesKeyring(bytes(range(32))), **_arguments(url)) as client:
            await asyncio.gather(*(work(client, number) for number in range(tasks)))
    phase.operations = dict(counts)


def measure(kind: str, url: str, seconds: float, number: int) -> Phase:
    """One phase in this process.

    Args:
        kind: of the phase: "threads", "worker" (a forked process of eight threads), "abandoned" or "tasks".
        url: of the S3.
        seconds: how long it goes on.
        number: of the threads, the worker, the uploads or the tasks.
    """
    phase = Phase({"worker": f"worker {number}"}.get(kind, f"{number:,} {kind}"))
    before = _descriptors()
    if kind == "tasks":
        asyncio.run(run_tasks(url, phase, seconds, number))
    else:
        client = make_client(url, number if kind == "threads" else 8)
        if kind == "threads":
            run_threads(client, phase, seconds, number)
        elif kind == "abandoned":
            run_abandoned(client, phase, number)
        else:
            client.put_object(Bucket="b", Key="parent", Body=b"used before the fork")
            phase = _in_fork(lambda: _work(client, phase, seconds, number))
        client.close()
        del client
    gc.collect()
    phase.left = max(phase.left, _descriptors() - before)
    return phase


def _work(client: Any, phase: Phase, seconds: float, number: int) -> Phase:
    before = _descriptors()
    run_threads(client, phase, seconds, 8, f"worker{number}-")
    client.close()
    phase.left = _descriptors() - before
    return phase


def _in_fork(work: Callable[[], Phase]) -> Phase:
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            with os.fdopen(writes, "w", encoding="utf-8") as answer:
                json.dump(asdict(work()), answer)
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads, encoding="utf-8") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("a worker failed")
    return Phase(**json.loads(text))


def serve() -> None:
    """Be the S3, until standard input ends; it forgets what it received and what nobody will finish."""
    from support.lying_s3 import lying_s3

    with lying_s3() as server:
        print(server.url, flush=True)
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set())).start()
        while not ended.wait(1):
            del server.state.attempts[:]


def plot(phases: list[Phase]) -> str:
    """Memory of each phase over its time, as SVG."""
    width, height, gap = 240, 140, 30
    highest = max(max(phase.memory) for phase in phases)
    drawn = []
    for place, phase in enumerate(phases):
        left = gap + place * (width + gap)
        for values, most, colour in ((phase.memory, highest, "#1f6feb"), (phase.descriptors, 200, "#bf5700")):
            points = " ".join(
                f"{left + width * index / max(len(values) - 1, 1):.0f},{gap + height * (1 - min(value / most, 1)):.0f}"
                for index, value in enumerate(values)
            )
            drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        drawn.append(f'<rect x="{left}" y="{gap}" width="{width}" height="{height}" fill="none" stroke="#888"/>')
        drawn.append(f'<text x="{left}" y="{gap - 8}">{phase.name}</text>')
    whole = f"{gap + len(phases) * (width + gap)} {height + 2 * gap + 12}"
    said = f"blue: resident memory, 0 to {highest / MiB:.0f} MiB; orange: open descriptors, 0 to 200"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole}" font-family="sans-serif" font-size="12" '
        f'fill="#666">{"".join(drawn)}<text x="{gap}" y="{height + gap + 22}">{said}</text></svg>\n'
    )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    for name, default in (("threads", 64), ("workers", 4), ("abandoned", 5000), ("tasks", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    kinds = [("threads", options.threads), *(("worker", number + 1) for number in range(options.workers))]
    kinds += [("abandoned", options.abandoned)]
    if importlib.util.find_spec("aiobotocore"):
        kinds += [("tasks", options.tasks)]
    else:
        print("aiobotocore is not installed: no tasks")
    kinds = [(kind, number) for kind, number in kinds if number]
    this, phases = [sys.executable, __file__], list[Phase]()
    with subprocess.Popen([*this, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        print("| phase | operations | MiB in the second quarter | in the last | most descriptors | left over |")
        print("| --- | --- | --- | --- | --- | --- |")
        for kind, number in kinds:
            seconds = options.seconds / (options.workers if kind == "worker" else 1)
            done = subprocess.run(
                [*this, "measure", kind, url, str(seconds), str(number)], check=True, stdout=subprocess.PIPE, text=True
            )
            phases.append(Phase(**json.loads(done.stdout)))
            print(phases[-1], flush=True)
        server.stdin.close()
    if options.svg:
        options.svg.write_text(plot(phases), "utf-8")
    grown = [phase.name for phase in phases if not phase.is_flat]
    print(f"NOT FLAT: {', '.join(grown)}" if grown else "flat")
    return 1 if grown else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(asdict(measure(sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])))))
    else:
        sys.exit(main())
