"""A run in which no object can succeed stops early, says why once, and counts; one that may go on does."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)

from s3ec.cli import stopping
from s3ec.cli.repeats import NAMED
from s3ec.errors import EncryptionContextMismatchError, KeyUnwrapError
from s3ec.errors import KeyringError as KeyRefused

from support.proxy import Answer, Fault, Proxy, Request, proxy

MANY = 70
ABSENT = "alias/nobody-made-it"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of small files."""
    path = tmp_path / "many"
    path.mkdir()
    for number in range(MANY):
        (path / f"{number:03}").write_bytes(b"x")
    return path


@pytest.fixture
def between(endpoint: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before moto, through which the command lines of the test go."""
    with proxy(endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        environment["AWS_ENDPOINT_URL"] = running.url
        yield running


def puts(seen: Proxy) -> int:
    """How many objects were sent."""
    return sum(request.method == "PUT" for request in seen.seen)


def answering(method: str, status: int, body: bytes, *, after: int = 0) -> Fault:
    """Refuse every request of this method but the first ones."""
    lock, count = threading.Lock(), [0]

    def fault(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.method != method:
            return ask()
        with lock:
            count[0] += 1
            is_refused = count[0] > after
        return Answer(status, {"Content-Type": "application/xml"}, body) if is_refused else ask()

    return fault


@pytest.mark.parametrize("command", [("cp", "--recursive"), ("mv", "--recursive"), ("sync",)])
def test_a_missing_bucket_stops(run: Any, key: Any, between: Proxy, folder: Path, command: tuple[str, ...]):
    """One line with the reason, one with a count; few requests, and no file that was to move is gone."""
    target = "s3://there-is-no-such-bucket-here/to/"
    ended = run(*command, folder, target, *key, "--workers", "2")
    assert ended.code == 3
    lines = ended.err.splitlines()
    assert sum("NoSuchBucket" in line and "more with" not in line for line in lines) <= 1
    assert "NoSuchBucket" in ended.err or "there is no such bucket" in ended.err
    assert puts(between) <= 4
    assert len(list(folder.iterdir())) == MANY


@pytest.mark.parametrize("command", [("cp", "--recursive"), ("mv", "--recursive"), ("sync",)])
@pytest.mark.parametrize("state", ["absent", "disabled"])
@pytest.mark.parametrize("upwards", [True, False])
def test_a_key_that_cannot_be_used_stops_before_the_first_object(
    run: Any,
    kms: Any,
    bucket: str,
    make_client: Any,
    between: Proxy,
    folder: Path,
    tmp_path: Path,
    command: tuple[str, ...],
    state: str,
    upwards: bool,
):
    """One line; nothing is read and nothing is written."""
    name = ABSENT
    if state == "disabled":
        about = kms.create_key()["KeyMetadata"]
        kms.disable_key(KeyId=about["KeyId"])
        name = about["Arn"]
    make_client().put_object(Bucket=bucket, Key="in/one", Body=b"1")
    ends = (folder, f"s3://{bucket}/out/") if upwards else (f"s3://{bucket}/in/", tmp_path / "down")
    ended = run(*command, *ends, "--kms-key", name)
    assert ended.code == 8
    assert name in ended.line
    assert puts(between) == 0
    assert not (tmp_path / "down").exists()
    assert len(list(folder.iterdir())) == MANY


def test_a_key_that_is_denied_stops(run: Any, bucket: str, key: Any, between: Proxy, folder: Path):
    """KMS describes the key and makes no data key: the first object tells it for all."""

    def fault(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.headers.get("X-Amz-Target", request.headers.get("x-amz-target", "")).endswith("GenerateDataKey"):
            headers = {"Content-Type": "application/x-amz-json-1.1"}
            return Answer(400, headers, b'{"__type": "AccessDeniedException", "Message": "not you"}')
        return ask()

    between.fault = fault
    ended = run("cp", "--recursive", folder, f"s3://{bucket}/", *key, "--workers", "2", "--json")
    assert ended.code == 8
    assert 1 <= len(ended.json["failed"]) <= 2
    assert ended.json["stopped_early"] is True
    lines = ended.err.splitlines()
    assert "AccessDeniedException" in lines[0]
    assert "not tried" in lines[-1]
    assert len(lines) <= 3
    assert puts(between) == 0


@pytest.mark.parametrize("command", [("cp", "--recursive"), ("sync",)])
def test_credentials_that_expire_stop_what_is_left(
    run: Any, bucket: str, key: Any, between: Proxy, folder: Path, plain_s3: Any, command: tuple[str, ...]
):
    """What was done stays done and is counted; the rest is not tried."""
    between.fault = answering("PUT", 400, EXPIRED, after=5)
    ended = run(*command, folder, f"s3://{bucket}/", *key, "--workers", "2")
    assert ended.code == 4
    lines = ended.err.splitlines()
    assert "ExpiredToken" in lines[0]
    assert "sign in again" in lines[0]
    assert "not tried" in lines[-1]
    assert len(lines) <= 3
    assert ended.text.count("copied") == plain_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5
    assert puts(between) <= 5 + 2


@pytest.mark.slow
def test_denials_without_a_success_stop_in_the_end(run: Any, bucket: str, key: Any, between: Proxy, folder: Path):
    """S3 may deny one prefix alone; after so many and nothing else, it denies all of them."""
    between.fault = answering("PUT", 403, DENIED)
    ended = run("cp", "--recursive", folder, f"s3://{bucket}/", *key, "--workers", "1")
    assert ended.code == 4
    assert len(ended.err.splitlines()) == NAMED + 2
    assert "more with the same reason: AccessDenied" in ended.err
    assert stopping.ALIKE <= puts(between) < MANY


@pytest.mark.slow
def test_denials_after_a_success_stop_nothing(run: Any, bucket: str, key: Any, between: Proxy, folder: Path):
    """A part of the objects may be allowed: every one is tried, as a failure stops no other."""
    between.fault = answering("PUT", 403, DENIED, after=1)
    ended = run("cp", "--recursive", folder, f"s3://{bucket}/", *key, "--workers", "1", "--json")
    assert len(ended.json["failed"]) == MANY - 1
    assert ended.json["stopped_early"] is False
    assert puts(between) == MANY


@pytest.mark.slow
def test_rm_stops_too(run: Any, bucket: str, between: Proxy, plain_s3: Any):
    """Deletions are steps like any other."""
    for number in range(MANY):
        plain_s3.put_object(Bucket=bucket, Key=f"{number:03}", Body=b"x")
    between.fault = answering("DELETE", 400, EXPIRED)
    ended = run("rm", "--recursive", f"s3://{bucket}/", "--workers", "1")
    assert ended.code == 4
    assert "stopped" in ended.err.splitlines()[-1]
    assert sum(request.method == "DELETE" for request in between.seen) < MANY
    assert len(ended.err.splitlines()) == NAMED + 2 or len(ended.err.splitlines()) <= NAMED + 1


def test_purge_asks_for_its_key_first(run: Any, bucket: str, plain_s3: Any):
    """Without the key nothing can be compared: one line, before the first version."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    ended = run("purge-plaintext-versions", f"s3://{bucket}", "--kms-key", ABSENT)
    assert ended.code == 8
    assert ABSENT in ended.line


@pytest.mark.slow
def test_purge_says_one_reason_a_few_times(run: Any, bucket: str, plain_s3: Any, key: Any):
    """Every version stands in the document."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(NAMED + 4):
        for _ in range(2):
            plain_s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    ended = run("purge-plaintext-versions", f"s3://{bucket}", *key, "--json")
    lines = [line for line in ended.err.splitlines() if line]
    assert len(lines) == NAMED + 1
    assert "and 4 more with the same reason: is kept" in lines[-1]
    assert len(ended.json["versions"]) == NAMED + 4


def refused(code: str, operation: str) -> KeyRefused:
    """What a keyring raises when KMS says no."""
    error = KeyRefused("AWS KMS refused")
    error.__cause__ = ClientError({"Error": {"Code": code}}, operation)
    return error


@pytest.mark.parametrize(
    ("error", "all_of_them"),
    [
        (ClientError({"Error": {"Code": "NoSuchBucket"}}, "PutObject"), True),
        (ClientError({"Error": {"Code": "ExpiredToken"}}, "PutObject"), True),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"), False),
        (ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject"), False),
        (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), False),
        (NoCredentialsError(), True),
        (NoRegionError(), True),
        (EndpointConnectionError(endpoint_url="http://here"), False),
        (ParamValidationError(report="a name that S3 cannot have"), False),
        (refused("AccessDeniedException", "GenerateDataKey"), True),
        (refused("ThrottlingException", "GenerateDataKey"), False),
        (refused("AccessDeniedException", "Decrypt"), False),
        (refused("ExpiredTokenException", "Decrypt"), True),
        (KeyUnwrapError("another key"), False),
        (EncryptionContextMismatchError("another context"), False),
        (PermissionError("a file"), False),
        (BotoCoreError(), False),
    ],
)
def test_what_meets_all(error: BaseException, all_of_them: bool):
    """The bucket, the credentials and the wrapping key are every object's; a name, a file or a context is its own."""
    assert stopping.meets_all(error) is all_of_them


@pytest.mark.slow
def test_a_second_interruption_waits_for_nothing(
    spawn: Any, bucket: str, key: Any, between: Proxy, make_client: Any, tmp_path: Path
):
    """Downloads that hang in the network are left: no file has a final name, and the process does not wait."""
    for name in ("a/one", "a/two"):
        make_client().put_object(Bucket=bucket, Key=name, Body=b"x" * 100)
    hangs, release = threading.Event(), threading.Event()

    def fault(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.method == "GET" and "/a/" in request.path and "list-type" not in request.path:
            hangs.set()
            release.wait(300)
        return ask()

    between.fault = fault
    down = tmp_path / "down"
    down.mkdir()
    process: subprocess.Popen[bytes] = spawn("cp", "--recursive", f"s3://{bucket}/a/", f"{down}/", *key)
    try:
        assert hangs.wait(120)
        end_twice(process)
    finally:
        release.set()
    assert not {path.name for path in down.iterdir()} & {"one", "two"}


@pytest.mark.slow
@pytest.mark.parametrize("command", [("cp",), ("sync",)])
def test_an_upload_that_hangs_is_taken_back_at_the_first_interruption(
    spawn: Any, bucket: str, key: Any, between: Proxy, plain_s3: Any, tmp_path: Path, command: tuple[str, ...]
):
    """Its part never ends, and the second interruption does not wait for it; S3 keeps no open upload."""
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "big").write_bytes(bytes(9 * 2**20))
    hangs, release = threading.Event(), threading.Event()

    def fault(request: Request, ask: Callable[[], Answer]) -> Answer:
        if request.method == "PUT" and "partNumber" in request.path:
            hangs.set()
            release.wait(300)
        return ask()

    between.fault = fault
    ends = (folder, f"s3://{bucket}/") if command == ("sync",) else (folder / "big", f"s3://{bucket}/big")
    process: subprocess.Popen[bytes] = spawn(*command, *ends, *key)
    try:
        assert hangs.wait(120)
        assert plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
        end_twice(process, lambda: not plain_s3.list_multipart_uploads(Bucket=bucket).get("Uploads"))
    finally:
        release.set()
    assert "Contents" not in plain_s3.list_objects_v2(Bucket=bucket)


def end_twice(process: subprocess.Popen[bytes], between: Callable[[], bool] = lambda: True) -> None:
    """Interrupt a process that waits, and once more when it has done what it can."""
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    for _ in range(2400):
        if between():
            break
        assert process.poll() is None
        time.sleep(0.05)
    else:
        raise AssertionError("it has not done what the first interruption asks for")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    err = process.stderr.read().decode()
    assert "left what was in flight" in err
    assert "Traceback" not in err
