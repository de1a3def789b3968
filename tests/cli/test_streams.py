"""Terminals, pipes and signals: the command line in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.terminals import on_a_terminal

OBJECTS = 150


@pytest.fixture
def many(bucket: str, plain_s3: Any) -> str:
    """A bucket with enough objects that a run can be caught in the middle of it."""
    for number in range(OBJECTS):
        plain_s3.put_object(Bucket=bucket, Key=f"object-{number:04}", Body=b"x" * 10)
    return bucket


def wait_for(path: Path, word: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the events say so."""
    for _ in range(1200):
        if path.exists() and word in path.read_text():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"no {word} in {path}")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_migration_goes_on(
    spawn: Any, run: Any, key: Any, many: str, tmp_path: Path, plain_s3: Any, number: int, code: int
):
    """A signal lets what is in flight finish and says how to go on; the same command then does the rest, once."""
    events = tmp_path / "events"
    words = ("migrate", f"s3://{many}", *key, "--yes", "--json", "--workers", "2", "--events", events)
    process = spawn(*words)
    wait_for(events, "finished", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    document = json.loads(out)
    assert process.returncode == code, err
    assert document["interrupted"] is True
    assert 0 < document["counts"]["done"] < OBJECTS
    assert "leased" not in document["counts"]
    assert b"run the same command again" in err
    assert b"Traceback" not in err
    done = {row["Key"]: row["ETag"] for row in plain_s3.list_objects_v2(Bucket=many)["Contents"] if row["Size"] == 26}
    assert len(done) == document["counts"]["done"]
    again = run(*words)
    assert (again.code, again.json["counts"]) == (0, {"done": OBJECTS})
    now = {row["Key"]: (row["ETag"], row["Size"]) for row in plain_s3.list_objects_v2(Bucket=many)["Contents"]}
    assert all(now[name][0] == etag for name, etag in done.items()), "an object was encrypted twice"
    assert {size for _, size in now.values()} == {26}


@pytest.mark.slow
def test_a_reader_that_goes_away(spawn: Any, bucket: str, plain_s3: Any):
    """A closed pipe ends the command quietly, with the shell's code for it."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    process = spawn("ls", f"s3://{bucket}", "--json")
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=120) == 141
    assert err == b""


@pytest.mark.slow
def test_a_reader_of_content_that_goes_away(spawn: Any, key: Any, bucket: str, make_client: Any):
    """The same for content: no traceback, no half-said error."""
    make_client().put_object(Bucket=bucket, Key="k", Body=bytes(4 * 2**20))
    process = spawn("cat", f"s3://{bucket}/k", *key)
    process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=120) == 141
    assert err == b""


@pytest.mark.slow
def test_colour_and_boxes_are_for_terminals_alone(run: Any, environment: Any, bucket: str, plain_s3: Any):
    """A terminal gets a drawn table; a pipe gets whole lines, however long the key and narrow the terminal."""
    name = "a-long-name-" * 20
    plain_s3.put_object(Bucket=bucket, Key=name, Body=b"1")
    code, seen = on_a_terminal(("ls", f"s3://{bucket}"), environment)
    assert code == 0
    assert "\x1b[" in seen
    assert "━" in seen
    plain = run("ls", f"s3://{bucket}").text
    assert "\x1b" not in plain
    assert any(line.endswith(name) for line in plain.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "code", "left"), [(b"n\n", 130, 1), (b"y\n", 0, 0)])
def test_a_terminal_is_asked(
    run: Any, environment: Any, key: Any, bucket: str, plain_s3: Any, typed: bytes, code: int, left: int
):
    """Where a person sits, the question replaces --yes; a no leaves everything as it is."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    ended, seen = on_a_terminal(("migrate", f"s3://{bucket}", *key), environment, typed)
    assert "in place? [y/N]" in seen
    assert ended == code, seen
    assert run("audit", f"s3://{bucket}", "--json").json["formats"]["plaintext"] == left


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("audit",),
        ("ls", "--recursive"),
        ("verify",),
        ("migrate", "--dry-run"),
        ("migrate", "--yes"),
        ("rewrap", "--yes"),
        ("purge-plaintext-versions",),
        ("sse", "get"),
    ],
)
def test_json_is_exactly_one_document(spawn: Any, key: Any, bucket: str, make_client: Any, words: tuple[str, ...]):
    """Nothing else reaches standard output, and standard error carries plain lines without colour."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    more = {"rewrap": ("--to-kms-key", key[1]), "audit": (), "ls": (), "sse": ()}.get(words[0], key)
    process = spawn(*words, f"s3://{bucket}", *more, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert isinstance(json.loads(out), dict)
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", err)


@pytest.mark.slow
def test_both_ways_to_start_are_the_same(spawn: Any, environment: Any):
    """`python -m s3ec` is what the installed command is; every command has a help page."""
    out, _ = spawn("--help").communicate(timeout=60)
    names = ["audit", "migrate", "rewrap", "verify", "purge-plaintext-versions", "cp", "cat", "ls", "rm", "head"]
    for name in [*names, "inspect", "sse", "demo"]:
        assert name.encode() in out
    out, _ = spawn("migrate", "--help").communicate(timeout=60)
    for heading in (b"Options:", b"Keys:", b"Connection:", b"Run and output:"):
        assert heading in out
    out, _ = spawn("--version").communicate(timeout=60)
    assert out.startswith(b"s3ec")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("verify",), ("migrate", "--yes"), ("rewrap", "--to-aes-key-file", "KEY", "--yes"),
              ("purge-plaintext-versions", "--execute", "--yes")], ids=lambda words: words[0]
)  # fmt: skip
def test_a_key_does_not_drive_the_terminal(
    words: tuple[str, ...], environment: Any, key: tuple[str, ...], bucket: str, plain_s3: Any, tmp_path: Path
):
    """A name that others chose neither renames the window, colours text, nor turns its direction, in any progress."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # moto lists versions in XML, which has no escape characters.
    escapes = "" if words[0].startswith("purge") else "\x1b]0;PWNED\x1b\\\x1b[31mred\x07"
    name = f"x{escapes}\u202egnp\x9b2J"
    for body in (b"1", b"2"):
        plain_s3.put_object(Bucket=bucket, Key=name, Body=body, StorageClass="GLACIER")
    (tmp_path / "other").write_bytes(bytes(32))
    command, *options = (str(tmp_path / "other") if word == "KEY" else word for word in words)
    code, seen = on_a_terminal((command, f"s3://{bucket}", *options, *key), environment, columns=400)
    assert code != 0
    assert "\\u202egnp\\x9b2J" in seen
    for raw in ("\x1b]0;PWNED", "\x1b[31mred", "\u202e", "\x9b", "\x07"):
        assert raw not in seen
