"""Bad input: one clear line on standard error, the exit code of its family, and never a traceback."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from s3transfer.exceptions import RetriesExceededError

from s3ec import errors
from s3ec.cli.failures import ERRORS, ExitCode, combined, describe, family_of
from s3ec.client.transfers.download_targets import DownloadFailed
from s3ec.transport import UnreadableAnswerError

ABSENT = "bucket-that-is-not-there"


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("cat",),
        ("cat", "s3://b/k", "--no-such-option"),
        ("cat", "s3://b/k"),
        ("cat", "s3://b/k", "--kms-key", "k", "--aes-key-file", "f"),
        ("cat", "s3://b/k", "--kms-key", "k", "--json"),
        ("cat", "not-a-url", "--kms-key", "k"),
        ("cat", "s3:/b/k", "--kms-key", "k"),
        ("cat", "s3://UPPER_CASE!/k", "--kms-key", "k"),
        ("cat", "s3://bucket-alone", "--kms-key", "k"),
        ("cat", "https://bucket/key", "--kms-key", "k"),
        ("cp", "a", "b", "--kms-key", "k"),
        ("cp", "-", "s3://bucket/folder/", "--kms-key", "k"),
        ("cp", "-", "s3://bucket/x", "--recursive", "--kms-key", "k"),
        ("cp", "s3://bucket", "here", "--kms-key", "k"),
        ("cp", "s3://bucket/x", "here", "--include", "*", "--kms-key", "k"),
        ("cp", "s3://bucket/x", "-", "--json", "--kms-key", "k"),
        ("rm", "s3://bucket"),
        ("ls", "s3://bucket", "--context", "no-equals-sign"),
        ("ls", "s3://bucket", "--context", "a=1", "--context", "a=2"),
        ("ls", "s3://bucket", "--workers", "0"),
        ("migrate", "s3://bucket"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--inventory", "s3://b/m", "--keys", "f", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--engine", "s3-batch", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--plan"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--engine", "local", "--engine-address", "x", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--sse-kms-key", "k", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--no-bucket-key", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--sse", "aws:kms", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--sse", "dsse-kms", "--bucket-key", "--yes"),
        ("migrate", "s3://bucket", "--kms-key", "k", "--sse", "sse-s3", "--sse-kms-key", "k", "--yes"),
        ("rewrap", "s3://bucket", "--yes"),
        ("rewrap", "s3://bucket", "--to-kms-key", "k", "--to-aes-key-file", "f", "--yes"),
        ("verify", "s3://bucket", "--kms-key", "k", "--sample", "0"),
        ("sse", "set", "s3://bucket", "--yes"),
        ("sse", "set", "s3://bucket", "--mode", "dsse-kms", "--bucket-key", "--yes"),
        ("sse", "set", "s3://bucket", "--mode", "sse-s3", "--sse-kms-key", "k", "--yes"),
        ("completion",),
        ("completion", "powershell"),
    ],
)
def test_two_is_for_usage_alone(run: Any, words: tuple[str, ...]):
    """A wrong command line ends with 2 and one line that names the help page, before anything is tried."""
    ended = run(*words)
    assert ended.code == 2
    assert "--help)" in ended.line
    assert ended.line.startswith("s3ec: ")
    # Nor an escaped line break, of a message that was laid out for a terminal.
    assert "\\n" not in ended.line
    if "--json" in words:
        assert ended.json["error"]["code"] == 2
    else:
        assert ended.out == b""


@pytest.mark.parametrize("command", ["ls", "audit", "inspect", "head", "cat", "rm", "verify", "migrate", "cp"])
def test_an_absent_bucket(run: Any, key: Any, command: str, tmp_path: Path):
    """Every command says that the bucket is not there."""
    url = f"s3://{ABSENT}" if command in {"ls", "audit", "verify", "migrate"} else f"s3://{ABSENT}/k"
    keyed = {"cp": (str(tmp_path / "x"), *key), "migrate": (*key, "--yes"), "cat": key, "verify": key}
    more = keyed.get(command, ())
    ended = run(command, url, *more)
    assert ended.code == 3, ended.err
    assert ABSENT in ended.err.splitlines()[-1]


@pytest.mark.parametrize("command", ["inspect", "head", "cat", "rm", "cp"])
def test_an_absent_object(run: Any, key: Any, command: str, bucket: str, tmp_path: Path):
    """Every command that names one object says that it is not there."""
    more = {"cp": (tmp_path / "x", *key), "cat": key}.get(command, ())
    ended = run(command, f"s3://{bucket}/nope", *more)
    assert ended.code == 3
    assert f"s3://{bucket}/nope" in ended.line
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("ls",),
        ("audit",),
        ("verify",),
        ("migrate", "--yes"),
        ("migrate", "--dry-run"),
        ("rm", "--recursive"),
        ("rm", "--recursive", "--dry-run"),
        ("cp", "--recursive"),
        ("rewrap", "--yes"),
        ("rewrap", "--dry-run"),
        ("purge-plaintext-versions",),
    ],
    ids=" ".join,
)
def test_a_prefix_under_which_nothing_lies(
    run: Any, key: Any, words: tuple[str, ...], bucket: str, tmp_path: Path, plain_s3: Any
):
    """A mistyped prefix must not look like success, in a dry run either."""
    plain_s3.put_object(Bucket=bucket, Key="other", Body=b"1")
    command, *options = words
    more = {"cp": (tmp_path / "x", *key), "rewrap": ("--to-kms-key", key[1]), "ls": (), "audit": (), "rm": ()}
    ended = run(command, f"s3://{bucket}/typo", *more.get(command, key), *options)
    assert ended.code == 3
    assert "nothing lies under this name" in ended.err.splitlines()[-1]


@pytest.mark.slow
def test_what_is_absent_is_named_though_it_is_not_the_source(run: Any, key: Any, bucket: str, plain_s3: Any):
    """A destination or an inventory that is not there: the line names it, and not the source alone."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    ended = run("migrate", f"s3://{bucket}", f"s3://{ABSENT}", *key, "--yes")
    assert ended.code == 3
    assert ABSENT in ended.err.splitlines()[-1]
    ended = run("migrate", f"s3://{bucket}", "--inventory", f"s3://{bucket}/typo/manifest.json", *key, "--yes")
    assert ended.code == 3
    assert "typo/manifest" in ended.err.splitlines()[-1]


