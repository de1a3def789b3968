"""What a job over many objects says: one reason once, honest numbers, an early stop, and what Ctrl-C waits for."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from s3ec.cli.environment import Environment
from s3ec.cli.jobs import Job, _Listener
from s3ec.cli.options import Options
from s3ec.cli.output import Output
from s3ec.cli.progress import Progress
from s3ec.cli.repeats import NAMED, Repeats
from s3ec.cli.urls import S3Url
from s3ec.migrate import Action, Event, Journal, KeyringSpec, Location, MigrationSettings, Outcome, Result, Task

MANY = NAMED + 7


@pytest.fixture
def many(bucket: str, make_client: Any) -> str:
    """A bucket with more encrypted objects than one reason names."""
    client = make_client()
    for number in range(MANY):
        client.put_object(Bucket=bucket, Key=f"object-{number:03}", Body=b"1")
    return bucket


@pytest.mark.slow
def test_one_reason_is_said_once_with_a_count(run: Any, many: str, kms: Any, tmp_path: Path):
    """Five by name, the rest by number; the document and the events hold every one."""
    other, events = kms.create_key()["KeyMetadata"]["Arn"], tmp_path / "events"
    ended = run("verify", f"s3://{many}", "--kms-key", other, "--json", "--events", events)
    assert ended.code == 8
    lines = [line for line in ended.err.splitlines() if "AccessDenied" in line]
    assert len(lines) == NAMED + 1
    assert f"… and {MANY - NAMED} more with the same reason: AWS KMS refused under {other}" in lines[-1]
    assert len(ended.json["undone_objects"]) == MANY
    finished = [json.loads(line) for line in events.read_text("utf-8").splitlines() if '"finished"' in line]
    assert len(finished) == MANY


def test_reasons_are_told_apart_by_what_they_say():
    """Names and numbers differ from line to line; a reason does not."""
    said: list[str] = []
    repeats = Repeats(said.append)
    for number in range(8):
        place = f"s3://b/k{number}"
        repeats.add(
            place, f"s3ec: {place}: its metadata would have {2000 + number} bytes [{place}?versionId=x{number}]"
        )
    repeats.add("s3://b/x", "s3ec: s3://b/x: is archived")
    repeats.close()
    assert len(said) == NAMED + 2
    assert said[-1] == "s3ec: … and 3 more with the same reason: its metadata would have 2000 bytes"
    repeats.close()
    assert len(said) == NAMED + 2


@pytest.mark.slow
@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("command", ["migrate", "rewrap", "verify"])
@pytest.mark.parametrize("state", ["absent", "disabled", "deleted"])
def test_a_key_that_cannot_be_used_stops_before_the_first_object(
    run: Any, many: str, kms: Any, plain_s3: Any, command: str, state: str, dry: bool, tmp_path: Path
):
    """No object could succeed: one line, no object asked for, in a dry run as well."""
    if command == "verify" and dry:
        pytest.skip("it writes nothing anyway")
    key = "alias/nope"
    if state != "absent":
        about = kms.create_key()["KeyMetadata"]
        key = about["Arn"]
        (kms.disable_key if state == "disabled" else kms.schedule_key_deletion)(KeyId=about["KeyId"])
    events = tmp_path / "events"
    option = "--to-kms-key" if command == "rewrap" else "--kms-key"
    last = ("--dry-run",) if dry else ("--yes",) if command != "verify" else ()
    ended = run(command, f"s3://{many}", option, key, "--events", events, *last)
    assert ended.code == 8
    assert key in ended.err.splitlines()[-1]
    assert len(ended.err.splitlines()) <= 2
    assert not events.exists() or "object-" not in events.read_text("utf-8")


@pytest.mark.slow
def test_a_dry_run_says_what_it_could_not_find_out(run: Any, many: str, key: Any, monkeypatch: pytest.MonkeyPatch):
    """An identity that may not describe keys is warned, not refused."""
    from botocore.exceptions import ClientError

    from s3ec.migrate.work import key_check

    def denied(kms: Any, spec: KeyringSpec) -> str | None:
        error = ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeKey")
        return key_check._UNKNOWN.format(spec.key_id, error.response["Error"]["Code"])

    monkeypatch.setattr(key_check, "_described", denied)
    ended = run("migrate", f"s3://{many}", *key, "--dry-run")
    assert ended.code == 0
    assert f"warning: whether the KMS key {key[1]} can be used is not known" in ended.text


@pytest.mark.slow
def test_a_dry_run_names_what_it_would_leave(run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path):
    """With the reason, in lines, in the document and in the events."""
    plain_s3.put_object(Bucket=bucket, Key="cold", Body=b"1", StorageClass="GLACIER")
    plain_s3.put_object(Bucket=bucket, Key="warm", Body=b"1")
    events = tmp_path / "events"
    ended = run("migrate", f"s3://{bucket}", *key, "--dry-run", "--json", "--events", events)
    said = f"s3://{bucket}/cold: is archived (GLACIER): restore it first"
    assert said in ended.err
    assert [each["key"] for each in ended.json["left_alone"]] == ["cold"]
    assert sum(json.loads(line)["kind"] == "planned" for line in events.read_text("utf-8").splitlines()) == 2
    assert "under $0.01" in run("migrate", f"s3://{bucket}", *key, "--dry-run").text
    assert said in run("migrate", f"s3://{bucket}", *key, "--yes").err


def listener(journal: Journal, settings: MigrationSettings, progress: Progress, output: Output) -> _Listener:
    """What a job tells its progress with."""
    url = S3Url(settings.source.bucket)
    job = Job(environment=Environment(Options(), output), settings=settings, url=url, verb="migrated")
    return _Listener(job, journal, progress)


@pytest.fixture
def settings() -> MigrationSettings:
    """A job that nobody runs."""
    return MigrationSettings(
        action=Action.MIGRATE, source=Location(bucket="b"), keyring=KeyringSpec(kind="kms", key_id="alias/k")
    )


def test_progress_counts_what_is_done(settings: MigrationSettings):
    """Failures and skipped objects are not migrated, carry no bytes, and what was done before is said apart."""
    from s3ec.migrate import SkipReason

    err = io.StringIO()
    output = Output(stdout=io.StringIO(), stderr=err)
    tasks = [Task(bucket="b", key=f"k{number}", size=100) for number in range(6)]
    with Journal.open(":memory:", settings) as journal, Progress.of(output, Options(), "migrated") as progress:
        journal.record_listing(iter(tasks))
        first = journal.claim(2)
        for number, task in first:
            journal.finish(number, Outcome(task=task, result=Result.DONE))
        listen = listener(journal, settings, progress, output)
        listen(Event(kind="listed"))
        for result, reason in (
            (Result.DONE, None),
            (Result.FAILED, None),
            (Result.SKIPPED, SkipReason.ARCHIVED),
        ):
            task = journal.claim(1)[0][1]
            outcome = Outcome(task=task, result=result, reason=reason, plaintext_length=100)
            listen(Event(kind="finished", outcome=outcome))
        assert (progress.done, progress.bytes) == (3, 100)
        assert progress.status.startswith("100 B, ")
        assert progress.status.endswith("1 skipped, 1 failed, 2 before this run")


def test_ctrl_c_says_what_it_waits_for(settings: MigrationSettings):
    """How many, how large, and that a second one is safe."""
    err = io.StringIO()
    output = Output(stdout=io.StringIO(), stderr=err)
    with Journal.open(":memory:", settings) as journal, Progress.of(output, Options(), "migrated") as progress:
        listen = listener(journal, settings, progress, output)
        for name, size in (("a", 5), ("b", 200 * 2**20), ("c", 7)):
            listen(Event(kind="started", task=Task(bucket="b", key=name, size=size)))
        outcome = Outcome(task=Task(bucket="b", key="a"), result=Result.DONE)
        listen(Event(kind="finished", outcome=outcome))
        listen(Event(kind="stopping"))
    said = (
        "s3ec: finishing 2 objects in flight, the largest 200.0 MiB; Ctrl-C again leaves them, nothing half-written\n"
    )
    assert said in err.getvalue()


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(spawn: Any, run: Any, key: Any, bucket: str, plain_s3: Any, endpoint: str):
    """Also where an answer never comes; and the same command then does the rest."""
    import socket

    for number in range(3):
        plain_s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"1")
    reached = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []

        def hold() -> None:
            # Takes connections to KMS and never says anything.
            while True:
                try:
                    held.append(silent.accept()[0])
                except OSError:
                    return
                reached.set()

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        words = ("rewrap", f"s3://{bucket}", "--to-kms-key", key[1], "--yes")
        make = os.environ | {"AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        process = spawn(*words, env=make)
        try:
            assert reached.wait(60)
            process.send_signal(signal.SIGINT)
            # Two signals that come before the first is handled are one.
            first = process.stderr.readline()
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=60)
            err = (first + process.stderr.read()).decode()
        finally:
            for each in held:
                each.close()
    assert code == 130, err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_second_signal_inside_a_job_leaves_what_is_in_flight():
    """The process ends from the handler, whatever its threads wait for."""
    import subprocess
    import sys

    script = (
        "import signal, threading, os\n"
        "from s3ec.cli.interruption import interruptible\n"
        "stop = threading.Event()\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "with interruptible(stop, resumable=True) as caught:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert stop.wait(60) and caught == [signal.SIGINT]\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    threading.Event().wait()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 143
    assert re.search(rb"left what was in flight; nothing is half-written.*the same command again", ended.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("url", ["s3://bucket-that-is-not-there", "{}/typo"])
def test_a_run_that_failed_before_its_first_object_leaves_no_journal(run: Any, key: Any, many: str, url: str):
    """Nobody would go on with it; one that was named is the caller's, and one that holds anything stays."""
    folder = Path(os.environ["XDG_STATE_HOME"]) / "s3ec"
    place = url.format(f"s3://{many}")
    assert run("migrate", place, *key, "--yes").code == 3
    assert not list(folder.glob("*"))
    named = folder / "own.journal"
    assert run("migrate", place, *key, "--yes", "--journal", named).code == 3
    assert named.exists()
    assert run("migrate", f"s3://{many}", *key, "--yes").code == 0
    assert len(list(folder.glob("migrate-*.journal"))) == 1


@pytest.mark.slow
def test_a_target_that_cannot_be_written_is_named_as_it_was_given(run: Any, key: Any, many: str):
    """Not by the temporary name beside it."""
    line = run("cp", f"s3://{many}/object-000", "/proc/x.txt", *key).line
    assert line.startswith("s3ec: /proc/x.txt: ")


def test_a_full_disk_is_this_machines():
    """The line says where it can be full."""
    import errno

    from s3ec.cli.failures import describe

    message = describe(OSError(errno.ENOSPC, "No space left on device"), "s3://b/k").message
    assert "on this machine: at the target, or in" in message
    assert "TMPDIR" in message
