"""What failures say: S3's own words, options of the command line, the next step; and never a traceback."""

from __future__ import annotations

import ast
import contextlib
import datetime
import os
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import s3ec
from s3ec import errors
from s3ec.cli.failures import ExitCode, describe, family_of
from s3ec.cli.words import in_options
from s3ec.migrate.work.ending import ended_by

from support.rsa import rsa_key


class Refusing(ThreadingHTTPServer):
    """An S3 that refuses everything, as AWS does: HEAD has no body, everything else says why."""

    answers: tuple[int, str, str, dict[str, str]] = (403, "AccessDenied", "Access Denied", {})

    def __init__(self) -> None:
        """Listen on loopback."""
        super().__init__(("127.0.0.1", 0), _Refuse)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Refuse(BaseHTTPRequestHandler):
    server: Refusing
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        status, code, message, headers = self.server.answers
        self.server.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        more = "<Region>eu-west-1</Region>" if code == "AuthorizationHeaderMalformed" else ""
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>".encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    """The server, while the test runs."""
    with contextlib.closing(Refusing()) as server:
        server.close = server.server_close  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


REFUSALS = [
    ((400, "ExpiredToken", "The provided token has expired.", {}), "sign in again"),
    ((403, "AccessDenied", "Access Denied", {}), "allow s3:"),
    ((403, "InvalidAccessKeyId", "The key does not exist.", {}), "get-caller-identity"),
    ((403, "RequestTimeTooSkewed", "The difference is too large.", {}), "get-caller-identity"),
    (
        (301, "PermanentRedirect", "Use the specified endpoint.", {"x-amz-bucket-region": "eu-west-1"}),
        "--region eu-west-1",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["audit", "head", "inspect", "ls", "rm", "cat", "cp", "verify", "rewrap"])
@pytest.mark.parametrize(("answer", "step"), REFUSALS, ids=lambda value: value[1] if isinstance(value, tuple) else "")
def test_s3s_own_words_and_a_next_step_everywhere(
    run: Any, key: Any, refusing: Refusing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    command: str, answer: Any, step: str,
):  # fmt: skip
    """HEAD has no body: HTTP's "Forbidden" and "Bad Request" would hide which of ten reasons it was."""
    refusing.answers = answer
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", refusing.url)
    url = "s3://bucket" if command in {"audit", "ls", "verify", "rewrap"} else "s3://bucket/key"
    more = {"cat": key, "verify": key, "cp": (tmp_path / "x", *key), "rewrap": ("--to-kms-key", key[1], "--yes")}
    ended = run(command, url, *more.get(command, ()))
    last = ended.err.splitlines()[-1]
    assert ended.code == 4
    assert f"{answer[1]}: {answer[2]}" in last
    assert step in last
    for words in ("Forbidden", "Bad Request", "Moved Permanently"):
        assert words not in ended.err


