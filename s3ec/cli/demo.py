"""``s3ec demo``: the main job on real files, offline, with an S3 and a KMS that answer over HTTP on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import io
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import click

from s3ec import EncryptionClient, KmsKeyring, errors
from s3ec.cli.demo_view import DemoReport, StoredFile, Summary, Tampering, document, write_report
from s3ec.cli.demo_watch import Tell, WatchedFile, in_background, silent, watch
from s3ec.cli.failures import ExitCode, Failure, FailureError, located
from s3ec.cli.output import Output
from s3ec.cli.pages import Command

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = ["demo", "run"]

_BUCKET = "s3ec-demo"
_REGION = "us-east-1"
_HEAD_LENGTH = 64
_CHUNK_LENGTH = 1024 * 1024


@click.command(
    "demo",
    cls=Command,
    short_help="Encrypt files of your own offline, and see what S3 stores.",
    examples=("s3ec demo", "s3ec demo ~/Documents/letters"),
)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the same as data.")
@click.pass_obj
def demo(output: Output | None, path: Path | None, as_json: bool) -> None:
    """Encrypt the files under PATH into a local S3 and show what it stores.

    Needs no AWS account and no network: an S3 and a KMS answer over HTTP on this machine and are gone afterwards.
    PATH is a file or a folder; without it, small files that come with the program are used.
    """
    output = output or Output(as_json=as_json)

    def work() -> DemoReport:
        with contextlib.ExitStack() as stack:
            sources = _sources(path or stack.enter_context(_packaged_files()), output)
            tell = stack.enter_context(watch(output))
            return run(sources, stack.enter_context(_local_aws()), tell)

    report = in_background(work, output)
    if as_json:
        output.document(document(report))
    else:
        write_report(report, output)


def run(sources: dict[str, Path], endpoint: str, tell: Tell = silent) -> DemoReport:
    """Upload every file, read it back, tamper with one.

    Args:
        sources: files by object key; at least one.
        endpoint: URL of an S3 and a KMS that hold nothing of value.
        tell: called with what is being done to which file, how many bytes are done, and of how many.

    Raises:
        FailureError: a file cannot be read, or a read did not give what was written.
    """
    arguments: dict[str, Any] = {
        "endpoint_url": endpoint,
        "region_name": _REGION,
        "aws_access_key_id": "demo",
        "aws_secret_access_key": "demo",
    }
    with contextlib.ExitStack() as stack:
        kms = stack.enter_context(contextlib.closing(boto3.client("kms", **arguments)))
        plain = stack.enter_context(contextlib.closing(boto3.client("s3", **arguments)))
        kms_key = kms.create_key(Description="s3ec demo")["KeyMetadata"]["Arn"]
        plain.create_bucket(Bucket=_BUCKET)
        keyring = KmsKeyring(kms_key, client=kms)
        s3 = stack.enter_context(contextlib.closing(EncryptionClient(keyring=keyring, **arguments)))

        kms_calls: list[str] = []
        kms.meta.events.register("before-call.kms", lambda model, **_: kms_calls.append(model.name))
        start = time.perf_counter()
        files = tuple(_round_trip(s3, plain, key, path, tell) for key, path in sources.items())
        seconds = time.perf_counter() - start
        summary = Summary(
            files=len(files),
            bytes=sum(file.plaintext_bytes for file in files),
            stored_bytes=sum(file.stored_bytes for file in files),
            kms_calls=len(kms_calls),
            seconds=seconds,
        )
        # The smallest that has content: a flipped bit of an empty file's tag would show little.
        chosen = min(files, key=lambda file: (not file.plaintext_bytes, file.stored_bytes))
        tampering = _tamper(s3, plain, chosen)
    return DemoReport(
        endpoint=endpoint, bucket=_BUCKET, kms_key=kms_key, files=files, tampering=tampering, summary=summary
    )


def _round_trip(s3: EncryptionClient, plain: S3Client, key: str, path: Path, tell: Tell) -> StoredFile:
    with located(str(path)):
        size = path.stat().st_size
        with io.BufferedReader(WatchedFile(path, lambda done: tell(f"encrypting {key}", done, size))) as file:
            s3.put_object(Bucket=_BUCKET, Key=key, Body=file)
        stored = plain.get_object(Bucket=_BUCKET, Key=key)
        with contextlib.closing(stored["Body"]) as body:
            stored_head = body.read(_HEAD_LENGTH)
        returned = s3.get_object(Bucket=_BUCKET, Key=key)
        digest = hashlib.sha256()
        head, read = b"", 0
        for chunk in returned["Body"].iter_chunks(_CHUNK_LENGTH):
            head = head or chunk[:_HEAD_LENGTH]
            digest.update(chunk)
            read += len(chunk)
            tell(f"reading {key} back", read, size)
    return StoredFile(
        key=key,
        plaintext_bytes=returned["ContentLength"],
        plaintext_head=head,
        plaintext_metadata=tuple(sorted(returned["Metadata"])),
        stored_bytes=stored["ContentLength"],
        stored_head=stored_head,
        stored_metadata=tuple(sorted(stored["Metadata"])),
        identical=digest.digest() == _digest(path),
    )


def _tamper(s3: EncryptionClient, plain: S3Client, file: StoredFile) -> Tampering:
    """Flip one bit in the middle of what S3 stores, metadata kept, and read it."""
    stored = plain.get_object(Bucket=_BUCKET, Key=file.key)
    content = bytearray(stored["Body"].read())
    offset = len(content) // 2
    content[offset] ^= 1
    plain.put_object(Bucket=_BUCKET, Key=file.key, Body=bytes(content), Metadata=stored["Metadata"])
    try:
        s3.get_object(Bucket=_BUCKET, Key=file.key)["Body"].read()
    except errors.SecurityError as error:
        return Tampering(key=file.key, offset=offset, error=type(error).__name__, message=str(error))
    raise FailureError(
        Failure(code=ExitCode.SECURITY, error="NotRefused", message=f"{file.key}: a flipped byte was not noticed")
    )


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_LENGTH):
            digest.update(chunk)
    return digest.digest()


def _sources(path: Path, output: Output) -> dict[str, Path]:
    """Return the readable files of ``path`` by object key, in order; say what is left out."""
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        if str(path) == "-":
            raise _not_found(path, "the demo takes a file or a folder, not standard input")
        if path.exists():
            raise _not_found(path, "is neither a file nor a folder")
        raise _not_found(path, "is a link to nothing" if path.is_symlink() else "there is no such file or folder")
    everything = sorted(path.rglob("*"))
    for each in everything:
        if not each.is_file() and not each.is_dir():
            why = "a link to nothing" if each.is_symlink() and not each.exists() else "neither a file nor a folder"
            output.note(f"s3ec: {each} is left out: {why}")
    found = {file.relative_to(path).as_posix(): file for file in everything if file.is_file()}
    if not found:
        raise _not_found(path, "the folder holds no files")
    return found


def _not_found(path: Path, what: str) -> FailureError:
    return FailureError(Failure(code=ExitCode.NOT_FOUND, error="FileNotFoundError", message=f"{path}: {what}"))


@contextlib.contextmanager
def _packaged_files() -> Iterator[Path]:
    with importlib.resources.as_file(importlib.resources.files("s3ec.cli") / "demo_files") as folder:
        yield folder


@contextlib.contextmanager
def _local_aws() -> Iterator[str]:
    """Run moto's server on a free loopback port, out of reach of the caller's AWS settings; yields its URL."""
    try:
        from moto.server import ThreadedMotoServer
    except ModuleNotFoundError as error:
        raise FailureError(
            Failure(
                code=ExitCode.CONFIGURATION,
                error="ModuleNotFoundError",
                message=f"the demo needs {error.name}: pip install 's3ec[demo]'",
            )
        ) from error
    # The server's log of requests would stand between the lines of the demo.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with _without_aws_settings():
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


@contextlib.contextmanager
def _without_aws_settings() -> Iterator[None]:
    """Keep a profile, an endpoint or a proxy of the caller's from leading the demo elsewhere."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith("AWS_") or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            del os.environ[name]
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
