"""What happens when code that was written for boto3 meets an encrypting client: one function per fact.

The functions know neither client: they get a `World` and return what happened in a few words. So the same code
describes s3ec and the official Python client, and anyone can run both.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.client
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1024 * 1024
CONTEXT = {"team": "hr"}


@dataclass(frozen=True)
class World:
    """What a fact is established with.

    Attributes:
        encrypting: makes an encrypting client; options by s3ec's names.
        encrypt_twice: makes two encrypting clients on one boto client or session, as an application does that wraps
            what it is handed for each request; returns the second.
        for_libraries: what a library holds that was given this client's S3 access.
        plain: a plain boto3 client.
        bucket: an empty bucket.
    """

    encrypting: Callable[..., Any]
    encrypt_twice: Callable[[], Any]
    for_libraries: Callable[[], Any]
    plain: Any
    bucket: str

    def stored_length(self, key: str) -> int:
        """Bytes that S3 stores under ``key``."""
        length: int = self.plain.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        return length

    def place(self, key: str) -> dict[str, str]:
        """Bucket and key as arguments."""
        return {"Bucket": self.bucket, "Key": key}


Fact = Callable[[World], str]
FACTS: dict[str, Fact] = {}


def fact(function: Fact) -> Fact:
    """Registers a fact under its function's name."""
    FACTS[function.__name__] = function
    return function


def outcome(function: Fact, world: World) -> str:
    """What ``function`` says, or the class of what it raised."""
    try:
        return function(world)
    # An unforeseen failure of the client under test is a result here, whatever its class.
    except Exception as error:  # noqa: BLE001, RUF100
        return f"raises {type(error).__name__}"


def read(client: Any, world: World, key: str, **arguments: Any) -> bytes:
    """The plaintext of an object."""
    content: bytes = client.get_object(**world.place(key), **arguments)["Body"].read()
    return content


@fact
def two_clients_on_one_session(world: World) -> str:
    """Wrap per request what was wrapped before, and put five bytes."""
    world.encrypt_twice().put_object(**world.place("k"), Body=b"hello")
    again = read(world.encrypting(), world, "k")
    return f"{world.stored_length('k')} bytes stored, a fresh client reads {'them' if again == b'hello' else 'garbage'}"


@fact
def upload_fileobj_by_a_library(world: World) -> str:
    """Hand 9 MiB to ``upload_fileobj`` of the client that libraries get."""
    content = bytes(9 * MIB)
    world.for_libraries().upload_fileobj(io.BytesIO(content), world.bucket, "k")
    return (
        "PLAINTEXT stored"
        if world.plain.get_object(**world.place("k"))["Body"].read() == content
        else "ciphertext stored"
    )


@fact
def content_length_given(world: World) -> str:
    """Put with the ``ContentLength`` of the plaintext, over http."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello", ContentLength=5)
    return f"{world.stored_length('k')} bytes stored, {_readable(client, world, 'k')}"


@fact
def copy_with_new_metadata(world: World) -> str:
    """Copy an object on itself with ``MetadataDirective='REPLACE'``."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello")
    client.copy_object(
        **world.place("k"), CopySource=world.place("k"), MetadataDirective="REPLACE", Metadata={"a": "b"}
    )
    return _readable(client, world, "k")


@fact
def delete_beside_a_namesake(world: World) -> str:
    """Delete ``d`` while an unrelated object is called ``d.instruction``."""
    client = world.encrypting()
    client.put_object(**world.place("d"), Body=b"hello")
    world.plain.put_object(**world.place("d.instruction"), Body=b"how to assemble the chair")
    client.delete_object(**world.place("d"))
    left = [entry["Key"] for entry in world.plain.list_objects_v2(Bucket=world.bucket).get("Contents", [])]
    return "the other object stays" if left == ["d.instruction"] else "the other object is deleted as well"


@fact
def is_a_boto3_client(world: World) -> str:
    """Ask ``isinstance(client, BaseClient)``."""
    return str(isinstance(world.encrypting(), botocore.client.BaseClient))


@fact
def absent_object(world: World) -> str:
    """Get what is not there, and catch ``client.exceptions.NoSuchKey``."""
    client = world.encrypting()
    try:
        client.get_object(**world.place("absent"))
    except client.exceptions.NoSuchKey:
        return "caught"
    return "no error"


@fact
def conditional_put(world: World) -> str:
    """Put with ``IfNoneMatch='*'`` where there is an object, and catch ``ClientError``."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"first")
    try:
        client.put_object(**world.place("k"), Body=b"second", IfNoneMatch="*")
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "overwritten"


@fact
def upload_file_by_names(world: World) -> str:
    """Call ``upload_file(Filename=…, Bucket=…, Key=…)``."""
    client = world.encrypting()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(b"hello")
        client.upload_file(Filename=str(path), Bucket=world.bucket, Key="k")
    return _readable(client, world, "k")


@fact
def upload_file_with_options(world: World) -> str:
    """Call ``upload_file`` with ``ExtraArgs``, ``Callback`` and ``Config``."""
    client = world.encrypting()
    seen: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(b"hello")
        client.upload_file(
            str(path),
            world.bucket,
            "k",
            ExtraArgs={"Metadata": {"a": "b"}},
            Callback=seen.append,
            Config=TransferConfig(),
        )
    return f"{_readable(client, world, 'k')}, {'progress reported' if seen else 'no progress'}"


@fact
def upload_of_nothing(world: World) -> str:
    """Upload an empty file object."""
    client = world.encrypting()
    client.upload_fileobj(io.BytesIO(b""), world.bucket, "k")
    return "stored" if read(client, world, "k") == b"" else "something else is read"


@fact
def plain_multipart_upload(world: World) -> str:
    """Upload two parts, the second before the first, with boto3's own parameters."""
    client = world.encrypting()
    first, second = bytes(5 * MIB), b"the end"
    upload = client.create_multipart_upload(**world.place("k"))["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(**world.place("k"), UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in ((2, second), (1, first))
    ]
    client.complete_multipart_upload(**world.place("k"), UploadId=upload, MultipartUpload={"Parts": parts[::-1]})
    return "the object is whole" if read(client, world, "k") == first + second else "the object is broken"


