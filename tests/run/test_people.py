"""Profiles in which a person has a part (a code, a login) where nobody is there: a sentence, and an end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CONFIG = """
[profile base]
aws_access_key_id = testing
aws_secret_access_key = testing

[profile code]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/user

[profile behind]
role_arn = arn:aws:iam::123456789012:role/other
source_profile = code

[profile login]
sso_session = ours
sso_account_id = 123456789012
sso_role_name = reader

[sso-session ours]
sso_start_url = https://login.invalid/start
sso_region = us-east-1
"""
CODE = "arn:aws:iam::123456789012:mfa/user"
PROGRAM = "import boto3, os; boto3.client('s3').head_bucket(Bucket=os.environ['BUCKET']); print('went on')"
LINES = {
    "run": ("run", "--", sys.executable, "-c", PROGRAM),
    "serve": ("serve", "--port", "0", "--kms-key", "alias/k"),
    "run --serve": ("run", "--serve", "--", sys.executable, "-c", PROGRAM),
}


@pytest.fixture
def without_people(environment: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Types a line where there is no terminal, and standard input never says anything, nor ends."""
    (tmp_path / "config").write_text(CONFIG, "utf-8")

    def run(profile: str, *words: str) -> Any:
        given = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
        given |= {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_PROFILE": profile,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": environment["AWS_ENDPOINT_URL"],
            "HOME": str(tmp_path),
        }
        silent, talking = os.pipe()
        try:
            return subprocess.run(
                [sys.executable, "-m", "s3ec", *words], env=given, cwd=tmp_path, stdin=silent, capture_output=True,
                text=True, check=False, timeout=300, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(silent)
            os.close(talking)

    return run


@pytest.mark.parametrize("how", LINES)
@pytest.mark.parametrize("profile", ["code", "behind"])
def test_a_code_that_nobody_gives(how: str, profile: str, without_people: Callable[..., Any]) -> None:
    """It is said whose code is wanted, and nothing waits for it."""
    ended = without_people(profile, *LINES[how])
    assert ended.returncode not in (0, 124)
    assert "went on" not in ended.stdout
    last = ended.stderr.splitlines()[-1]
    assert CODE in last
    assert "no terminal to ask at" in last
    if how != "run":
        assert (ended.stdout, last) == ("", ended.stderr.strip())


@pytest.mark.parametrize("how", LINES)
def test_a_login_that_has_expired(how: str, without_people: Callable[..., Any]) -> None:
    """botocore's own sentence, before anything listens."""
    ended = without_people("login", *LINES[how])
    assert ended.returncode != 0
    assert "went on" not in ended.stdout
    last = ended.stderr.splitlines()[-1]
    assert "SSO" in last
    if how != "run":
        assert (ended.stdout, last) == ("", ended.stderr.strip())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no terminals")
@pytest.mark.parametrize("how", ["run", "serve"])
def test_a_person_is_asked_once(
    how: str, environment: dict[str, str], without_people: Callable[..., Any], tmp_path: Path, kms_key: str
) -> None:
    """By botocore's own prompt, where there is a terminal: for S3 and KMS together, and before anything listens."""
    import pty

    write = "boto3.client('s3').put_object(Bucket=os.environ['BUCKET'], Key='people', Body=b'x'); print('done')"
    words = {"run": ("run", "--", sys.executable, "-c", f"import boto3, os; {write}"), "serve": LINES["serve"]}[how]
    given = {
        **environment, "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PROFILE": "code", "AWS_DEFAULT_REGION": "us-east-1", "HOME": str(tmp_path),
    }  # fmt: skip
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        given.pop(name, None)
    process, terminal = pty.fork()
    if not process:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-m", "s3ec", *words], given)  # noqa: S606 - no shell is what is wanted
    try:
        with open(terminal, "r+b", buffering=0) as both:
            asked = _until(both, b"MFA code")
            assert b"export" not in asked
            both.write(b"123456\n")
            # Who is asked a second time says nothing, and would wait for ever.
            _until(both, {"run": b"done", "serve": b"listening"}[how], never=b"MFA code")
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _until(terminal: Any, wanted: bytes, never: bytes | None = None) -> bytes:
    """What is said at a terminal up to some words; the test fails where that ends, falls silent, or is another."""
    said = b""
    while wanted not in said:
        readable, _, _ = select.select([terminal], [], [], 120)
        try:
            piece = terminal.read(1024) if readable else b""
        except OSError:  # Linux says so of a terminal that nobody has open any more
            piece = b""
        said += piece
        assert piece, said
        assert never is None or never not in said, said
    return said
