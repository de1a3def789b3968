"""``kill -9`` anywhere: no object is lost, none encrypted twice, none skipped, and nothing else is left behind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.migrate import Journal, Location, MigrationSettings, Result, run

MIB = 2**20
_CHILD = """
import sys
from s3ec.migrate import Journal, MigrationSettings, run
settings = MigrationSettings.from_json(sys.argv[1])
with Journal.open(sys.argv[2], settings) as journal:
    print("ready", flush=True)
    run(settings, journal, workers=4, processes=int(sys.argv[3]))
"""


def _fill(plain_s3: Any, bucket: str, count: int) -> dict[str, bytes]:
    """Small objects, folders' markers and empty ones, and a few that go in parts; all with properties."""
    bodies = {f"a/{number}": os.urandom(number % 40) for number in range(count)}
    bodies |= {"a/folder/": b"", "b c+d": b"plus", "large/1": os.urandom(6 * MIB), "large/2": os.urandom(11 * MIB)}
    for key, body in bodies.items():
        plain_s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"key": key.encode().hex()}, Tagging="t=1")
    return bodies


def _killed(job: MigrationSettings, journal: Path, after: float, processes: int) -> bool:
    """Run the job in a process of its own and kill it so many seconds after it has begun. Says whether it still ran."""
    command = [sys.executable, "-c", _CHILD, job.to_json(), str(journal), str(processes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(after)
        alive = child.poll() is None
        if alive:
            os.killpg(child.pid, signal.SIGKILL)
    return alive


def _check(make_client: Callable[..., Any], plain_s3: Any, bucket: str, prefix: str, bodies: dict[str, bytes]) -> None:
    """Each object is there once, encrypted once, with its plaintext and properties; and nothing else is there."""
    listed = plain_s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    assert sorted(entry["Key"] for entry in listed) == sorted(prefix + key for key in bodies)
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
    client = make_client()
    for key, body in bodies.items():
        answer = client.get_object(Bucket=bucket, Key=prefix + key)
        # Encrypted twice, the plaintext would be a ciphertext.
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"key": key.encode().hex()}
        assert plain_s3.get_object_tagging(Bucket=bucket, Key=prefix + key)["TagSet"] == [{"Key": "t", "Value": "1"}]


@pytest.mark.parametrize(("elsewhere", "processes", "seed"), [(False, 1, 1), (True, 1, 2), (False, 2, 3)])
def test_a_killed_run_goes_on_where_it_was(
    elsewhere: bool,
    processes: int,
    seed: int,
    settings: Callable[..., MigrationSettings],
    tmp_path: Path,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """Killed at random points until it gets through, a run leaves what one undisturbed run leaves."""
    generator = random.Random(seed)
    bodies = _fill(plain_s3, bucket, 30)
    target = Location(bucket=bucket + "-target") if elsewhere else None
    if target is not None:
        plain_s3.create_bucket(Bucket=target.bucket)
    job = settings(destination=target, single_request_limit=MIB, part_size=5 * MIB)
    journal, kills = tmp_path / "journal", 0
    while kills < 6 and _killed(job, journal, generator.uniform(0.05, 0.6) * (1 + kills / 4), processes):
        kills += 1
    assert kills >= 2, "the job was too quick to be killed"
    with Journal.open(journal, job) as books:
        summary = run(job, books, workers=4)
        assert summary.undone == 0
        assert set(summary.counts) <= {"done", "already"}
        assert sum(summary.counts.values()) == len(bodies)
        for outcome in books.outcomes():
            if outcome.result is Result.DONE:
                digest = hashlib.sha256(bodies[outcome.task.key]).hexdigest()
                assert outcome.plaintext_sha256 == digest
    _check(make_client, plain_s3, target.bucket if target else bucket, "", bodies)
    if target is not None:
        for key, body in bodies.items():
            assert plain_s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