def test_a_head_that_is_answered_costs_nothing_more(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """A second request is only for a refusal, and an object that is not there is still not there."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"")
    assert run("head", f"s3://{bucket}/k").code == 0
    ended = run("head", f"s3://{bucket}/nope")
    assert ended.code == 3
    assert "NoSuchKey" in ended.line
    assert "NoSuchBucket" in run("head", "s3://bucket-that-is-not-there/k").line


@pytest.mark.slow
def test_an_expired_token_is_not_taken_for_sse_c(
    run: Any, key: Any, bucket: str, plain_s3: Any, refusing: Refusing, monkeypatch: pytest.MonkeyPatch
):
    """S3 answers 400 to both; a job that skipped every object as SSE-C would end as if it had looked."""
    from s3ec.migrate.work.ending import TaskEndedError

    error = ClientError({"Error": {"Code": "ExpiredToken"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "GetObject")
    assert ended_by(error) is None
    assert isinstance(ended_by(ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")), TaskEndedError)


@pytest.mark.parametrize(
    "value",
    ["127.0.0.1:5577", "localhost:9000", "ftp://host", "http://", "http://host:99999", "http://[::1", "", "x y", "//h"],
)
@pytest.mark.parametrize("command", ["ls", "audit", "cat"])
def test_an_endpoint_that_is_not_a_url(run: Any, command: str, value: str):
    """The commonest mistake with emulators: one line, and the URL that was probably meant."""
    more = ("--kms-key", "alias/k") if command == "cat" else ()
    ended = run(command, "s3://bucket/key", "--endpoint-url", value, *more)
    assert ended.code == 2
    assert "is not a URL" in ended.line
    if value.startswith(("127", "localhost")):
        assert f"http://{value}?" in ended.line


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_KMS"])
@pytest.mark.parametrize("command", ["ls", "audit", "cat", "cp", "verify", "migrate", "inspect"])
def test_an_endpoint_of_the_environment_that_is_not_a_url(
    run: Any, key: Any, command: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The same mistake in a variable."""
    monkeypatch.setenv(name, "127.0.0.1:5577")
    more = {"cat": key, "cp": (tmp_path / "x", *key), "verify": key, "migrate": (*key, "--yes")}
    asks_kms = command in {"cat", "cp", "verify", "migrate"}
    ended = run(command, "s3://bucket/key", *more.get(command, ()))
    if name.endswith("KMS") and not asks_kms:
        assert ended.code == 3
    else:
        assert ended.code == 5, ended.err
        assert "127.0.0.1:5577" in ended.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("ls s3://b/k --region bad!", 2),
        ("ls s3://b/k --region '-x'", 2),
        ("ls s3://b/k --region ''", 2),
        ("ls --profile nobody", 4),
        ("cat s3://bb/k --kms-key ''", 2),
        ("cat s3://bb/k --kms-key arn:aws:kms:nonsense", 5),
        ("verify s3://bucket --kms-key k --sample nan", 2),
        ("verify s3://bucket --kms-key k --sample 1e9", 2),
        ("verify s3://bucket --kms-key k --sample x", 2),
        ("migrate s3://bucket --kms-key k --kms-requests-per-second nan --yes", 2),
        ("migrate s3://bucket --kms-key k --kms-requests-per-second inf --yes", 2),
        ("migrate s3://bucket --kms-key k --workers 1e3 --yes", 2),
        ("migrate s3://bucket --kms-key k --processes -1 --yes", 2),
        ("migrate s3://bucket --kms-key k --keep-last-modified 'a b' --yes", 5),
        ("migrate s3://bucket --kms-key k --keep-last-modified x-amz-key --yes", 5),
        ("migrate s3://bucket --kms-key k --context aws:x-amz-cek-alg=x --yes", 5),
        (f"cat s3://bucket/{'k' * 1025} --kms-key k", 2),
        ("cat s3://bucket/\udcff --kms-key k", 2),
        ("ls s3://bucket/\udcff", 2),
    ],
)
def test_bad_values_are_one_line(run: Any, bucket: str, words: str, code: int, kms_key: str, plain_s3: Any):
    """A value that cannot be meant ends with one line and its code."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    ended = run(*shlex.split(words.replace("s3://bucket ", f"s3://{bucket} ").replace("-key k ", f"-key {kms_key} ")))
    assert ended.code == code, ended.err
    assert not re.search(r"keep_last_modified|key_id|EncryptionContext", ended.err)
    assert ended.err.startswith("s3ec: ")


@pytest.mark.parametrize(
    ("option", "content"),
    [("--journal", b"text"), ("--journal", b"SQLite format 3\0broken" * 100), ("--keys", b"\xff\xfe\0\n")],
)
def test_files_that_are_something_else(
    run: Any, key: Any, bucket: str, plain_s3: Any, tmp_path: Path, option: str, content: bytes
):
    """A journal that is not one, a list of keys that is not text: named, no traceback, nothing written."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    path = tmp_path / "file"
    path.write_bytes(content)
    ended = run("migrate", f"s3://{bucket}", *key, "--yes", option, path)
    assert ended.code in {3, 5, 11}, ended.err
    assert path.name in ended.err.splitlines()[-1]
    assert path.read_bytes() == content


