"""`s3ec run --serve`: any command, beside an endpoint that only it knows, without anything that opens AWS."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3ec.errors import ConfigurationError
from s3ec.run import launching
from s3ec.run.private import private_environment
from s3ec.serve import LocalCredentials

PAIR = LocalCredentials("S3ECPRIVATE", "a-secret-for-this-endpoint-only")
URL = "http://127.0.0.1:1"
REAL = {
    "AWS_ACCESS_KEY_ID": "real",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_PROFILE": "real",
    "AWS_DEFAULT_PROFILE": "real",
    "AWS_ROLE_ARN": "real",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "real",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "real",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "real",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "real",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "real",
    "AWS_CONFIG_FILE": "real",
    "AWS_SHARED_CREDENTIALS_FILE": "real",
    "AWS_CREDENTIAL_FILE": "real",
    "AWS_ENDPOINT_URL": "real",
    "AWS_ENDPOINT_URL_S3": "real",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "real",
    "AWS_SOMETHING_NEW": "real",
    "BOTO_CONFIG": "real",
    "MC_HOST_s3": "real",
    "RCLONE_CONFIG_S3_ACCESS_KEY_ID": "real",
    "RCLONE_S3_SECRET_ACCESS_KEY": "real",
    "S3_ENDPOINT_URL": "real",
    "S3EC_KMS_KEY": "real",
    "S3EC_RUN": "real",
}
WRITES = (
    "import boto3, os; s3 = boto3.client('s3');"
    "s3.put_object(Bucket=os.environ['BUCKET'], Key='beside', Body=b'what only its owner should read');"
    "print(type(s3).__mro__[0].__name__, s3.get_object(Bucket=os.environ['BUCKET'], Key='beside')['Body'].read())"
)


def test_nothing_real_is_left(tmp_path: Path) -> None:
    """Whatever AWS will call its next variable: what is kept is listed, not what goes."""
    kept = {"PATH": "/bin", "AWS_REGION": "eu-west-1", "AWS_PAGER": "", "S3_BUCKET": "mine", "NO_PROXY": "x"}
    path = os.pathsep.join([str(launching.BOOTSTRAP), "/mine"])
    made = private_environment({**REAL, **kept, "PYTHONPATH": path}, URL, PAIR, region="eu-west-1", folder=tmp_path)
    assert "real" not in made.values()
    assert not [name for name in made if name.startswith(("S3EC_", "MC_", "RCLONE_"))]
    assert {name: made[name] for name in ("PATH", "AWS_REGION", "AWS_PAGER", "S3_BUCKET")} == {
        name: kept[name] for name in ("PATH", "AWS_REGION", "AWS_PAGER", "S3_BUCKET")
    }
    assert made["AWS_ENDPOINT_URL_S3"] == made["S3_ENDPOINT_URL"] == URL
    assert made["NO_PROXY"] == "x,127.0.0.1,localhost"
    assert made["PYTHONPATH"] == "/mine"
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        assert Path(made[name]).parent == tmp_path
    assert "PYTHONPATH" not in private_environment({}, URL, PAIR, region="x", folder=tmp_path)


def test_the_sdk_finds_the_endpoint_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through files too, where a program takes its variables away; other profiles are not there."""
    made = private_environment(REAL, URL, PAIR, region="eu-west-3", folder=tmp_path)
    for name in REAL:
        monkeypatch.delenv(name, raising=False)
    for name, value in made.items():
        if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, value)
    session = boto3.Session()
    found = session.get_credentials()
    assert found is not None
    assert (found.access_key, found.method) == (PAIR.access_key, "shared-credentials-file")
    assert session.available_profiles == ["default"]
    client = session.client("s3")
    assert client.meta.endpoint_url == URL
    signed = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert signed.startswith(f"{URL}/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    client.close()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sudo", "rclone"], "sudo"),
        (["env", "-i", "true"], "env -i"),
        (["env", "AWS_PROFILE=real", "true"], "AWS_PROFILE"),
        (["env", "S3_ENDPOINT_URL=x", "true"], "S3_ENDPOINT_URL"),
        (["no-such-command"], "no-such-command"),
    ],
)
def test_what_takes_the_environment_away_is_refused(command: list[str], words: str) -> None:
    """As far as the words show it."""
    with pytest.raises(ConfigurationError, match=words):
        launching.refuse_command(command, through_endpoint=True)