@pytest.mark.slow
def test_absent_files(run: Any, key: Any, bucket: str, tmp_path: Path):
    """Local files that are not there, folders in their place, and key files alike."""
    absent = tmp_path / "absent"
    assert str(absent) in run("cp", absent, f"s3://{bucket}/k", *key).line
    for words in (
        ("cp", absent, f"s3://{bucket}/k", *key),
        ("cp", absent, f"s3://{bucket}/k", "--recursive", *key),
        ("cp", tmp_path, f"s3://{bucket}/k", *key),
        ("cat", f"s3://{bucket}/k", "--aes-key-file", absent),
        ("cat", f"s3://{bucket}/k", "--rsa-private-key", absent),
        ("verify", f"s3://{bucket}", "--keys", absent, *key),
    ):
        ended = run(*words)
        assert ended.code == 3, ended.err
        assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"", b"short", b"0123456789abcdef0123456789abcdef", base64.b64encode(bytes(32)), bytes(range(128, 159))]
)
def test_a_file_that_is_no_aes_key(run: Any, bucket: str, tmp_path: Path, content: bytes):
    """Text is not taken for a key, even where its length would do; other lengths are refused."""
    path = tmp_path / "key"
    path.write_bytes(content)
    ended = run("cat", f"s3://{bucket}/k", "--aes-key-file", path)
    assert ended.code == 5
    assert str(path) in ended.line
    assert content[8:].decode("latin-1") not in ended.line or len(content) < 9


def test_an_unencrypted_object(run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path):
    """Plaintext is refused, and shown only with the explicit opt-in."""
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"open")
    ended = run("cat", f"s3://{bucket}/p", *key)
    assert (ended.code, ended.out) == (6, b"")
    assert "--allow-unencrypted" in ended.line
    assert run("cp", f"s3://{bucket}/p", tmp_path / "x", *key).code == 6
    assert run("cat", f"s3://{bucket}/p", "--allow-unencrypted", *key).out == b"open"


