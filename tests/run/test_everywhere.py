"""`s3ec.install_everywhere`: the one line that a program adds; and what `s3ec run` says and does as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

REFUSED = """
try:
    {call}
except s3ec.errors.ConfigurationError as error:
    print("refused:", error)
else:
    print("went on")
"""


@pytest.fixture
def script(environment: dict[str, str], tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a program that nothing was put in front of; gives the lines that it prints."""

    def run(code: str, **changes: str) -> list[str]:
        ended = subprocess.run(
            [sys.executable, "-c", "import boto3, botocore.session, s3ec\n" + code],
            env={**environment, **changes},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines()

    return run


def test_one_line(script: Callable[..., list[str]]) -> None:
    """By the environment: sessions that exist already are reached too; a second call changes nothing."""
    lines = script(
        "before = boto3.Session()\nboto3.setup_default_session()\nother = before.client('kms')\n"
        "s3ec.install_everywhere(); s3ec.install_everywhere()\n"
        "for client in (before.client('s3'), boto3.client('s3'), boto3.resource('s3').meta.client,\n"
        "               botocore.session.get_session().create_client('s3')):\n"
        "    print(type(client).__mro__[1].__name__, s3ec.is_encrypting(client))\n"
        "print(s3ec.is_encrypting(before), type(other).__mro__[1].__name__)\n"
        "before._session.get_component('event_emitter').unregister(\n"
        "    'creating-client-class', unique_id='s3ec-everywhere')\n" + REFUSED.format(call="before.client('s3')")
    )
    assert lines[:5] == ["RuledClient True"] * 4 + ["True BaseClient"]
    assert lines[5].startswith("refused: an S3 client that does not encrypt was made")


def test_options(script: Callable[..., list[str]]) -> None:
    """One set of options for all buckets, and no other set afterwards."""
    lines = script(
        "keyring = s3ec.AesKeyring(bytes(range(32)))\n"
        "s3ec.install_everywhere(keyring=keyring); s3ec.install_everywhere(keyring=keyring)\n"
        "import os\nclient = boto3.client('s3')\nplace = {'Bucket': os.environ['BUCKET'], 'Key': 'options'}\n"
        "client.put_object(**place, Body=b'secret')\n"
        "print(client.get_object(**place)['Body'].read(), type(client).__mro__[1].__name__)\n"
        "boto3.client('s3').upload_file(__import__('sys').executable, os.environ['BUCKET'], 'large')\n"
        + REFUSED.format(call="s3ec.install_everywhere()")
    )
    assert lines[0] == "b'secret' EncryptionClient"
    assert "with other options" in lines[1]


def test_what_it_refuses(script: Callable[..., list[str]]) -> None:
    """Clients that exist already, and settings that mean nothing; nothing is installed then."""
    calls = [
        "s3ec.install_everywhere(config='/nowhere/s3ec.toml')",
        "s3ec.install_everywhere(config='x', keyring=s3ec.AesKeyring(bytes(range(32))))",
        "kept.append(boto3.client('s3')); s3ec.install_everywhere()",
    ]
    lines = script(
        "kept = []\n"
        + "".join(REFUSED.format(call=call) for call in calls)
        + "print(type(boto3.client('s3')).__mro__[1])"
    )
    assert "cannot read /nowhere/s3ec.toml" in lines[0]
    assert "not both" in lines[1]
    assert "1 S3 client(s) that do not encrypt were made before" in lines[2]
    assert "RuledClient" not in lines[3]


def test_run(launch: Callable[..., Any], stored: Callable[[str], bool]) -> None:
    """A whole line: the command's own words, output and code come through."""
    code = (
        "import boto3, os, sys; print(sys.argv[1:]); client = boto3.client('s3');"
        "client.put_object(Bucket=os.environ['BUCKET'], Key='run', Body=b'what only its owner should read');"
        "sys.exit(7)"
    )
    ended = launch("--", sys.executable, "-c", code, "--check", "-I")
    assert (ended.code, ended.out) == (7, "['--check', '-I']\n"), ended.err
    assert stored("run")


def test_check(launch: Callable[..., Any], bucket_names: dict[str, str], kms_key: str) -> None:
    """Nothing is started; what a client would be is said, for each rule or for a bucket."""
    command = ("--", sys.executable, "-c", "print('started')")
    ended = launch("--check", "--json", *(f"--bucket={name}" for name in bucket_names.values()), *command)
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["client"]["python"], document["client"]["encrypts"]) == (sys.executable, True)
    assert [row["becomes"] for row in document["buckets"]] == [
        f"encrypted with {kms_key}",
        "plain, not encrypted",
        "refused",
    ]
    text = launch("--check", *command)
    assert "encrypts" in text.out
    assert "every other" in text.out
    assert "started" not in text.out


def test_check_of_what_is_not_python(launch: Callable[..., Any]) -> None:
    """It is said that nothing can be said of it."""
    ended = launch("--check", "--", "sh", "-c", "exit 3")
    assert ended.code == 0, ended.err
    assert "sh is not Python itself" in ended.out
    assert launch("--", "sh", "-c", "exit 3").code == 3


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--", sys.executable, "-I", "x.py"), 5, "python -I starts in isolation"),
        (("--", "no-such-command-anywhere"), 5, "there is no command"),
        (("--bucket", "b", "--", "sh"), 2, "--bucket is for --check"),
        ((), 2, "Missing argument"),
        (("--config", "/nowhere.toml", "--", "sh"), 5, "cannot read /nowhere.toml"),
    ],
)
def test_lines_that_start_nothing(launch: Callable[..., Any], words: tuple[str, ...], code: int, text: str) -> None:
    """One sentence, and a code of the command line's own."""
    ended = launch(*words)
    assert (ended.code, ended.out) == (code, "")
    assert text in ended.err