def test_what_needs_no_python_of_ours_may_run() -> None:
    """The environment alone leads to the endpoint."""
    launching.refuse_command(["env", "A=b", sys.executable, "-I", "-c", "pass"], through_endpoint=True)
    launching.refuse_command(["true"], through_endpoint=True)


@pytest.mark.slow
def test_a_program_that_knows_nothing_encrypts(launch: Callable[..., Any], stored: Callable[..., bool]) -> None:
    """Isolated from every Python path, as one of another language is; its code is the command's."""
    ended = launch("--serve", "--", sys.executable, "-I", "-c", f"{WRITES}; raise SystemExit(7)")
    assert (ended.code, ended.err) == (7, "")
    assert ended.out == "S3 b'what only its owner should read'\n"
    assert stored("beside")


@pytest.mark.slow
def test_a_command_sees_nothing_real_and_its_endpoint_ends_with_it(launch: Callable[..., Any]) -> None:
    """What escapes has only a key that AWS does not know."""
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    ended = launch("--serve", "--", sys.executable, "-c", code, changes={**REAL, "S3EC_RUN": None,
        "AWS_PROFILE": None, "AWS_DEFAULT_PROFILE": None, "S3EC_KMS_KEY": None, "AWS_ENDPOINT_URL": None,
        "AWS_WEB_IDENTITY_TOKEN_FILE": None, "AWS_ENDPOINT_URL_S3": URL})  # fmt: skip
    assert ended.code == 0, ended.err
    seen = json.loads(ended.out)
    assert "real" not in seen.values()
    assert seen["AWS_ACCESS_KEY_ID"].startswith("S3EC")
    assert not Path(seen["AWS_CONFIG_FILE"]).exists(), "the folder went with the command"
    host, port = seen["AWS_ENDPOINT_URL_S3"].removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=60).close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(environment: dict[str, str], tmp_path: Path, number: int) -> None:
    """And the code is the one that the command makes of it."""
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(41))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(60)"
    )
    words = [sys.executable, "-m", "s3ec", "run", "--serve", "--", sys.executable, "-c", code]
    with subprocess.Popen(
        words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=120) == 41


@pytest.mark.slow
def test_a_command_that_a_signal_ends(launch: Callable[..., Any]) -> None:
    """As shells say it."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert launch("--serve", "--", sys.executable, "-c", code).code == 128 + signal.SIGKILL


@pytest.mark.slow
def test_what_it_checks_before_the_command_begins(launch: Callable[..., Any], bucket_names: dict[str, str]) -> None:
    """Settings that mean nothing end in a sentence, and nothing of the command has run."""
    command = (sys.executable, "-c", "print('it ran')")
    ended = launch("--serve", "--", *command, changes={"S3EC_CONFIG": None})
    assert ended.code not in (0, 1)
    assert "it ran" not in ended.out
    checked = launch("--serve", "--check", "--bucket", bucket_names["plain"], "--", *command)
    assert checked.code == 0, checked.err
    assert "an endpoint of its own" in checked.out
    assert "plain, not encrypted" in checked.out
    assert "it ran" not in checked.out


@pytest.mark.slow
def test_a_bucket_that_no_rule_names_is_refused(launch: Callable[..., Any], bucket_names: dict[str, str]) -> None:
    """In words that reach the program."""
    ended = launch("--serve", "--", sys.executable, "-c", WRITES, changes={"BUCKET": bucket_names["unnamed"]})
    assert ended.code == 1
    assert "AccessDenied" in ended.err
