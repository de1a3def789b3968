"""Small things in which code written for boto3 relies on boto3: the same call, plain and encrypting."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectTimeoutError

import s3ec
from s3ec import AesKeyring, EncryptionClient
from s3ec.client.encryption_client import plain_view
from s3ec.errors import ConfigurationError, KeyUnwrapError

MIB = 1024 * 1024
KEYRING, OTHER_KEYRING = AesKeyring(bytes(32)), AesKeyring(bytes(range(32)))


@pytest.fixture
def client(make_client: Callable[..., Any]) -> Any:
    """An encrypting client of moto's server, which does not try in vain for long."""
    return make_client(keyring=KEYRING, config=Config(retries={"total_max_attempts": 2}))


class Shouting(io.BytesIO):
    """A body of the caller's own, which changes what it reads."""

    def read(self, size: int | None = -1) -> bytes:
        """In capitals."""
        return super().read(size).upper()


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_a_body_is_read_by_its_read(client: Any, bucket: str, size: int) -> None:
    """Not past it by another way of reading that its class has inherited."""
    data = b"x" * size
    client.put_object(Bucket=bucket, Key="k", Body=Shouting(data))
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == data.upper()
    client.upload_fileobj(Shouting(data), bucket, "k")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == data.upper()


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 9 * MIB])
def test_a_target_that_seeks_is_written_from_its_start(client: Any, plain_s3: Any, bucket: str, size: int) -> None:
    """Wherever it stands; one that does not is written on."""
    data = os.urandom(size)
    client.put_object(Bucket=bucket, Key="k", Body=data)
    plain_s3.put_object(Bucket=bucket, Key="plain", Body=data)
    targets = []
    for source, key in ((plain_s3, "plain"), (client, "k")):
        target = io.BytesIO(b"-" * 5)
        target.seek(0, 2)
        source.download_fileobj(bucket, key, target)
        targets.append(target.getvalue())
    assert targets[0] == targets[1] == data + b"-----"[size:]


@pytest.mark.parametrize("length", [240, 250, 255])
def test_long_names_of_downloads(client: Any, bucket: str, tmp_path: Path, length: int) -> None:
    """The temporary file beside it has a name of its own."""
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    target = tmp_path / ("ä" * (length // 2) + "x" * (length % 2))
    client.download_file(bucket, "k", str(target))
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_bytes() == b"x"


def test_416_says_how_long_the_object_is(client: Any, plain_s3: Any, bucket: str) -> None:
    """Readers that seek ask it."""
    client.put_object(Bucket=bucket, Key="k", Body=b"x" * 20)
    with pytest.raises(ClientError) as error:
        client.get_object(Bucket=bucket, Key="k", Range="bytes=20-")
    assert error.value.response["Error"]["ActualObjectSize"] == "20"
    assert error.value.response["Error"]["RangeRequested"] == "bytes=20-"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-4", (5, "bytes 0-4/10")),
        ("bytes=5-", (5, "bytes 5-9/10")),
        ("bytes=8-100", (2, "bytes 8-9/10")),
        ("bytes=-3", (3, "bytes 7-9/10")),
        ("bytes=10-", 416),
        ("bytes=5-2", (10, None)),
    ],
)
def test_heads_of_ranges(client: Any, bucket: str, header: str, expected: Any) -> None:
    """A HEAD says what a GET of the same range would give."""
    client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for ask in (client.head_object, client.get_object):
        if expected == 416:
            with pytest.raises(ClientError) as error:
                ask(Bucket=bucket, Key="k", Range=header)
            assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416
        else:
            answer = ask(Bucket=bucket, Key="k", Range=header)
            # Older botocores do not tell the range of a HEAD.
            assert (answer["ContentLength"], answer.get("ContentRange", expected[1])) == expected


@pytest.mark.parametrize("says_range", [True, False])
@pytest.mark.parametrize(("sizes", "expected"), [([5, 5, 2 + 16], [5, 5, 2]), ([5, 16], [5, 0]), ([26], [10])])
def test_heads_of_parts(
    client: Any, plain_s3: Any, bucket: str, sizes: list[int], expected: list[int], *, says_range: bool
) -> None:
    """Parts one after another give the object; the last has the tag behind it, which is not content.

    moto's own answer leaves out the metadata.
    """
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    metadata = plain_s3.head_object(Bucket=bucket, Key="k")["Metadata"]

    def answer(request: Any, **_: Any) -> AWSResponse:
        number = int(request.url.partition("partNumber=")[2])
        start, size = sum(sizes[: number - 1]), sizes[number - 1]
        headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        headers |= {"Content-Length": str(size), "x-amz-mp-parts-count": str(len(sizes))}
        if says_range:
            headers["Content-Range"] = f"bytes {start}-{start + size - 1}/{sum(sizes)}"
        return AWSResponse(request.url, 206, HeadersDict(headers), SimpleNamespace(stream=lambda: iter([b""])))

    client.meta.events.register_first("before-send.s3.HeadObject", answer)
    numbers = range(1, len(sizes) + 1)
    heads = [client.head_object(Bucket=bucket, Key="k", PartNumber=number) for number in numbers]
    assert [head["ContentLength"] for head in heads] == expected