@pytest.mark.parametrize("words", [("audit", "--html"), ("verify", "--events"), ("migrate", "--yes", "--journal")])
def test_files_that_cannot_be_written(run: Any, key: Any, bucket: str, plain_s3: Any, words: tuple[str, ...]):
    """The path that was given is named."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    more = () if words[0] == "audit" else key
    ended = run(words[0], f"s3://{bucket}", *more, *words[1:], "/proc/nowhere/file")
    assert ended.code in {3, 11}, ended.err
    assert "/proc/nowhere" in ended.err.splitlines()[-1]


STEPS = [
    (NoCredentialsError(), "--profile NAME"),
    (NoRegionError(), "--region NAME"),
    (ProfileNotFound(profile="nobody"), "aws configure list-profiles"),
    (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "AWS_ENDPOINT_URL"),
    (ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce your rate."}}, "GetObject"), "--workers"),
    (ClientError({"Error": {"Code": "UnrecognizedClientException", "Message": "m"}}, "Decrypt"), "get-caller-identity"),
]


@pytest.mark.parametrize(("error", "step"), STEPS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("by_kms", [False, True])
def test_credentials_region_and_network_are_four_with_a_next_step(error: Exception, step: str, by_kms: bool):
    """The same fault has the same code, whichever service met it first."""
    if by_kms:
        raised = errors.KeyringError(f"AWS KMS could not be asked: {error}")
        raised.__cause__ = error
        error = raised
        ended = ended_by(error)
        assert ended is None or family_of(str(ended.error)) is ExitCode.SERVICE
    failure = describe(error, "s3://b/k")
    assert failure.code is ExitCode.SERVICE
    assert step in failure.message
    assert ".:" not in failure.message
    assert failure.message.startswith("s3://b/k: ")


@pytest.mark.parametrize("command", ["ls", "cp", "cat", "audit", "verify", "migrate"])
def test_without_credentials(run: Any, key: Any, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Each command ends with 4 and says how to give some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "f").write_bytes(b"1")
    words = {
        "ls": ("s3://bucket",),
        "audit": ("s3://bucket",),
        "cp": (tmp_path / "f", "s3://bucket/k", *key),
        "cat": ("s3://bucket/k", *key),
        "verify": ("s3://bucket", *key),
        "migrate": ("s3://bucket", *key, "--yes"),
    }[command]
    ended = run(command, *words)
    assert ended.code == 4, ended.err
    assert "set AWS_PROFILE, or give --profile NAME" in ended.err


@pytest.mark.slow
def test_kms_that_cannot_be_reached(
    run: Any, key: Any, bucket: str, make_client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A network fault is the network's, and not the key's."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (tmp_path / "f").write_bytes(b"1")
    for words in (
        ("cat", f"s3://{bucket}/k", *key),
        ("cp", tmp_path / "f", f"s3://{bucket}/new", *key),
        ("verify", f"s3://{bucket}", *key),
    ):
        ended = run(*words)
        assert ended.code == 4, ended.err
        assert "127.0.0.1:9" in ended.err


@pytest.mark.slow
def test_a_refusal_of_kms_names_the_key_that_was_asked(run: Any, key: Any, bucket: str, make_client: Any, kms: Any):
    """KMS's own text is often empty: the key, and the question that helps, are ours to add."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1")
    other = kms.create_key()["KeyMetadata"]["Arn"]
    ended = run("cat", f"s3://{bucket}/k", "--kms-key", other)
    assert ended.code == 8
    assert f"under {other}" in ended.line
    assert "(Decrypt: AccessDeniedException)" in ended.line
    assert "is it the key the object was written with? `s3ec inspect` shows the context" in ended.line


