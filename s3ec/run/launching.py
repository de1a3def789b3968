"""How `s3ec run` starts a command: what it refuses to start, and the environment that it starts it in."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from s3ec.errors import ConfigurationError
from s3ec.rules.bucket_rules import FILE_VARIABLE
from s3ec.run.bootstrap.s3ec_children import letters

__all__ = ["BOOTSTRAP", "child_environment", "describe_client", "mark", "python_of", "refuse_command", "start"]

BOOTSTRAP = Path(__file__).parent / "bootstrap"
"""The folder that goes on PYTHONPATH."""

_PYTHON = re.compile(r"(python|pypy)[\d.]*(\.exe)?", re.IGNORECASE)
_UNREACHED = {
    "E": "without PYTHONPATH",
    "I": "in isolation, without PYTHONPATH",
    "S": "without the module site",
}


def python_of(command: Sequence[str]) -> tuple[str, list[str]] | None:
    """Say which Python a command starts, and with which words behind it.

    Args:
        command: its words.

    Returns:
        None if it is not Python, or nothing tells.

    Raises:
        ConfigurationError: there is no such command.
    """
    program = shutil.which(command[0])
    if program is None:
        if os.path.exists(command[0]) and os.path.dirname(command[0]):
            raise ConfigurationError(f"{command[0]} is not a program that may be run: chmod +x, or name what runs it")
        raise ConfigurationError(f"there is no command {command[0]}")
    if _PYTHON.fullmatch(os.path.basename(program)):
        return program, list(command[1:])
    words = _interpreter_line(Path(program))
    if words and os.path.basename(words[0]) == "env":
        words = list(itertools.dropwhile(lambda word: word.startswith("-") or "=" in word, words[1:]))
    if words and _PYTHON.fullmatch(os.path.basename(words[0])):
        return shutil.which(words[0]) or words[0], [*words[1:], program, *command[1:]]
    return None


def _interpreter_line(program: Path) -> list[str]:
    """The words after ``#!``; installers write paths that are too long for it into the second line."""
    with program.open("rb") as file:
        head = file.read(1024).decode("utf-8", "replace").splitlines()
    if not head or not head[0].startswith("#!"):
        return []
    if head[0].split()[:1] == ["#!/bin/sh"] and len(head) > 1 and head[1].startswith("'''exec'"):
        return [head[1].split()[1].strip('"')]
    return head[0][2:].split()


def refuse_command(command: Sequence[str], *, through_endpoint: bool = False) -> None:
    """Refuse a command that encryption would not reach, as far as its words show that.

    Args:
        command: its words.
        through_endpoint: encryption is in an endpoint, and the environment alone leads there: any Python will do.

    Raises:
        ConfigurationError: with the reason and the way out.
    """
    name = os.path.basename(command[0])
    if name == "sudo":
        raise ConfigurationError("sudo drops the environment that encryption travels in: sudo s3ec run -- …")
    if name == "env":
        _refuse_env(command, through_endpoint)
    python = python_of(command)
    if through_endpoint:
        return
    if python is None:
        if name in ("aws", "aws.exe") and _is_frozen(str(shutil.which(command[0]))):
            raise ConfigurationError(
                "this aws is the AWS CLI v2, a program with a Python of its own that nothing reaches from outside: use "
                "`s3ec serve`, and give aws its address (AWS_ENDPOINT_URL_S3); v1 (pip install awscli) works here"
            )
        return
    for letter in letters(python[1]):  # type: ignore[no-untyped-call]  # any Python understands that file
        if letter in _UNREACHED:
            raise ConfigurationError(
                f"python -{letter} starts {_UNREACHED[letter]}, so that its clients would not encrypt: leave it out"
            )


def _refuse_env(command: Sequence[str], through_endpoint: bool) -> None:
    for number, word in enumerate(command[1:], 1):
        if word in ("-i", "-", "--ignore-environment") or word.startswith(("-u", "--unset")):
            raise ConfigurationError(
                f"env {word} takes away the environment that encryption travels in: env … s3ec run -- …"
            )
        if word.startswith(("AWS_", "S3_ENDPOINT_URL=") if through_endpoint else ("PYTHONPATH=", "S3EC_")):
            raise ConfigurationError(f"env {word.partition('=')[0]}= comes too late: env {word} … s3ec run -- …")
        if not word.startswith("-") and "=" not in word:
            refuse_command(command[number:], through_endpoint=through_endpoint)
            return