@pytest.mark.parametrize("size", [100, 6 * MIB, 6 * MIB - 8])
def test_progress_of_copies(client: Any, bucket: str, size: int) -> None:
    """In bytes of plaintext."""
    client.put_object(Bucket=bucket, Key="k", Body=os.urandom(size))
    seen: list[int] = []
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB)
    client.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Callback=seen.append, Config=config)
    assert sum(seen) == size
    assert len(client.get_object(Bucket=bucket, Key="copy")["Body"].read()) == size


def test_conditions_of_copies(client: Any, bucket: str) -> None:
    """Those of time too, which S3 would set aside beside an ETag."""
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = client.head_object(Bucket=bucket, Key="k")
    long_ago = head["LastModified"].replace(year=2000)
    refused = [
        {"CopySourceIfUnmodifiedSince": long_ago},
        {"CopySourceIfNoneMatch": head["ETag"]},
        {"CopySourceIfMatch": '"other"'},
    ]
    for condition in refused:
        with pytest.raises(ClientError, match=r"PreconditionFailed.*CopyObject"):
            client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k", **condition)
    for condition in ({"CopySourceIfModifiedSince": long_ago}, {"CopySourceIfMatch": head["ETag"]}):
        client.copy_object(Bucket=bucket, Key="l", CopySource=f"{bucket}/k", **condition)
    assert client.get_object(Bucket=bucket, Key="l")["Body"].read() == b"x"


def test_the_client_goes_before_its_session(aws: dict[str, Any], bucket: str) -> None:
    """What a client is told in person counts, though the session that it is made of encrypts otherwise."""
    session = s3ec.Session(keyring=KEYRING)
    of_session = session.client("s3", **aws)
    own = EncryptionClient(keyring=OTHER_KEYRING, session=session, **aws)
    own.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert own.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with pytest.raises(KeyUnwrapError):
        of_session.get_object(Bucket=bucket, Key="k")
    assert plain_view(own).get_object(Bucket=bucket, Key="k")["Body"].read() != b"x"
    of_session.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert of_session.get_object(Bucket=bucket, Key="k")["Body"].read() == b"y"


def test_subclasses(aws: dict[str, Any], bucket: str) -> None:
    """A subclass is what comes out, and its methods are used; what lies beneath encrypts."""

    class Prefixed(EncryptionClient):
        def put_object(self, **parameters: Any) -> Any:
            return super().put_object(**{**parameters, "Key": f"prefix/{parameters['Key']}"})

    client: Any = Prefixed(keyring=KEYRING, **aws)
    assert isinstance(client, Prefixed)
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert client.get_object(Bucket=bucket, Key="prefix/k")["Body"].read() == b"x"
    assert plain_view(client).head_object(Bucket=bucket, Key="prefix/k")["ContentLength"] == 17


def test_patches_of_botocore_reach_clients_that_exist(client: Any, bucket: str) -> None:
    """As tests and tracers make them: they see what goes to S3, which is ciphertext."""
    seen: list[tuple[str, Any]] = []
    original = BaseClient._make_api_call

    def patched(self: Any, operation_name: str, parameters: Any) -> Any:
        seen.append((operation_name, parameters.get("Body")))
        return original(self, operation_name, parameters)

    with mock.patch.object(BaseClient, "_make_api_call", patched):
        client.put_object(Bucket=bucket, Key="k", Body=b"secret")
        client.list_objects_v2(Bucket=bucket)
    assert [name for name, _ in seen] == ["PutObject", "ListObjectsV2"]
    assert b"secret" not in seen[0][1]


@pytest.mark.parametrize("parameter", [{"ContentMD5": 5}, {"ContentMD5": None}, {"ChecksumSHA256": 5}])
def test_values_of_wrong_types(client: Any, bucket: str, parameter: dict[str, Any]) -> None:
    """A clear error."""
    with pytest.raises(ConfigurationError, match="is not base64"):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", **parameter)


def test_a_deletion_that_happened_is_answered(client: Any, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also where the connection fails when the instruction file is looked for; the log says what may be left."""
    client.put_object(Bucket=bucket, Key="k", Body=b"x")

    def fail(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="s3")

    client.meta.events.register("before-send.s3.HeadObject", fail)
    assert client.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "k.instruction" in caplog.text