def test_a_context_that_differs(run: Any, key: Any, bucket: str, make_client: Any):
    """The same name with another value is not a contradiction, and the way out is an option."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1", EncryptionContext={"team": "hr", "a": "b"})
    line = run("cat", f"s3://{bucket}/k", *key, "--context", "team=it", "--context", "a=b").line
    assert "the value of 'team' differs" in line
    assert "leave --context out to take them as they are" in line
    assert "STORED_CONTEXT" not in line
    assert "hr" not in line.replace("team=hr", "")
    line = run("cat", f"s3://{bucket}/k", *key, "--context", "team=hr").line
    assert "given 'team', stored 'team', 'a'" in line


def test_rsa_keys_of_other_kinds(run: Any, bucket: str, tmp_path: Path):
    """Each wrong file is recognised, named, and turned into the right one by a command to paste."""
    private = rsa_key()
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = (Encoding.PEM, PrivateFormat.PKCS8)
    files = {
        "openssh": (private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "ssh-keygen -p -m PEM"),
        "locked": (private.private_bytes(*pem, BestAvailableEncryption(b"secret")), "openssl rsa -in"),
        "elliptic": (elliptic.private_bytes(*pem, NoEncryption()), "another kind of key"),
        "public": (
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "--rsa-public-key",
        ),
        "text": (b"hello", "not a PEM private key"),
    }
    for name, (content, said) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        ended = run("cat", f"s3://{bucket}/k", "--rsa-private-key", path)
        assert ended.code == 5, (name, ended.err)
        assert said in ended.line, name
        assert str(path) in ended.line, name
        assert "private_key" not in ended.line.replace("--rsa-private-key", "")
    swapped = tmp_path / "swapped"
    swapped.write_bytes(private.private_bytes(*pem, NoEncryption()))
    ended = run("cp", tmp_path / "text", f"s3://{bucket}/k", "--rsa-public-key", swapped)
    assert ended.code == 5
    assert "holds a private key" in ended.line
    ssh = tmp_path / "id.pub"
    ssh.write_bytes(private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    assert "ssh-keygen -e -m PKCS8" in run("cp", tmp_path / "text", f"s3://{bucket}/k", "--rsa-public-key", ssh).line


PYTHON_NAMES = re.compile(
    r"\b(unencrypted_objects|enable_\w+|EncryptionContext|STORED_CONTEXT|private_key|public_key|keep_last_modified"
    r"|material_description|verified_range_limit|instruction_file_writes|bind_object=\w+|InstructionFileSuffix)\b"
)
UNREACHABLE = (
    "is for reads", "s3ec.open", "session encrypts already", "The pair", "instruction_file_reads=False",
    "materials_manager", "to a keyring", "RenameObject", "InstructionFileSuffix explicitly", "follow s3ec's",
    "algorithm_suite", "must map", "the pair", "copy under another name", "CopySource",
)  # fmt: skip
"""Texts about calls and options of Python that no command makes or gives."""


def texts() -> Iterator[tuple[str, str]]:
    """Every text of an error that a command can meet, with its place; values stand as "x"."""
    root = Path(s3ec.__file__).parent
    for path in sorted(root.rglob("*.py")):
        # The command line's own are in its words, and no command makes an asynchronous client or a file system.
        if {"cli", "aio", "fs"} & set(path.relative_to(root).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Error", "skip")):
                for argument in node.args[:1]:
                    yield (
                        f"{path.name}:{node.lineno}",
                        "".join(
                            part.value if isinstance(part, ast.Constant) else "x"
                            for part in (argument.values if isinstance(argument, ast.JoinedStr) else [argument])
                            if not isinstance(part, ast.Constant) or isinstance(part.value, str)
                        ),
                    )


@pytest.mark.slow
def test_no_message_speaks_python_to_whoever_types_commands():
    """Each text of an error that a command can meet names options where the library names arguments."""
    found = list(texts())
    assert len(found) > 150
    assert any(PYTHON_NAMES.search(text) for _, text in found)
    left = [
        (where, in_options(text))
        for where, text in found
        if PYTHON_NAMES.search(in_options(text)) and not any(part in text for part in UNREACHABLE)
    ]
    assert left == []


def test_botocores_frame_is_taken_off():
    """An outcome's text keeps the service's code, sentence and operation."""
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "GetObjectTagging")
    assert in_options(str(error)) == "AccessDenied: No. (GetObjectTagging)"
    assert in_options(f"evidence: {error}") == "evidence: AccessDenied: No. (GetObjectTagging)"
    assert in_options("nothing to translate") == "nothing to translate"


def test_a_bucket_that_is_missing_is_not_blamed_on_the_source():
    """The place in front of the line is the one that is missing."""
    error = ClientError(
        {"Error": {"Code": "NoSuchBucket", "Message": "no such bucket", "BucketName": "nobucket"}}, "ListObjectsV2"
    )
    assert describe(error, "s3://plain").message.startswith("s3://nobucket: NoSuchBucket")


def test_names_that_are_not_utf_8(run: Any, key: Any, bucket: str, tmp_path: Path):
    """A local name that cannot be a key is one line."""
    path = os.fsencode(tmp_path) + b"/\xff"
    with open(path, "wb") as file:
        file.write(b"1")
    ended = run("cp", os.fsdecode(path), f"s3://{bucket}/", *key)
    assert ended.code == 5
    assert "UTF-8" in ended.line


@pytest.mark.slow
def test_head_and_inspect_speak_to_people(run: Any, bucket: str, make_client: Any, plain_s3: Any):
    """No braces, no None, no empty heading, and nothing that looks like a finding where nothing was read."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"1", EncryptionContext={"team": "hr"})
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"1", Metadata={"a": "b"})
    for command in ("head", "inspect"):
        for name in ("k", "p"):
            text = run(command, f"s3://{bucket}/{name}").text
            assert not re.search(r"[{}]|None|True|False|authenticated|datetime", text), text
            assert not re.search(r":$\n(?!  )", text, re.MULTILINE)
    text = run("head", f"s3://{bucket}/k").text
    assert "    team: hr\n" in text
    assert re.search(r"LastModified: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", text)
    assert "format: not encrypted by a client" in run("inspect", f"s3://{bucket}/p").text
    assert run("inspect", f"s3://{bucket}/p", "--json").json["format"] is None
    moment = run("head", f"s3://{bucket}/k", "--json").json["LastModified"]
    assert datetime.datetime.fromisoformat(moment).tzinfo is not None