def _is_frozen(program: str) -> bool:
    """True for a binary: v1 and Debian's v2 are scripts."""
    with Path(program).open("rb") as file:
        return not file.read(2).startswith(b"#!")


def child_environment(
    environ: Mapping[str, str], settings: Mapping[str, Any], *, config: os.PathLike[str] | None = None
) -> dict[str, str]:
    """Return the environment of the command, but for the mark of what was checked.

    Args:
        environ: the process's own.
        settings: what was named on the command line, by the names of `configuration.NAMES`, and ``profile``, ``region``
            and ``endpoint_url``.
        config: a file with rules that was named on the command line.
    """
    made = dict(environ)
    named = {name: value for name, value in settings.items() if value}
    keys = ("kms_key", "aes_key_file", "rsa_private_key_file", "rsa_public_key_file")
    if any(name in named for name in keys) or config is not None:
        # Everything that names a key counts as one setting: what was named here replaces it as a whole.
        for name in (*keys, "config", "buckets"):
            made.pop(f"S3EC_{name.upper()}", None)
    if config is not None:
        made[FILE_VARIABLE] = os.fspath(config)
    for name, variable in (("profile", "AWS_PROFILE"), ("endpoint_url", "AWS_ENDPOINT_URL")):
        if name in named:
            made[variable] = str(named.pop(name))
    if region := named.pop("region", None):
        made["AWS_DEFAULT_REGION"] = made["AWS_REGION"] = str(region)
    for name, value in named.items():
        made[f"S3EC_{name.upper()}"] = json.dumps(value) if isinstance(value, dict) else str(value)
    # Children may work in other folders.
    for name in ("config", "aes_key_file", "rsa_private_key_file", "rsa_public_key_file", "rsa_passphrase_file"):
        if path := made.get(f"S3EC_{name.upper()}"):
            made[f"S3EC_{name.upper()}"] = str(Path(path).expanduser().absolute())
    others = [place for place in made.get("PYTHONPATH", "").split(os.pathsep) if place and Path(place) != BOOTSTRAP]
    made["PYTHONPATH"] = os.pathsep.join([str(BOOTSTRAP), *others])
    made.pop("S3EC_RUN", None)
    return made


def mark(environ: Mapping[str, str] | None = None) -> str:
    """What this process has checked, in the words of the file that compares it in each child.

    Args:
        environ: the environment of the child; the process's own by default.
    """
    spec = importlib.util.spec_from_file_location("s3ec_bootstrap", BOOTSTRAP / "sitecustomize.py")
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file is part of the package
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.digest(os.environ if environ is None else environ))


def start(command: Sequence[str]) -> NoReturn:
    """Become the command, in the environment of this process, which was checked.

    Raises:
        OSError: it cannot be started.
    """
    os.environ["S3EC_RUN"] = mark()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":  # there another process would go on beside this one
        raise SystemExit(subprocess.run(list(command), check=False).returncode)  # noqa: S603 - the caller's command
    os.execvp(command[0], list(command))  # noqa: S606 - the caller's command


def describe_client(command: Sequence[str]) -> dict[str, Any] | None:
    """Make a client in the Python of a command, as a program would, and say what it is.

    Returns:
        ``python``, ``botocore``, ``encrypts``, ``client``, and ``asynchronous``: the same of a client of aiobotocore's,
        or None where it is not installed. None if the command is not Python, or nothing tells.

    Raises:
        ConfigurationError: that Python cannot encrypt, with the reason.
    """
    python = python_of(command)
    if python is None:
        return None
    words = [python[0], "-c", "from s3ec.run.checking import main; main()", "--client"]
    ended = subprocess.run(  # noqa: S603 - the Python of the caller's command
        words, env={**os.environ, "S3EC_RUN": mark()}, capture_output=True, text=True, check=False
    )
    lines = (ended.stdout if ended.returncode == 1 else ended.stderr).strip().splitlines() or ["it says nothing"]
    if ended.returncode:
        raise ConfigurationError(f"{python[0]}: {lines[-1].removeprefix('s3ec: ')}")
    found: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found
