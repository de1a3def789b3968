"""Migrations that are killed, cut off and written into, on MinIO; afterwards every object is looked at.

    python tests/servers/chaos.py [--seed N] [--seconds S] [--limit S] [--short]

Each line of the table is one bucket. `s3ec` works on it through a proxy that spoils some of its requests, and is ended
(SIGKILL, now and then SIGTERM or SIGINT) after a random number of them, again and again with the same journal, while
others write and delete objects directly. Then it runs undisturbed until it exits with 0, and plain boto3 and an
`EncryptionClient` look at the result. All choices come from the seed, and all work is bounded by counts. With
``--seconds``, rounds with further seeds follow until that many seconds are over. Exits with 1 if a line of the table is
wrong, and with an error where a run does not end within ``--limit`` seconds, or where what should disturb it broke.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from s3ec import AesKeyring, EncryptionClient  # noqa: E402  # the paths come first when this file is run by itself
from s3ec.errors import S3ECError  # noqa: E402

from support import servers  # noqa: E402
from support.proxy import Answer, Proxy, Request, proxy  # noqa: E402

MARK = b"this text is plaintext; "
OLD_KEY, NEW_KEY = bytes(range(128, 160)), bytes(range(160, 192))
LARGE_SIZE = 9 * 2**20  # goes in parts
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
RUN_SECONDS = 300.0
"""In which one run has to end, and in which another writer has to get through."""


@dataclass(frozen=True)
class Storm:
    """How much of everything there is.

    Attributes:
        kills: runs that are killed, one after the other.
        requests: of which one run sends at most that many before it is killed.
        faults: requests that are spoilt, at most.
        writers: others, each with a thread and a client of its own.
        writes: what each of them does.
        small: objects of one request.
        large: objects that go in parts.
        limit: seconds in which all of it has to be through.
    """

    kills: int = 4
    requests: int = 60
    faults: int = 40
    writers: int = 2
    writes: int = 20
    small: int = 40
    large: int = 2
    limit: float = 900.0


FULL = Storm()
SHORT = Storm(kills=1, requests=25, faults=10, writers=1, writes=8, small=10, large=1, limit=240.0)


@dataclass(frozen=True)
class Scenario:
    """One kind of run."""

    name: str
    versioned: bool = False
    elsewhere: bool = False
    rewrap: bool = False
    files: bool = False
    processes: int = 1


SCENARIOS = (
    Scenario("migrate in place"),
    Scenario("migrate in place, versioned, two processes", versioned=True, processes=2),
    Scenario("migrate to another place", elsewhere=True),
    Scenario("rewrap, versioned", versioned=True, rewrap=True),
    Scenario("with instruction files", files=True),
)


@dataclass
class Line:
    """One line of the table: what was done to the run, and what is wrong afterwards (all of that is to be 0).

    Attributes:
        scenario: the kind of run.
        kills: runs that were killed.
        faults: requests that were spoilt.
        writers: others who wrote meanwhile.
        written: objects that they put.
        deleted: objects that they deleted.
        objects: what has to be there.
        lost: objects that are not.
        wrong: objects with other content or metadata than the last writer's, or that no reader opens.
        back: objects that were deleted, and are there.
        plaintext: objects that are still readable without a key.
        uploads: multipart uploads that nobody will end.
        versions: objects with versions that nobody needs, or without the original.
    """

    scenario: str
    kills: int = 0
    faults: int = 0
    writers: int = 0
    written: int = 0
    deleted: int = 0
    objects: int = 0
    lost: int = 0
    wrong: int = 0
    back: int = 0
    plaintext: int = 0
    uploads: int = 0
    versions: int = 0

    @property
    def harm(self) -> int:
        """How much is wrong."""
        return self.lost + self.wrong + self.back + self.plaintext + self.uploads + self.versions


class Faults:
    """Spoils a fifth of the requests, up to a number, and says when a given number of requests has arrived."""

    KINDS = ("500 after", "503", "reset before", "reset after", "cut", "twice", "slow")

    def __init__(self, seed: int, most: int) -> None:
        self._random, self._lock, self._most = random.Random(seed), threading.Lock(), most
        self.count, self._left, self.reached = 0, 0, threading.Event()

    def expect(self, requests: int) -> None:
        """Sets `reached` when that many more requests have arrived."""
        with self._lock:
            self._left = requests
            self.reached.clear()

    def _choose(self) -> str | None:
        with self._lock:
            self._left -= 1
            if self._left <= 0:
                self.reached.set()
            if self.count >= self._most or self._random.random() > 0.2:
                return None
            self.count += 1
            return self._random.choice(self.KINDS)

    def __call__(self, request: Request, ask: Callable[[], Answer]) -> Answer | None:
        """The proxy's fault."""
        kind = self._choose()
        if kind == "503":
            return Answer(503, {}, _error("SlowDown"))
        if kind == "reset before":
            return None
        if kind == "slow":
            time.sleep(0.3)
        answer = ask()
        if kind == "reset after":
            return None
        if kind == "500 after":
            return Answer(500, {}, _error("InternalError"))
        if kind == "cut" and request.method == "GET":
            return dataclasses.replace(answer, cut_at=len(answer.body) // 2)
        # A proxy may repeat what is idempotent, and must not repeat a POST (RFC 9110, section 9.2.2).
        return ask() if kind == "twice" and request.method != "POST" else answer


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()


class ChaosError(Exception):
    """The run hangs, does not come to its end, or nothing disturbed it."""


@dataclass
class Arena:
    """One bucket in the storm, and what it has to hold."""

    scenario: Scenario
    storm: Storm
    seed: int
    server: servers.Server
    home: Path
    line: Line
    faults: Faults
    expected: dict[str, bytes]
    deleted: set[str]
    rewritten: set[str]
    broken: list[BaseException] = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    end: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.storm.limit

    def seconds_left(self) -> float:
        """For whatever comes next."""
        left = min(self.end - time.monotonic(), RUN_SECONDS)
        if left <= 0:
            raise ChaosError(f"{self.scenario.name}: not through after {self.storm.limit:.0f} seconds")
        return left

    @property
    def bucket(self) -> str:
        """The source."""
        return f"chaos-{self.seed}-{SCENARIOS.index(self.scenario)}"

    @property
    def target(self) -> str:
        """Where the result is."""
        return self.bucket + "-other" if self.scenario.elsewhere else self.bucket

    @contextlib.contextmanager
    def writer(self) -> Iterator[Any]:
        """A client as the application has it: encrypting with the old key before a rewrap, or plain."""
        arguments = self.server.arguments()
        client = EncryptionClient(keyring=AesKeyring(OLD_KEY), **arguments) if self.scenario.rewrap else self.plain()
        with contextlib.closing(client) as it:
            yield it

    def plain(self) -> Any:
        """A plain client past the proxy."""
        return boto3.client("s3", **self.server.arguments())

    def command(self, endpoint: str) -> list[str]:
        """The command line of the run."""
        old, new = self.home / "old.key", self.home / "new.key"
        common = ["--endpoint-url", endpoint, "--region", "us-east-1", "--yes", "--journal", str(self.home / "journal")]
        common += ["--workers", "4", "--json"]
        start = [sys.executable, "-m", "s3ec"]
        if self.scenario.rewrap:
            keys = ["--aes-key-file", str(old), "--to-aes-key-file", str(new)]
            return [*start, "rewrap", f"s3://{self.bucket}", *keys, *common]
        places = [f"s3://{self.bucket}", *([f"s3://{self.target}"] if self.scenario.elsewhere else [])]
        files = ["--instruction-file", "always"] if self.scenario.files else []
        processes = ["--processes", str(self.scenario.processes)]
        return [*start, "migrate", *places, "--aes-key-file", str(new), *files, *processes, *common]


def _fill(arena: Arena, rng: random.Random) -> None:
    """Small objects, and two that go in parts."""
    with contextlib.closing(arena.plain()) as plain:
        for bucket in {arena.bucket, arena.target}:
            plain.create_bucket(Bucket=bucket)
            if arena.scenario.versioned:
                plain.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bodies = {f"o{number:03}": MARK + rng.randbytes(rng.randrange(2000)) for number in range(arena.storm.small)}
    bodies |= {f"large{number}": MARK + rng.randbytes(LARGE_SIZE) for number in range(arena.storm.large)}
    with arena.writer() as client:
        for key, body in bodies.items():
            client.put_object(Bucket=arena.bucket, Key=key, Body=body, Metadata={"own": key})
    arena.expected.update(bodies)


def _disturb(arena: Arena, writer: int, rng: random.Random, stop: threading.Event) -> None:
    """Write and delete objects of one's own, so that it is known which content was the last.

    A run to another place meets new objects alone, since originals are not overwritten there.
    """
    own = range(2 * writer, arena.storm.small, 2 * arena.storm.writers)
    with arena.writer() as client:
        for number in range(arena.storm.writes):
            if stop.wait(rng.random() / 4):
                return
            key = f"new{writer}-{number:03}" if arena.scenario.elsewhere else f"o{rng.choice(own):03}"
            if not arena.scenario.elsewhere and rng.random() < 0.3:
                client.delete_object(Bucket=arena.bucket, Key=key)
                body = None
            else:
                body = MARK + rng.randbytes(rng.randrange(2000))
                client.put_object(Bucket=arena.bucket, Key=key, Body=body, Metadata={"own": key})
            _note(arena, key, body)


def _note(arena: Arena, key: str, body: bytes | None) -> None:
    """What has to be there now."""
    with arena.lock:
        arena.rewritten.add(key)
        if body is None:
            arena.expected.pop(key, None)
            arena.deleted.add(key)
            arena.line.deleted += 1
        else:
            arena.expected[key] = body
            arena.deleted.discard(key)
            arena.line.written += 1


@contextlib.contextmanager
def _others(arena: Arena, rng: random.Random) -> Iterator[None]:
    """Other writers, until the block ends. One that breaks, or that does not end, breaks the run."""
    stop = threading.Event()

    def go(writer: int, own: random.Random) -> None:
        try:
            _disturb(arena, writer, own, stop)
        # Whatever it is, it is raised again where the threads are joined.
        except BaseException as error:
            arena.broken.append(error)

    seeds = [rng.randrange(2**32) for _ in range(arena.storm.writers)]
    threads = [
        threading.Thread(target=go, args=(number, random.Random(seed)), daemon=True)
        for number, seed in enumerate(seeds)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(RUN_SECONDS)
    if arena.broken:
        raise ChaosError(f"{arena.scenario.name}: another writer broke") from arena.broken[0]
    if any(thread.is_alive() for thread in threads):
        raise ChaosError(f"{arena.scenario.name}: another writer hangs")
    arena.line.writers = len(threads)


def _environment(server: servers.Server) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    keys = {"AWS_ACCESS_KEY_ID": servers.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return {**os.environ, **keys, "PYTHONPATH": os.pathsep.join(paths)}


def _storm(arena: Arena, rng: random.Random, through: Proxy) -> None:
    """Start the run again and again, and kill it each time after a random number of its requests."""
    for _ in range(arena.storm.kills):
        arena.faults.expect(rng.randrange(3, arena.storm.requests))
        with (arena.home / "storm.log").open("ab") as log, subprocess.Popen(
            arena.command(through.url), stdout=log, stderr=log, env=_environment(arena.server)
        ) as child:  # fmt: skip
            deadline = time.monotonic() + arena.seconds_left()
            try:
                while child.poll() is None and not arena.faults.reached.wait(0.05):
                    if time.monotonic() > deadline:
                        raise ChaosError(f"{arena.scenario.name}: the run hangs\n{_end_of(arena.home / 'storm.log')}")
                arena.line.kills += child.poll() is None
                # Most are killed outright. Children of a killed parent notice, and end by themselves.
                child.send_signal(rng.choice(_SIGNALS))
                child.wait(arena.seconds_left())
            except subprocess.TimeoutExpired as error:
                raise ChaosError(f"{arena.scenario.name}: the run does not stop") from error
            finally:
                child.kill()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _finish(arena: Arena, endpoint: str, *, attempts: int) -> None:
    """Run until it exits with 0; what a run may leave to the next one is finished by the next one."""
    for _ in range(attempts):
        try:
            done = subprocess.run(
                arena.command(endpoint),
                env=_environment(arena.server),
                capture_output=True,
                text=True,
                timeout=arena.seconds_left(),
            )
        except subprocess.TimeoutExpired as error:
            raise ChaosError(f"{arena.scenario.name}: the last run hangs") from error
        if done.returncode == 0:
            return
    raise ChaosError(
        f"{arena.scenario.name} did not end: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )


def _look(arena: Arena) -> None:
    """Compare what is there with what has to be there."""
    line, plain = arena.line, arena.plain()
    client = EncryptionClient(keyring=AesKeyring(NEW_KEY), **arena.server.arguments())
    with contextlib.closing(plain), contextlib.closing(client):
        there = {item["Key"] for item in plain.list_objects_v2(Bucket=arena.target).get("Contents", [])}
        line.objects = len(arena.expected)
        line.back = len(arena.deleted & there)
        line.lost = len(arena.expected.keys() - there)
        for key in arena.expected.keys() & there:
            stored = plain.get_object(Bucket=arena.target, Key=key)["Body"].read()
            line.plaintext += MARK in stored
            line.wrong += _opened(client, arena.target, key) != (arena.expected[key], {"own": key})
        for bucket in {arena.bucket, arena.target}:
            line.uploads += sum(
                len(plain.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []))
                for key in arena.expected  # MinIO finds uploads by whole keys alone
                if key.startswith("large")
            )
        if arena.scenario.versioned:
            line.versions = _unexpected_versions(arena, plain)


def _opened(client: EncryptionClient, bucket: str, key: str) -> tuple[bytes, dict[str, str]] | None:
    """Content and metadata as a reader gets them; None if the reader is refused."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
        return answer["Body"].read(), answer["Metadata"]
    except S3ECError:
        return None


def _unexpected_versions(arena: Arena, plain: Any) -> int:
    """Objects that no writer touched and that do not have exactly their original and what the run made of it.

    A rewrap is a copy within one name, which keeps the ETag: no condition stops a copy that the network repeats. The
    run takes the one of its two versions away, unless it was killed before. That is no harm where both are the same.
    """
    found: dict[str, list[tuple[str, int]]] = {key: [] for key in arena.expected.keys() - arena.rewritten}
    for page in plain.get_paginator("list_object_versions").paginate(Bucket=arena.bucket):
        for version in page.get("Versions", []):
            if version["Key"] in found:
                found[version["Key"]].append((version["ETag"], version["Size"]))
    if arena.scenario.rewrap:
        return sum(len(versions) < 2 or len(set(versions)) > 1 for versions in found.values())
    return sum(len(versions) != 2 for versions in found.values())


def play(scenario: Scenario, server: servers.Server, home: Path, seed: int, storm: Storm = FULL) -> Line:
    """One line of the table.

    Raises:
        ChaosError: it did not come to an end in its time, or a writer broke.
    """
    home.mkdir(parents=True)
    for name, key in {"old.key": OLD_KEY, "new.key": NEW_KEY}.items():
        (home / name).write_bytes(key)
        (home / name).chmod(0o600)
    line, rng = Line(scenario.name), random.Random(f"{seed} {scenario.name}")
    faults = Faults(rng.randrange(2**32), storm.faults)
    arena = Arena(scenario, storm, seed, server, home, line, faults, {}, set(), set())
    _fill(arena, rng)
    with proxy(server.url) as through, _others(arena, random.Random(rng.randrange(2**32))):
        through.fault = faults
        _storm(arena, rng, through)
    line.faults = faults.count
    _finish(arena, server.url, attempts=5)
    _look(arena)
    return line


def table(lines: list[Line]) -> str:
    """The lines as a Markdown table."""
    names = [field.name for field in dataclasses.fields(Line)]
    rows = [names, ["---"] * len(names), *([str(getattr(line, name)) for name in names] for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Play all scenarios and print the table."""
    parser = argparse.ArgumentParser(description="Kill and disturb migrations on MinIO, then look at every object.")
    parser.add_argument("--seed", type=int, default=1, help="what all choices come from")
    parser.add_argument("--seconds", type=float, default=0, help="begin further rounds until these are over")
    parser.add_argument("--limit", type=float, help="seconds in which each line has to be through")
    parser.add_argument("--short", action="store_true", help="a round of a minute, as CI plays it")
    options = parser.parse_args()
    storm = SHORT if options.short else FULL
    if options.limit is not None:
        storm = dataclasses.replace(storm, limit=options.limit)
    end, seed, lines = time.monotonic() + options.seconds, options.seed, []
    with tempfile.TemporaryDirectory() as folder, servers.minio(Path(folder) / "minio", tls=False) as server:
        while True:
            for number, scenario in enumerate(SCENARIOS):
                lines.append(play(scenario, server, Path(folder) / f"{seed}-{number}", seed, storm))
            seed += 1
            if time.monotonic() >= end:
                break
    print(table(lines))
    return int(any(line.harm for line in lines))


if __name__ == "__main__":
    sys.exit(main())