@pytest.mark.parametrize(
    "value", ["foo", "5-2", "bytes=0-3", "-0", "-", "", "0-3,5-6", "1-x", "\u0661-2", "+1-2", " 1-2"]
)
def test_a_range_that_is_none(run: Any, key: Any, bucket: str, make_client: Any, value: str):
    """S3 ignores a bad Range header: a hundred gigabytes in place of four bytes."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    ended = run("cat", f"s3://{bucket}/k", *key, f"--range={value}")
    assert (ended.code, ended.out) == (2, b"")
    assert "is not a range: A-B, A- or -N" in ended.line


@pytest.mark.parametrize(
    ("value", "content"),
    [("2-4", b"234"), ("7-", b"789"), ("-2", b"89"), ("0-99", b"0123456789"), ("-99", b"0123456789")],
)
def test_ranges(run: Any, key: Any, bucket: str, make_client: Any, value: str, content: bytes):
    """All three forms, of the plaintext."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    assert run("cat", f"s3://{bucket}/k", *key, f"--range={value}").out == content


def test_a_range_past_the_end_is_the_callers(run: Any, key: Any, bucket: str, make_client: Any, plain_s3: Any):
    """AWS said no to nobody: usage, with the length that the object has."""
    make_client().put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    ended = run("cat", f"s3://{bucket}/k", *key, "--range", "100-200")
    assert (ended.code, ended.out) == (2, b"")
    assert "--range 100-200 lies past the end of the object: it has 10 bytes" in ended.line
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"12")
    ended = run("cat", f"s3://{bucket}/p", *key, "--allow-unencrypted", "--range", "5-")
    assert ended.code == 2
