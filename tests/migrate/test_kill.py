"""``kill -9`` anywhere: no object is lost, none written twice, none skipped, and nothing else is left behind."""

from __future__ import annotations

import contextlib
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

from s3ec import AesKeyring, CommitmentPolicy, KmsKeyring
from s3ec.migrate import Action, Journal, KeyringSpec, Location, MigrationContext, MigrationSettings, Result, run

from support.aws import create_kms_key, date_uploads, keep_versions
from support.macs import mac_of
from support.vectors import Vector, all_vectors

MIB = 2**20
_CHILD = """
import sys
from s3ec.migrate import Journal, MigrationContext, MigrationSettings, run
from support.aws import date_uploads
settings = MigrationSettings.from_json(sys.argv[1])
with Journal.open(sys.argv[2], settings) as journal:
    context = MigrationContext.open(settings, uploads=journal)
    date_uploads(context.s3)
    tell = lambda event: print(event.kind, flush=True)
    run(settings, journal, context=context, workers=4, processes=int(sys.argv[3]), on_event=tell)
"""

# Dies in the moment in which S3 has done what was asked, and nobody has written that down yet.
_SUICIDAL_CHILD = """
import itertools, os, signal, sys
from s3ec.migrate import Journal, MigrationContext, MigrationSettings, run
from support.aws import date_uploads
settings, operation, fatal = MigrationSettings.from_json(sys.argv[1]), sys.argv[3], int(sys.argv[4])
answers = itertools.count(1)
def count(**_):
    if next(answers) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
with Journal.open(sys.argv[2], settings) as journal:
    context = MigrationContext.open(settings, uploads=journal)
    date_uploads(context.s3)
    context.s3.meta.events.register("after-call.s3." + operation, count)
    run(settings, journal, context=context, workers=4)
"""


def _fill(client: Any, bucket: str, count: int, *, large: int = 2) -> dict[str, bytes]:
    """Small objects, folders' markers and empty ones, and a few that go in parts; all with properties."""
    bodies = {f"a/{number}": os.urandom(number % 40) for number in range(count)}
    bodies |= {"a/folder/": b"", "b c+d": b"plus"}
    # They are listed, and so begun, among the first.
    bodies |= {f"a/0 large {number}": os.urandom((1 + 5 * number) * MIB) for number in range(1, large + 1)}
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"key": key.encode().hex()}, Tagging="t=1")
    return bodies


def _environment() -> dict[str, str]:
    """Children find the tests' own helpers."""
    folders = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def _killed(job: MigrationSettings, journal: Path, processes: int, lines: int, delay: float) -> bool:
    """Run the job in a process of its own and kill it in the middle of its work. Says whether it still ran."""
    command = [sys.executable, "-c", _CHILD, job.to_json(), str(journal), str(processes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, env=_environment()) as child:
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        time.sleep(delay)
        alive = child.poll() is None
        if alive:
            os.killpg(child.pid, signal.SIGKILL)
    return alive


def _kill_repeatedly(job: MigrationSettings, journal: Path, *, processes: int = 1, times: int, seed: int) -> int:
    """Kill run after run of one job at random points, until it gets through or has been killed so often."""
    generator, kills = random.Random(seed), 0
    while kills < times and _killed(job, journal, processes, generator.randint(2, 9), generator.uniform(0, 0.03)):
        kills += 1
    return kills


def _kill_after_each(job: MigrationSettings, journal: Path, operations: dict[str, int], *, seed: int) -> None:
    """Kill one run for each operation: right after S3 has answered one of its first requests of that kind."""
    generator = random.Random(seed)
    for operation, most in operations.items():
        command = [sys.executable, "-c", _SUICIDAL_CHILD, job.to_json(), str(journal), operation]
        ended = subprocess.run(
            [*command, str(generator.randint(1, most))], check=False, timeout=120, env=_environment()
        )
        assert ended.returncode == -signal.SIGKILL, f"the job has sent too few {operation}"


def _versions(plain_s3: Any, bucket: str) -> Counter[str]:
    return Counter(entry["Key"] for entry in plain_s3.list_object_versions(Bucket=bucket)["Versions"])


def _check(client: Any, plain_s3: Any, bucket: str, bodies: dict[str, bytes]) -> None:
    """Each object is there once, opens to its plaintext, and has its properties; and nothing else is there."""
    listed = plain_s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert sorted(entry["Key"] for entry in listed) == sorted(bodies)
    _check_objects(client, plain_s3, bucket, bodies)


def _check_objects(client: Any, plain_s3: Any, bucket: str, bodies: dict[str, bytes]) -> None:
    # One that S3 began in the very moment of a kill, so that nobody knew its id, is among those that were found.
    assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)
    for key, body in bodies.items():
        answer = client.get_object(Bucket=bucket, Key=key)
        # Encrypted twice, the plaintext would be a ciphertext.
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"key": key.encode().hex()}
        assert plain_s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "t", "Value": "1"}]


