"""``s3ec demo`` does the whole job offline, and the README shows what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import s3ec
from s3ec.cli import run as run_cli

from support import documents

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "s3ec", "demo"]
# ``-m`` looks in the working directory first: it must find the package under test, not the repository's.
PLACE = Path(s3ec.__file__).parents[1]
# Settings of a user's machine that must not lead the demo elsewhere, or change what it prints.
HOSTILE_ENVIRONMENT = {
    "AWS_PROFILE": "absent",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "somebody",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
}


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the demo as a user does, with a pipe in place of the terminal."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=PLACE,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )


def without_chance(output: str) -> str:
    """The output without what differs from run to run: the port, ciphertext and the seconds."""
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", output)
    # Ciphertext stands in the middle column of the row "content".
    output = re.sub(r"^(content +)(?:[0-9a-f]{2} ){11}[0-9a-f]{2}", r"\1CIPHERTEXT", output, flags=re.MULTILINE)
    return re.sub(r" +\d+\.\d\d$", " SECONDS", output, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What ``s3ec demo --json`` prints for the files that come with it."""
    process = demo("--json")
    assert process.returncode == 0, process.stderr
    parsed: dict[str, Any] = json.loads(process.stdout)
    return parsed


class TestOutput:
    """What people see."""

    def test_readme_shows_it(self) -> None:
        """The README's block is the output of a real run, but for port, ciphertext and seconds."""
        readme = documents.blocks((ROOT / "README.md").read_text("utf-8"))
        [shown] = [block.body for block in readme if block.kind == "text demo"]
        process = demo()
        assert process.returncode == 0, process.stderr
        assert without_chance(process.stdout) == without_chance(shown)
        assert process.stderr == ""

    def test_nothing_is_wrapped_cut_or_coloured(self) -> None:
        """Without a terminal the output is the same, however narrow or colourful the environment claims to be."""
        process = demo(**HOSTILE_ENVIRONMENT)
        assert process.returncode == 0, process.stderr
        assert "\x1b" not in process.stdout
        assert without_chance(process.stdout) == without_chance(demo().stdout)

    def test_terminal(self) -> None:
        """On a terminal it runs as well and shows the refusal."""
        output, code = on_a_terminal()
        assert code == 0
        assert "AuthenticationError" in output

    def test_code_runs(self, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lines of Python that it prints do what they say."""
        from s3ec.cli.demo_view import CODE

        monkeypatch.chdir(tmp_path)
        Path("report.pdf").write_bytes(b"a report")
        with documents.documented_account(endpoint) as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            namespace: dict[str, Any] = {}
            exec(CODE, namespace)  # noqa: S102 - the product's own lines
        assert namespace["content"] == b"a report"

    def test_control_characters(self, tmp_path: Path) -> None:
        """A file's name cannot send escape sequences to the terminal."""
        (tmp_path / "a\x1b[31mb").write_bytes(b"\x1b[2J")
        process = demo(str(tmp_path))
        assert process.returncode == 0, process.stderr
        assert "\x1b" not in process.stdout


class TestDocument:
    """What programs see."""

    def test_files(self, document: dict[str, Any]) -> None:
        """Each file came back byte for byte, and is stored 16 bytes longer with the content metadata of V3."""
        assert [file["key"] for file in document["files"]] == ["diagnosis.txt", "padlock.png", "salaries.csv"]
        for file in document["files"]:
            assert file["identical"] is True
            assert file["stored_bytes"] == file["plaintext_bytes"] + 16
            assert {"x-amz-3", "x-amz-c", "x-amz-d", "x-amz-i", "x-amz-t", "x-amz-w"} == set(file["stored_metadata"])
            assert file["plaintext_metadata"] == []
            assert file["stored_head"][:32] != file["plaintext_head"][:32]

    def test_refusal(self, document: dict[str, Any]) -> None:
        """One flipped bit ends in an authentication error that names the object."""
        assert document["tampering"]["error"] == "AuthenticationError"
        assert document["tampering"]["key"] in document["tampering"]["message"]

    def test_summary(self, document: dict[str, Any]) -> None:
        """The sums are those of the files; each file cost one KMS call to write and one to read."""
        summary, files = document["summary"], document["files"]
        assert summary["files"] == len(files) == 3
        assert summary["bytes"] == sum(file["plaintext_bytes"] for file in files)
        assert summary["stored_bytes"] == sum(file["stored_bytes"] for file in files)
        assert summary["kms_calls"] == 2 * len(files)
        assert summary["seconds"] > 0


class TestPath:
    """The files of one's own."""

    def test_folder(self, tmp_path: Path) -> None:
        """All files below a folder are taken by their relative path: nested, empty, with any name."""
        (tmp_path / "deep" / "er").mkdir(parents=True)
        contents = {"deep/er/Größe 1.bin": bytes(100_000), "empty": b"", "z": b"z"}
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        process = demo(str(tmp_path), "--json")
        assert process.returncode == 0, process.stderr
        files = json.loads(process.stdout)["files"]
        assert {file["key"]: file["plaintext_bytes"] for file in files} == {k: len(v) for k, v in contents.items()}
        assert all(file["identical"] for file in files)

    def test_many_files(self, tmp_path: Path) -> None:
        """Of many files some are shown, and the rest is counted."""
        for number in range(8):
            (tmp_path / f"{number}").write_bytes(bytes(number))
        process = demo(str(tmp_path))
        assert process.returncode == 0, process.stderr
        assert "3 more files" in process.stdout

    def test_one_file(self, tmp_path: Path) -> None:
        """A single file is taken by its name."""
        (tmp_path / "one.txt").write_bytes(b"1")
        process = demo(str(tmp_path / "one.txt"), "--json")
        assert [file["key"] for file in json.loads(process.stdout)["files"]] == ["one.txt"]

    def test_absent(self, tmp_path: Path) -> None:
        """A path that is not there is named, in one line."""
        process = demo(str(tmp_path / "absent"))
        assert process.returncode == 3
        assert process.stderr.count("\n") == 1
        assert "absent: there is no such file or folder" in process.stderr

    def test_what_is_no_file(self, tmp_path: Path) -> None:
        """Standard input, a pipe and a link to nothing are called what they are; in a folder they are left out."""
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to("nowhere")
        (tmp_path / "empty").write_bytes(b"")
        (tmp_path / "text").write_bytes(b"hello\nworld\n")
        for path, said in (
            ("-", "not standard input"),
            (str(tmp_path / "pipe"), "is neither a file nor a folder"),
            (str(tmp_path / "link"), "is a link to nothing"),
        ):
            process = demo(path)
            assert process.returncode == 3
            assert said in process.stderr
        process = demo(str(tmp_path))
        assert process.returncode == 0, process.stderr
        assert "pipe is left out: neither a file nor a folder" in process.stderr
        assert "link is left out: a link to nothing" in process.stderr
        assert "hello…" in process.stdout
        assert "of text was flipped" in process.stdout

    def test_empty_folder(self, tmp_path: Path) -> None:
        """A folder without files is an error, not an empty table."""
        process = demo(str(tmp_path))
        assert process.returncode == 3
        assert "the folder holds no files" in process.stderr


class TestEnd:
    """Other ways to end."""

    def test_interrupt(self, tmp_path: Path) -> None:
        """Ctrl-C ends the run with 130 and one line, and no process or server stays behind."""
        # Large enough to be still at work when the signal comes.
        with (tmp_path / "large").open("wb") as file:
            file.truncate(2 * 1024**3)
        with subprocess.Popen(
            [*COMMAND, str(tmp_path)], cwd=PLACE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            wait_for_a_listener(process.pid)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert stderr.strip() == "s3ec: interrupted"

    def test_interrupt_with_a_document(self, tmp_path: Path) -> None:
        """With --json the end is one document, whatever the work was in the middle of."""
        with (tmp_path / "large").open("wb") as file:
            file.truncate(2 * 1024**3)
        command = [*COMMAND, str(tmp_path), "--json"]
        with subprocess.Popen(command, cwd=PLACE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for_a_listener(process.pid)
            process.send_signal(signal.SIGINT)
            stdout, _ = process.communicate(timeout=60)
        assert (process.returncode, json.loads(stdout)["error"]["code"]) == (130, 130)

    def test_progress_on_a_terminal(self, tmp_path: Path) -> None:
        """What is encrypted and read back is said while it lasts."""
        (tmp_path / "large").write_bytes(bytes(40 * 1024**2))
        output, code = on_a_terminal(str(tmp_path))
        assert code == 0
        assert re.search(r"encrypting large: [\d.]+ MiB of 40.0 MiB", output)
        assert re.search(r"reading large back: [\d.]+ MiB of 40.0 MiB", output)

    def test_without_moto(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Where the extra is missing, it says what to install."""
        monkeypatch.setitem(sys.modules, "moto.server", None)
        monkeypatch.setattr(sys, "argv", ["s3ec", "demo"])
        assert run_cli() == 5
        assert "pip install 's3ec[demo]'" in capsys.readouterr().err


def wait_for_a_listener(pid: int) -> None:
    """Returns when process ``pid`` listens on a TCP port, that is when its server is up."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        inodes = set()
        with contextlib.suppress(FileNotFoundError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(descriptor)))
        listening = {
            fields[9]
            for fields in map(str.split, Path("/proc/net/tcp").read_text("ascii").splitlines()[1:])
            if fields[3] == "0A"
        }
        if inodes & listening:
            return
        time.sleep(0.02)
    raise AssertionError("the demo started no server")


def on_a_terminal(*arguments: str) -> tuple[str, int]:
    """Runs the demo on a pseudo-terminal; returns what it wrote and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child becomes the demo
        os.chdir(PLACE)
        os.execv(COMMAND[0], [*COMMAND, *arguments])  # noqa: S606 - our own command, without a shell
    output = b"".join(chunks(terminal))
    os.close(terminal)
    return output.decode("utf-8", "replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def chunks(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until its other end closes."""
    while select.select([terminal], [], [], 120)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other end has closed
            return
        if not chunk:
            return
        yield chunk
