"""``kill -9`` anywhere: no object is lost, none encrypted twice, none skipped, and nothing else is left behind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
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
    run(settings, journal, workers=4, processes=int(sys.argv[3]), on_event=lambda event: print(event.kind, flush=True))
"""


def _fill(plain_s3: Any, bucket: str, count: int) -> dict[str, bytes]:
    """Small objects, folders' markers and empty ones, and a few that go in parts; all with properties."""
    bodies = {f"a/{number}": os.urandom(number % 40) for number in range(count)}
    bodies |= {"a/folder/": b"", "b c+d": b"plus", "large/1": os.urandom(6 * MIB), "large/2": os.urandom(11 * MIB)}
    for key, body in bodies.items():
        plain_s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"key": key.encode().hex()}, Tagging="t=1")
    return bodies


def _killed(job: MigrationSettings, journal: Path, processes: int, lines: int, delay: float) -> bool:
    """Run the job in a process of its own and kill it in the middle of its work. Says whether it still ran."""
    command = [sys.executable, "-c", _CHILD, job.to_json(), str(journal), str(processes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        time.sleep(delay)
        alive = child.poll() is None
        if alive:
            os.killpg(child.pid, signal.SIGKILL)
    return alive


def _keep_versions(plain_s3: Any, bucket: str) -> None:
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _versions(plain_s3: Any, bucket: str) -> Counter[str]:
    return Counter(entry["Key"] for entry in plain_s3.list_object_versions(Bucket=bucket)["Versions"])


def _check(make_client: Callable[..., Any], plain_s3: Any, bucket: str, bodies: dict[str, bytes]) -> None:
    """Each object is there once, encrypted once, with its plaintext and properties; and nothing else is there."""
    listed = plain_s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert sorted(entry["Key"] for entry in listed) == sorted(bodies)
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
    client = make_client()
    for key, body in bodies.items():
        answer = client.get_object(Bucket=bucket, Key=key)
        # Encrypted twice, the plaintext would be a ciphertext.
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"key": key.encode().hex()}
        assert plain_s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "t", "Value": "1"}]


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
    target = Location(bucket=bucket + "-target") if elsewhere else None
    if target is not None:
        plain_s3.create_bucket(Bucket=target.bucket)
    written_to = target.bucket if target else bucket
    _keep_versions(plain_s3, written_to)
    bodies = _fill(plain_s3, bucket, 30)
    job = settings(destination=target, single_request_limit=MIB, part_size=5 * MIB)
    journal, kills = tmp_path / "journal", 0
    while kills < (5 if processes > 1 else 8) and _killed(
        job, journal, processes, generator.randint(2, 9), generator.uniform(0, 0.03)
    ):
        kills += 1
    assert kills >= 3, "the job was too quick to be killed"
    with Journal.open(journal, job) as books:
        summary = run(job, books, workers=4)
        assert summary.undone == 0
        assert set(summary.counts) <= {"done", "already"}
        assert sum(summary.counts.values()) == len(bodies)
        for outcome in books.outcomes():
            if outcome.result is Result.DONE:
                digest = hashlib.sha256(bodies[outcome.task.key]).hexdigest()
                assert outcome.plaintext_sha256 == digest
    _check(make_client, plain_s3, written_to, bodies)
    # Each object was written exactly once, whatever the kills: a second writing would show as a version more.
    assert set(_versions(plain_s3, written_to).values()) == {1 if elsewhere else 2}
    if target is not None:
        for key, body in bodies.items():
            assert plain_s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
