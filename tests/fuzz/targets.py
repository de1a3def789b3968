"""What is fuzzed: everything of s3ec that reads what somebody else wrote.

A target takes any bytes. It returns, or it raises something that `run` does not expect: that is a finding. What a
target expects is a value, or an error of ours, and nothing else; a value has to survive being written and read again.
Nothing here needs a fuzzer: `tests/fuzz/test_targets.py` feeds the corpus, `tests/fuzz/run.py` lets atheris explore.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from s3ec import AesKeyring, formats
from s3ec.algorithms import WrappingAlgorithm
from s3ec.cli.failures import FailureError
from s3ec.cli.main import cli
from s3ec.cli.output import Output
from s3ec.client.server_side.rules import _decode_context
from s3ec.client.tools import resumable_format
from s3ec.client.tools.presigned import PresignedUpload
from s3ec.crypto import rsa_keys, wrapping
from s3ec.errors import S3ECError
from s3ec.formats import double_encoding
from s3ec.keyrings.arn import parse_arn
from s3ec.migrate import Action, KeyringSpec, Location, MigrationSettings
from s3ec.migrate.journal.journal import Journal
from s3ec.migrate.model import Outcome, Task
from s3ec.migrate.work.object_lists import KeyFile
from s3ec.s3.range_header import parse_content_range, parse_range

__all__ = ["TARGETS", "run"]

KEY = bytes(32)
SETTINGS = MigrationSettings(
    action=Action.VERIFY, source=Location(bucket="b"), keyring=KeyringSpec(kind="kms", key_id="k")
)
RSA_KEYS = Path(__file__).resolve().parents[1] / "vectors" / "ruby3" / "keys.json"


def _text(data: bytes) -> str:
    """As an HTTP stack gives header values: bytes as Latin-1; what begins with ``u`` as real Unicode."""
    return data[1:].decode("utf-8", "replace") if data.startswith(b"u") else data.decode("latin-1")


def _headers(data: bytes) -> dict[str, str]:
    """One header a line."""
    pairs = (line.partition(b": ") for line in data.split(b"\n") if line)
    return {name.decode("latin-1"): _text(value) for name, _, value in pairs}


def metadata(data: bytes) -> None:
    """User metadata of an object: what is understood can be written and is read again as the same."""
    headers = _headers(data)
    formats.detect(headers)
    with contextlib.suppress(S3ECError):
        formats.refuse_remnants(headers)
    formats.strip(headers)
    found = formats.parse_object(headers)
    assert formats.parse_object(formats.render_object(found)) == found


def instruction_file(data: bytes) -> None:
    """An object's headers, an empty line, and what lies under the instruction file's name."""
    head, _, body = data.partition(b"\n\n")
    headers = _headers(head)
    formats.is_instruction_file_body(body)
    for marked in (False, True):
        with contextlib.suppress(S3ECError):
            formats.judge_instruction_file(body, headers, is_marked=marked)
    found = formats.parse_instruction_file(body, headers)
    own, again = formats.render_instruction_file(found)
    assert formats.parse_instruction_file(again, own) == found


def double_encoding_of_headers(data: bytes) -> None:
    """Header values that S3 encoded twice, or did not: never an error, and never longer."""
    text = _text(data)
    repaired = double_encoding.repair(text)
    assert len(repaired) <= len(text)
    assert not text.isascii() or "=?" in text or repaired == text


def range_header(data: bytes) -> None:
    """A caller's Range and a server's Content-Range."""
    asked, _, answered = data.decode("latin-1").partition("\n")
    found = parse_range(asked)
    if found is not None:
        for length in (0, 1, 15, 16, 17, 2**40):
            inside = found.within(length)
            assert inside is None or 0 <= inside[0] <= inside[1] < length
        widened = found.widened(16, 16)
        assert parse_range(str(widened)) == widened
    content = parse_content_range(answered)
    assert 0 <= content.first <= content.last < content.total < 10**19
    assert parse_content_range(str(content)) == content


@functools.cache
def _rsa() -> rsa_keys.RSAPrivateKey:
    return rsa_keys.private_key(json.loads(RSA_KEYS.read_text("utf-8"))["rsa2048"]["private_pem"])


def keys(data: bytes) -> None:
    """Keys as text and as bytes, names of keys, and encrypted data keys under each wrapping."""
    kind, rest = data[:1], data[1:]
    if kind == b"p":
        rsa_keys.private_key(rest)
    elif kind == b"P":
        rsa_keys.public_key(rest)
    elif kind == b"x":
        rsa_keys.private_key(rest, b"passphrase")
    elif kind == b"a":
        AesKeyring(rest)
    elif kind == b"n":
        parse_arn(rest.decode("utf-8", "replace"))
    else:
        algorithms = [algorithm for algorithm in WrappingAlgorithm if algorithm.family in ("aes", "rsa")]
        algorithm = algorithms[(kind or b"\0")[0] % len(algorithms)]
        key = _rsa() if algorithm.family == "rsa" else KEY
        assert len(wrapping.unwrap(algorithm, key, rest, "AES/GCM/NoPadding", (32,))) == 32


def ticket(data: bytes) -> None:
    """A presigned upload that was handed over as text, and the context of a request for SSE-KMS."""
    with contextlib.suppress(S3ECError):
        _decode_context(data.decode("latin-1"))
    PresignedUpload.from_json(data.decode("utf-8", "replace"))


def resumable_state(data: bytes) -> None:
    """The state of an upload that was saved; its sealed half opens under no key but its own."""
    _, sealed, header = resumable_format.read_header(data)
    resumable_format.parse(KEY, sealed, header)
    raise AssertionError("a state opened that was never sealed")


def journal(data: bytes) -> None:
    """A database that may be a journal, lists of objects, and what a worker in another process answers."""
    kind, rest = data[:1], data[1:]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:  # noqa: S108, PTH112
        suffix = {b"c": "csv", b"j": "jsonl", b"k": "txt"}.get(kind, "db")
        path = os.path.join(folder, f"file.{suffix}")  # noqa: PTH118
        Path(path).write_bytes(rest)
        if kind == b"o":
            for type_of in (Outcome, Task, MigrationSettings):
                with contextlib.suppress(S3ECError):
                    found = type_of.from_json(rest)
                    assert type_of.from_json(found.to_json()) == found
        elif suffix == "db":
            Journal.open(path, SETTINGS).close()
        else:
            assert all(isinstance(task.key, str) for task in KeyFile(path, "b"))


def arguments(data: bytes) -> None:
    """Words of a command line, parted by line feeds: parsed by the command that they name, which is not run."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\n")]
    if any(word.startswith("@") for word in words):
        return
    output = Output(as_json="--json" in words)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        context = cli.make_context("s3ec", words, obj=output)
        own = vars(context)  # click 8.2 renamed what its groups keep there
        rest = [*own.get("_protected_args", own.get("protected_args", [])), *context.args]
        if not rest:
            return
        name, command, rest = cli.resolve_command(context, rest)
        assert command is not None
        command.make_context(name, rest, parent=context)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "metadata": metadata,
    "instruction_file": instruction_file,
    "double_encoding": double_encoding_of_headers,
    "range_header": range_header,
    "keys": keys,
    "ticket": ticket,
    "resumable_state": resumable_state,
    "journal": journal,
    "arguments": arguments,
}
"""By the name of their corpus."""

EXPECTED = (S3ECError, FailureError, click.ClickException, click.exceptions.Exit, click.Abort)
"""What is an answer. Of click's own: bad usage, and the end of --help."""


def run(name: str, data: bytes) -> None:
    """One input through one target."""
    with contextlib.suppress(*EXPECTED):
        TARGETS[name](data)