def _finish(job: MigrationSettings, journal: Journal, bodies: dict[str, bytes]) -> None:
    """The last run, that nobody kills: nothing is left to do, and the books have each object as done."""
    with contextlib.closing(MigrationContext.open(job, uploads=journal)) as context:
        date_uploads(context.s3)
        assert run(job, journal, context=context, workers=4).undone == 0
    results = {outcome.task.key: outcome.result for outcome in journal.outcomes()}
    assert {results[key] for key in bodies} <= {Result.DONE, Result.ALREADY}
    assert all(key.endswith(".instruction") for key in results.keys() - bodies.keys())


@pytest.mark.slow
@pytest.mark.parametrize(("elsewhere", "processes", "seed"), [(False, 1, 1), (True, 1, 2), (False, 2, 3)])
def test_a_killed_encryption_goes_on_where_it_was(
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
    target = Location(bucket=bucket + "-target") if elsewhere else None
    if target is not None:
        plain_s3.create_bucket(Bucket=target.bucket)
    written_to = target.bucket if target else bucket
    keep_versions(plain_s3, written_to)
    bodies = _fill(plain_s3, bucket, 30)
    job = settings(destination=target, single_request_limit=MIB, part_size=5 * MIB)
    journal = tmp_path / "journal"
    kills = _kill_repeatedly(job, journal, processes=processes, times=5 if processes > 1 else 8, seed=seed)
    assert kills >= 3, "the job was too quick to be killed"
    with Journal.open(journal, job) as books:
        _finish(job, books, bodies)
        for outcome in books.outcomes():
            if outcome.result is Result.DONE:
                assert outcome.plaintext_mac == mac_of(bodies[outcome.task.key], books.mac_key)
    _check(make_client(), plain_s3, written_to, bodies)
    # Each object was written exactly once, whatever the kills: a second writing would show as a version more.
    assert set(_versions(plain_s3, written_to).values()) == {1 if elsewhere else 2}
    if target is not None:
        for key, body in bodies.items():
            assert plain_s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert "Uploads" not in plain_s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.slow
@pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "instruction file"])
def test_a_killed_rewrap_goes_on_where_it_was(
    in_file: bool,
    settings: Callable[..., MigrationSettings],
    tmp_path: Path,
    aws: dict[str, Any],
    kms: Any,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """Every data key is wrapped again exactly once, and every object opens with the other key."""
    keep_versions(plain_s3, bucket)
    bodies = _fill(make_client(instruction_file_writes=in_file), bucket, 20, large=1)
    other_key = create_kms_key(aws)
    # Above the limit a copy goes in parts: a kill may leave an upload behind.
    job = settings(action=Action.REWRAP, keyring=KeyringSpec(kind="kms", key_id=other_key), copy_limit=5 * MIB)
    journal = tmp_path / "journal"
    in_metadata = {"UploadPartCopy": 2, "CompleteMultipartUpload": 1, "CopyObject": 3, "HeadObject": 9}
    _kill_after_each(job, journal, {"PutObject": 3, "GetObject": 9} if in_file else in_metadata, seed=4)
    _kill_repeatedly(job, journal, times=2, seed=4)
    with Journal.open(journal, job) as books:
        _finish(job, books, bodies)
    files = {f"{key}.instruction" for key in bodies} if in_file else set()
    assert {entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]} == bodies.keys() | files
    _check_objects(make_client(keyring=KmsKeyring(other_key, client=kms)), plain_s3, bucket, bodies)
    # Where the wrapped key lies, there is one version more; nothing else was written.
    assert _versions(plain_s3, bucket) == {
        **{key: 1 if in_file else 2 for key in bodies},
        **dict.fromkeys(files, 2),
    }


