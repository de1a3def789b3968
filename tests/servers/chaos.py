"""Migrations that are killed, cut off and written into, on MinIO; afterwards every object is looked at.

    python tests/servers/chaos.py [--seed N] [--seconds S]

Each line of the table is one bucket. `s3ec` works on it through a proxy that spoils some of its requests, and is killed
(SIGKILL) after a random number of them, again and again with the same journal, while others write and delete objects
directly. Then it runs undisturbed until it exits with 0, and plain boto3 and an `EncryptionClient` look at the result.
All choices come from the seed, and all work is bounded by counts. With ``--seconds``, rounds with further seeds follow
until that many seconds are over. Exits with 1 if a line of the table is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
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
KILLS, FAULTS, WRITES, SMALL_OBJECTS = 4, 40, 30, 40
LARGE_SIZE = 9 * 2**20  # goes in parts
RUN_SECONDS = 300


@dataclass(frozen=True)
class Scenario:
    """One kind of run."""

    name: str
    versioned: bool = False
    elsewhere: bool = False
    rewrap: bool = False
    files: bool = False


SCENARIOS = (
    Scenario("migrate in place"),
    Scenario("migrate in place, versioned", versioned=True),
    Scenario("migrate to another place", elsewhere=True),
    Scenario("rewrap, versioned", versioned=True, rewrap=True),
    Scenario("with instruction files", files=True),
)


@dataclass
class Line:
    """One line of the table: what was done to the run, and what is wrong afterwards (all of that is to be 0)."""

    scenario: str
    kills: int = 0
    faults: int = 0
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
    """Spoils a fifth of the requests, `FAULTS` at most, and says when a given number of requests has arrived."""

    KINDS = ("500 after", "503", "reset before", "reset after", "cut", "twice", "slow")

    def __init__(self, seed: int) -> None:
        self._random, self._lock = random.Random(seed), threading.Lock()
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
            if self.count >= FAULTS or self._random.random() > 0.2:
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
        return ask() if kind == "twice" else answer


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()


@dataclass
class Arena:
    """One bucket in the storm, and what it has to hold."""

    scenario: Scenario
    seed: int
    server: servers.Server
    home: Path
    line: Line
    faults: Faults
    expected: dict[str, bytes]
    deleted: set[str]
    rewritten: set[str]

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
        return [*start, "migrate", *places, "--aes-key-file", str(new), *files, *common]


def _fill(arena: Arena, rng: random.Random) -> None:
    """Small objects, and two that go in parts."""
    with contextlib.closing(arena.plain()) as plain:
        for bucket in {arena.bucket, arena.target}:
            plain.create_bucket(Bucket=bucket)
            if arena.scenario.versioned:
                plain.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    bodies = {f"o{number:03}": MARK + rng.randbytes(rng.randrange(2000)) for number in range(SMALL_OBJECTS)}
    bodies |= {f"large{number}": MARK + rng.randbytes(LARGE_SIZE) for number in range(2)}
    with arena.writer() as client:
        for key, body in bodies.items():
            client.put_object(Bucket=arena.bucket, Key=key, Body=body, Metadata={"own": key})
    arena.expected.update(bodies)


def _disturb(arena: Arena, rng: random.Random, stop: threading.Event) -> None:
    """Write and delete objects; a run to another place meets new objects alone, since originals are not overwritten."""
    with arena.writer() as client:
        for number in range(WRITES):
            if stop.wait(rng.random() / 4):
                return
            key = f"new{number:03}" if arena.scenario.elsewhere else f"o{rng.randrange(0, SMALL_OBJECTS, 2):03}"
            if not arena.scenario.elsewhere and rng.random() < 0.3:
                client.delete_object(Bucket=arena.bucket, Key=key)
                arena.expected.pop(key, None)
                arena.deleted.add(key)
                arena.line.deleted += 1
            else:
                body = MARK + rng.randbytes(rng.randrange(2000))
                client.put_object(Bucket=arena.bucket, Key=key, Body=body, Metadata={"own": key})
                arena.expected[key] = body
                arena.deleted.discard(key)
                arena.line.written += 1
            arena.rewritten.add(key)


def _environment(server: servers.Server) -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    keys = {"AWS_ACCESS_KEY_ID": servers.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    return {**os.environ, **keys, "PYTHONPATH": os.pathsep.join(paths)}


def _storm(arena: Arena, rng: random.Random, through: Proxy) -> None:
    """Start the run again and again, and kill it each time after a random number of its requests."""
    for _ in range(KILLS):
        arena.faults.expect(rng.randrange(3, 60))
        with (arena.home / "storm.log").open("ab") as log, subprocess.Popen(
            arena.command(through.url), stdout=log, stderr=log, env=_environment(arena.server)
        ) as child:  # fmt: skip
            deadline = time.monotonic() + RUN_SECONDS
            while child.poll() is None and not arena.faults.reached.wait(0.05) and time.monotonic() < deadline:
                pass
            if child.poll() is None:
                child.kill()
                arena.line.kills += 1


def _finish(arena: Arena, endpoint: str, *, attempts: int) -> None:
    """Run until it exits with 0; what a run may leave to the next one is finished by the next one."""
    for _ in range(attempts):
        done = subprocess.run(
            arena.command(endpoint), env=_environment(arena.server), capture_output=True, text=True, timeout=RUN_SECONDS
        )
        if done.returncode == 0:
            return
    raise RuntimeError(
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
                for key in ("large0", "large1")
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
    """Objects that no writer touched and that do not have exactly their original and what the run made of it."""
    counts = dict.fromkeys(arena.expected.keys() - arena.rewritten, 0)
    for page in plain.get_paginator("list_object_versions").paginate(Bucket=arena.bucket):
        for version in page.get("Versions", []):
            if version["Key"] in counts:
                counts[version["Key"]] += 1
    return sum(count != 2 for count in counts.values())


def play(scenario: Scenario, server: servers.Server, home: Path, seed: int) -> Line:
    """One line of the table."""
    home.mkdir(parents=True)
    for name, key in {"old.key": OLD_KEY, "new.key": NEW_KEY}.items():
        (home / name).write_bytes(key)
        (home / name).chmod(0o600)
    line, rng = Line(scenario.name), random.Random(f"{seed} {scenario.name}")
    arena = Arena(scenario, seed, server, home, line, Faults(rng.randrange(2**32)), {}, set(), set())
    _fill(arena, rng)
    stop = threading.Event()
    others = threading.Thread(target=_disturb, args=(arena, random.Random(rng.randrange(2**32)), stop))
    with proxy(server.url) as through:
        through.fault = arena.faults
        others.start()
        try:
            _storm(arena, rng, through)
        finally:
            stop.set()
            others.join()
    line.faults = arena.faults.count
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
    options = parser.parse_args()
    end, seed, lines = time.monotonic() + options.seconds, options.seed, []
    with tempfile.TemporaryDirectory() as folder, servers.minio(Path(folder) / "minio", tls=False) as server:
        while True:
            for number, scenario in enumerate(SCENARIOS):
                lines.append(play(scenario, server, Path(folder) / f"{seed}-{number}", seed))
            seed += 1
            if time.monotonic() >= end:
                break
    print(table(lines))
    return int(any(line.harm for line in lines))


if __name__ == "__main__":
    sys.exit(main())
