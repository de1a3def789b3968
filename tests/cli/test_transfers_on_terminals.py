"""What a person sees while content moves, and what Ctrl-C leaves behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3ec.cli.output import Output
from s3ec.cli.transfer_progress import TransferProgress

from support.terminals import on_a_terminal

FILES = 400


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for it, as long as the process lives."""
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_stream_leaves_nothing(spawn: Any, key: Any, bucket: str, plain_s3: Any, number: int, code: int):
    """Waiting for standard input ends at once; the upload that was begun is taken back, and it says how far it was."""
    process = spawn("cp", "-", f"s3://{bucket}/k", *key, stdin=subprocess.PIPE)
    process.stdin.write(bytes(20 * 2**20))
    process.stdin.flush()
    until(lambda: bool(plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads")), process)
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    err = process.stderr.read().decode()
    process.stdin.close()
    assert "interrupted after" in err
    assert "nothing is half-written" in err
    assert "Traceback" not in err
    assert not plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


@pytest.mark.slow
def test_an_interrupted_sync_says_how_far_it_was_and_goes_on(
    spawn: Any, run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path
):
    """What is there is whole; the same command does the rest."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:04}").write_bytes(b"x" * 10)
    words = ("sync", folder, f"s3://{bucket}/", *key, "--json", "--workers", "2")
    process = spawn(*words)
    until(lambda: bool(plain_s3.list_objects_v2(Bucket=bucket, MaxKeys=1).get("Contents")), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    document = json.loads(out)
    assert process.returncode == 130, err
    assert document["interrupted"] is True
    done = len(document["copied"])
    assert 0 < done < FILES
    assert f"copied {done} of" in err.decode()
    assert "goes on from here" in err.decode()
    assert {row["Size"] for row in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]} == {26}
    again = run(*words)
    assert (again.code, len(again.json["copied"]), again.json["unchanged"]) == (0, FILES - done, done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "shown"), [((), True), (("--no-progress",), False), (("--quiet",), False), (("--json",), False)]
)
def test_progress_is_shown_on_a_terminal(
    environment: dict[str, str], key: Any, bucket: str, tmp_path: Path, options: tuple[str, ...], shown: bool
):
    """Bytes and rate; not where it is not wanted, nor beside a document."""
    (tmp_path / "big").write_bytes(bytes(3 * 2**20))
    words = ("cp", tmp_path / "big", f"s3://{bucket}/big", *key, *options)
    code, seen = on_a_terminal(words, environment)
    assert code == 0, seen
    # A quick transfer is over before all is listed: the tilde is still there.
    assert bool(re.search(r" of ~?3\.0 MiB, .*B/s", seen)) is shown
    assert ("copied" in seen) is (options != ("--quiet",))


def test_the_numbers_in_words():
    """About what is known; the display is one line."""
    progress = TransferProgress()
    progress.expect(2**20)
    progress.expect(None)
    progress.moving(2**19)
    progress.finished()
    assert progress.status.startswith("512.0 KiB of ~1.0 MiB, ")
    assert progress.status.endswith("1 of ~2 objects")
    progress.all_known()
    assert "1 of 2 objects" in progress.status


def test_nothing_is_displayed_where_nobody_looks(capsys: pytest.CaptureFixture[str]):
    """A pipe gets no display."""
    with TransferProgress.of(Output(), wanted=True) as progress:
        progress.expect(5)
        progress.moving(5)
    assert capsys.readouterr() == ("", "")