_OLD = (
    "java/javasdk1-eo-aes256-meta-17",
    "java/javasdk1-eo-aes256-instr-17",
    "java/java3-aes256-meta-17",
    "java/java3-aes256-instr-17",
)
"""V1 and V2, each with its wrapped key in the metadata and in a file; one AES key opens all."""


def _fill_with_old_formats(
    plain_s3: Any, bucket: str, vectors: list[Vector], make_client: Callable[..., Any]
) -> dict[str, bytes]:
    """What other clients wrote, several times each, and one V2 object that goes in parts."""
    bodies = {}
    for number in range(20):
        vector, key = vectors[number % len(vectors)], f"a/{number}"
        bodies[key] = vector.plaintext
        metadata = {**vector.metadata, "key": key.encode().hex()}
        plain_s3.put_object(Bucket=bucket, Key=key, Body=vector.body, Metadata=metadata, Tagging="t=1")
        if vector.instruction_file is not None:
            file = vector.instruction_file
            plain_s3.put_object(Bucket=bucket, Key=f"{key}.instruction", Body=file.body, Metadata=dict(file.metadata))
    writer = make_client(
        keyring=AesKeyring(bytes.fromhex(vectors[0].key["hex"])),
        commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    )
    key = "a/0 large"
    bodies[key] = os.urandom(11 * MIB)
    writer.put_object(Bucket=bucket, Key=key, Body=bodies[key], Metadata={"key": key.encode().hex()}, Tagging="t=1")
    return bodies


@pytest.mark.slow
def test_a_killed_upgrade_goes_on_where_it_was(
    settings: Callable[..., MigrationSettings],
    tmp_path: Path,
    bucket: str,
    plain_s3: Any,
    make_client: Callable[..., Any],
) -> None:
    """Every V1 and V2 object becomes V3 exactly once, and no instruction file that belonged to one is left."""
    by_name = {vector.name: vector for vector in all_vectors()}
    vectors = [by_name[name] for name in _OLD]
    (tmp_path / "key").write_bytes(bytes.fromhex(vectors[0].key["hex"]))
    keep_versions(plain_s3, bucket)
    bodies = _fill_with_old_formats(plain_s3, bucket, vectors, make_client)
    job = settings(
        action=Action.UPGRADE,
        source_keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")),
        allow_legacy=True,
        single_request_limit=MIB,
        part_size=5 * MIB,
    )
    journal = tmp_path / "journal"
    operations = {"UploadPart": 3, "CompleteMultipartUpload": 1, "PutObject": 3, "DeleteObject": 3}
    _kill_after_each(job, journal, operations, seed=5)
    _kill_repeatedly(job, journal, times=2, seed=5)
    with Journal.open(journal, job) as books:
        _finish(job, books, bodies)
    # The default client reads nothing but V3.
    _check(make_client(), plain_s3, bucket, bodies)
    versions = _versions(plain_s3, bucket)
    assert {key: versions[key] for key in bodies} == dict.fromkeys(bodies, 2)