@fact
def download_of_20_mib(world: World) -> str:
    """Download 20 MiB with ``download_fileobj``."""
    client = world.encrypting()
    content = bytes(range(256)) * (20 * MIB // 256)
    client.put_object(**world.place("k"), Body=content)
    target = io.BytesIO()
    client.download_fileobj(world.bucket, "k", target)
    return "the same bytes" if target.getvalue() == content else "other bytes"


@fact
def download_with_a_context(world: World) -> str:
    """Download with ``ExtraArgs={'EncryptionContext': …}``."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello", EncryptionContext=CONTEXT)
    target = io.BytesIO()
    client.download_fileobj(world.bucket, "k", target, ExtraArgs={"EncryptionContext": CONTEXT})
    return "the same bytes" if target.getvalue() == b"hello" else "other bytes"


@fact
def range_of_everything(world: World) -> str:
    """Get ``Range='bytes=0-'``, as file libraries do."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello")
    return "the same bytes" if read(client, world, "k", Range="bytes=0-") == b"hello" else "other bytes"


@fact
def what_head_says(world: World) -> str:
    """Ask ``head_object`` for length and metadata of five bytes without metadata."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello")
    head = client.head_object(**world.place("k"))
    return f"length {head['ContentLength']}, {len(head['Metadata'])} entries of metadata"


@fact
def checksum_of_the_answer(world: World) -> str:
    """Compare the checksum in the answer of ``get_object`` with the bytes that it returns."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello", ChecksumAlgorithm="SHA256")
    answer = client.get_object(**world.place("k"), ChecksumMode="ENABLED")
    if "ChecksumSHA256" not in answer:
        return "none is claimed"
    right = base64.b64encode(hashlib.sha256(answer["Body"].read()).digest()).decode()
    return "right" if answer["ChecksumSHA256"] == right else "that of the ciphertext"


@fact
def bytearray_body(world: World) -> str:
    """Put a ``bytearray``."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=bytearray(b"hello"))
    return _readable(client, world, "k")


@fact
def timeout_of_a_body(world: World) -> str:
    """Call ``set_socket_timeout`` on a body."""
    client = world.encrypting()
    client.put_object(**world.place("k"), Body=b"hello")
    client.get_object(**world.place("k"))["Body"].set_socket_timeout(5)
    return "works"


@fact
def short_reads(world: World) -> str:
    """With delayed authentication read ten bytes, and ask where the body stands."""
    client = world.encrypting(enable_delayed_authentication=True)
    client.put_object(**world.place("k"), Body=b"0123456789" * 10)
    body = client.get_object(**world.place("k"))["Body"]
    return f"{len(body.read(10))} bytes, tell() says {body.tell()}"


@fact
def presigned_upload(world: World) -> str:
    """Ask for a presigned ``put_object``."""
    url = world.encrypting().generate_presigned_url("put_object", Params=world.place("k"))
    return "a URL that stores plaintext" if url else "nothing"


def _readable(client: Any, world: World, key: str) -> str:
    try:
        return "readable" if read(client, world, key) == b"hello" else "other bytes are read"
    except Exception:  # noqa: BLE001, RUF100 - any refusal means that the object is lost
        return "LOST"


def official_world(aws: dict[str, Any], kms_key: str, plain: Any, bucket: str) -> World:
    """The official Python client, each time on a boto3 client of its own."""
    from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig  # type: ignore[import-not-found]  # optional
    from s3_encryption.materials.kms_keyring import KmsKeyring  # type: ignore[import-not-found]  # optional

    kms = boto3.client("kms", **aws)

    def wrap(client: Any, **options: Any) -> Any:
        return S3EncryptionClient(client, S3EncryptionClientConfig(keyring=KmsKeyring(kms, kms_key), **options))

    def encrypting(**options: Any) -> Any:
        return wrap(boto3.client("s3", **aws), **options)

    def encrypt_twice() -> Any:
        shared = boto3.client("s3", **aws)
        wrap(shared)
        return wrap(shared)

    return World(
        encrypting=encrypting,
        encrypt_twice=encrypt_twice,
        for_libraries=lambda: encrypting().wrapped_s3_client,
        plain=plain,
        bucket=bucket,
    )


def s3ec_world(aws: dict[str, Any], kms_key: str, plain: Any, bucket: str) -> World:
    """s3ec."""
    from s3ec import EncryptionClient, KmsKeyring, Session

    keyring = KmsKeyring(kms_key, client=boto3.client("kms", **aws))

    def encrypt_twice() -> Any:
        session = boto3.Session()
        EncryptionClient(keyring=keyring, session=session, **aws)
        return EncryptionClient(keyring=keyring, session=session, **aws)

    return World(
        encrypting=lambda **options: EncryptionClient(keyring=keyring, **aws, **options),
        encrypt_twice=encrypt_twice,
        for_libraries=lambda: Session(keyring=keyring).client("s3", **aws),
        plain=plain,
        bucket=bucket,
    )
