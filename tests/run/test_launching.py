"""What `s3ec run` refuses to start, and the environment in which it starts the rest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from s3ec.errors import ConfigurationError
from s3ec.run import launching


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "tool"
    path.write_text("#!/usr/bin/env python3\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("words", "letter"),
    [
        (["-I", "x.py"], "I"),
        (["-S", "-m", "x"], "S"),
        (["-E", "-c", "pass"], "E"),
        (["-sE", "x.py"], "E"),
        (["-W", "error", "-I", "x.py"], "I"),
        (["-Werror", "-I"], "I"),
        (["-X", "dev", "-BS", "x.py"], "S"),
        (["-u", "-I"], "I"),
        (["--check-hash-based-pycs", "always", "x.py"], None),
        (["x.py", "-I"], None),
        (["-c", "pass", "-I"], None),
        (["-m", "x", "-S"], None),
        (["-cI"], None),
        (["-W", "-I", "x.py"], None),
        (["-"], None),
        ([], None),
    ],
)
def test_options_that_keep_us_out(words: list[str], letter: str | None) -> None:
    """Python's own options, up to what it runs; behind that they are the program's."""
    if letter is None:
        launching.refuse_command([sys.executable, *words])
        return
    with pytest.raises(ConfigurationError, match=f"python -{letter}"):
        launching.refuse_command([sys.executable, *words])


def test_options_in_the_first_line_of_a_script(script: Path) -> None:
    """``#!`` counts as well."""
    script.write_text(f"#!{sys.executable} -I\n", "utf-8")
    with pytest.raises(ConfigurationError, match="python -I"):
        launching.refuse_command(["tool"])
    script.write_text("#!/usr/bin/env -S python3 -E\n", "utf-8")
    with pytest.raises(ConfigurationError, match="python -E"):
        launching.refuse_command(["tool"])
    script.write_text("#!/bin/bash\n", "utf-8")
    launching.refuse_command(["tool", "-I"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sudo", "python3"], "sudo drops"),
        (["env", "-i", "python3"], "env -i takes away"),
        (["env", "-", "python3"], "takes away"),
        (["env", "-u", "PYTHONPATH", "python3"], "takes away"),
        (["env", "PYTHONPATH=/x", "python3"], "comes too late"),
        (["env", "A=b", "python3", "-I"], "python -I"),
        (["env", "A=b", "sudo", "x"], "sudo drops"),
        (["no-such-command-anywhere"], "there is no command"),
    ],
)
def test_what_takes_the_environment_away(command: list[str], words: str) -> None:
    """Seen in the words of the command."""
    with pytest.raises(ConfigurationError, match=words):
        launching.refuse_command(command)


def test_a_file_that_is_no_program(script: Path) -> None:
    """It is there, so to say that it is not would send its owner looking."""
    script.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"is not a program that may be run: chmod \+x"):
        launching.refuse_command([str(script)])


def test_the_cli_v2_is_sent_to_the_endpoint(script: Path) -> None:
    """Its frozen form is known by being no script."""
    frozen = script.with_name("aws")
    frozen.write_bytes(b"\x7fELF")
    frozen.chmod(0o755)
    with pytest.raises(ConfigurationError, match="s3ec serve"):
        launching.refuse_command(["aws", "s3", "ls"])
    frozen.write_text(f"#!{sys.executable}\n", "utf-8")
    launching.refuse_command(["aws", "s3", "ls"])


def test_which_python(script: Path) -> None:
    """Of a script too, in each of the forms that installers write."""
    assert launching.python_of([sys.executable, "-c", "pass"]) == (sys.executable, ["-c", "pass"])
    script.write_text(f"#!{sys.executable}\n", "utf-8")
    assert launching.python_of(["tool", "word"]) == (sys.executable, [str(script), "word"])
    script.write_text(f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n", "utf-8")
    assert launching.python_of(["tool"]) == (sys.executable, [str(script)])
    script.write_text("#!/bin/sh\nexec x\n", "utf-8")
    assert launching.python_of(["tool"]) is None


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was named replaces what was in force as a whole; files are found from any folder; ours stands once."""
    monkeypatch.chdir(tmp_path)
    before = {
        "S3EC_BUCKETS": "b=k",
        "S3EC_AES_KEY_FILE": "old.key",
        "S3EC_RSA_PASSPHRASE_FILE": "pass",
        "PYTHONPATH": f"/mine:{launching.BOOTSTRAP}::/other",
        "S3EC_RUN": "stale",
    }
    settings = {
        "kms_key": "alias/k",
        "context": {"team": "hr"},
        "profile": "p",
        "region": "eu-west-1",
        "endpoint_url": "http://x",
    }
    made = launching.child_environment(before, settings)
    assert made == {
        "S3EC_KMS_KEY": "alias/k",
        "S3EC_CONTEXT": '{"team": "hr"}',
        "S3EC_RSA_PASSPHRASE_FILE": str(tmp_path / "pass"),
        "AWS_PROFILE": "p",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://x",
        "PYTHONPATH": f"{launching.BOOTSTRAP}:/mine:/other",
    }
    assert launching.child_environment(before, {}, config=Path("a.toml"))["S3EC_CONFIG"] == str(tmp_path / "a.toml")
    assert launching.child_environment(before, {})["S3EC_AES_KEY_FILE"] == str(tmp_path / "old.key")


def test_mark() -> None:
    """It stands for the interpreter, the settings and what their files hold, and for nothing else."""
    first = launching.mark({"S3EC_KMS_KEY": "a"})
    assert launching.mark({"S3EC_KMS_KEY": "a", "OTHER": "x", "S3EC_RUN": "y"}) == first
    assert launching.mark({"S3EC_KMS_KEY": "b"}) != first
    assert launching.mark({"S3EC_KMS_KEY": "a", "PYTHONPATH": "/x"}) != first