def test_a_legacy_object_names_the_option(run: Any, key: Any, bucket: str, plain_s3: Any):
    """An object in V1 is refused by policy, with the option that reads it."""
    metadata = {"x-amz-key": base64.b64encode(bytes(48)).decode(), "x-amz-iv": base64.b64encode(b"1" * 16).decode()}
    plain_s3.put_object(Bucket=bucket, Key="v1", Body=bytes(32), Metadata=metadata)
    ended = run("cat", f"s3://{bucket}/v1", *key)
    assert ended.code == 7
    assert "--allow-legacy" in ended.line


def test_an_object_of_another_key(run: Any, key: Any, bucket: str, tmp_path: Path, make_client: Any):
    """A data key that does not open is the key family's."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    (tmp_path / "aes").write_bytes(os.urandom(32))
    assert run("cat", f"s3://{bucket}/k", "--aes-key-file", tmp_path / "aes").code == 8


def test_forged_metadata(run: Any, key: Any, bucket: str, plain_s3: Any):
    """Metadata of two formats is evidence of tampering."""
    plain_s3.put_object(
        Bucket=bucket, Key="f", Body=b"1", Metadata={"x-amz-key": "AA==", "x-amz-key-v2": "AA==", "x-amz-iv": "AA=="}
    )
    assert run("cat", f"s3://{bucket}/f", *key).code == 9


def test_no_connection(run: Any, key: Any, monkeypatch: pytest.MonkeyPatch):
    """An address at which nothing listens is the service family's."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ended = run("cat", "s3://bucket/key", "--endpoint-url", "http://127.0.0.1:9", *key)
    assert ended.code == 4
    assert "127.0.0.1:9" in ended.line


def test_an_unknown_profile(run: Any):
    """A profile that is not configured is named."""
    ended = run("ls", "--profile", "nobody")
    assert ended.code == 4
    assert "nobody" in ended.line


def test_json_errors_are_one_document(run: Any, key: Any):
    """With --json a failure is one document, too, and standard error keeps its line."""
    ended = run("ls", f"s3://{ABSENT}", "--json")
    assert ended.json["error"]["code"] == 3
    assert ended.json["error"]["error"] == "NoSuchBucket"
    assert ABSENT in ended.line


def test_every_error_of_ours_has_a_family():
    """Each class of the hierarchy maps to a code of its family, and none to usage."""
    for name in errors.__all__:
        code = family_of(name)
        assert code not in {ExitCode.DONE, ExitCode.USAGE, ExitCode.LEFT_UNDONE, ExitCode.SERVICE}, name
    assert family_of("AuthenticationError") is ExitCode.SECURITY
    assert family_of("AccessDenied") is ExitCode.SERVICE


def test_many_codes_become_one():
    """One family keeps its code, a mixture is 1, tampering is never hidden."""
    assert combined([]) is ExitCode.DONE
    assert combined([ExitCode.POLICY, ExitCode.POLICY]) is ExitCode.POLICY
    assert combined([ExitCode.POLICY, ExitCode.KEYRING]) is ExitCode.LEFT_UNDONE
    assert combined([ExitCode.POLICY, ExitCode.SECURITY, ExitCode.SERVICE]) is ExitCode.SECURITY


def test_messages_are_one_line_of_printable_text():
    """Line breaks and escape sequences in a foreign text do not reach the terminal."""
    error = ClientError({"Error": {"Code": "Odd", "Message": "a\nb\x1b[31m"}}, "GetObject")
    failure = describe(error, "s3://b/k")
    assert failure.message == "s3://b/k: Odd: a b\\x1b[31m (GetObject)"
    assert describe(NoCredentialsError()).code is ExitCode.SERVICE
    assert json.dumps(failure.document())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnreadableAnswerError("what came back cannot be read"), ExitCode.SERVICE),
        (RetriesExceededError(ValueError("text")), ExitCode.SERVICE),
        # An older s3transfer has no error of its own for it, and S3's is among the others.
        *([] if DownloadFailed is ClientError else [(DownloadFailed("did not match expected ETag"), ExitCode.SERVICE)]),
    ],
)
def test_what_a_lying_server_brings(error: Exception, code: ExitCode):
    """An answer that is none, and an object that is replaced all the time, are the service's doing, and one line."""
    assert isinstance(error, ERRORS)
    assert describe(error, "s3://b/k").code is code
