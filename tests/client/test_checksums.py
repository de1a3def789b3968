"""Which checksum goes out with what is encrypted: CRC-64/NVME to AWS alone, and never in the place of a choice."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import httpchecksum
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from s3ec import AesKeyring, EncryptionClient
from s3ec.client.calls import checksums
from s3ec.client.encryption_client import plain_view

crt = pytest.importorskip("awscrt.checksums")

CRC32, CRC64NVME = "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme"


class _Answer:
    """An empty body of urllib3's."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(())


class Sent:
    """What a client would have sent: its requests are answered before they leave."""

    def __init__(self, **options: Any) -> None:
        self.requests: list[Any] = []
        options = {"region_name": "us-east-1", **options}
        self.client: Any = EncryptionClient(
            keyring=AesKeyring(bytes(32)), aws_access_key_id="id", aws_secret_access_key="key", **options
        )
        self.client.meta.events.register("before-send", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        return AWSResponse(request.url, 200, {}, _Answer())

    def put(self, **parameters: Any) -> tuple[str | None, str | None]:
        """The checksum behind the body, and the algorithm that S3 is told of."""
        self.client.put_object(**{"Bucket": "bucket", "Key": "k", "Body": b"body", **parameters})
        headers = self.requests[-1].headers
        return _text(headers.get("X-Amz-Trailer")), _text(headers.get("x-amz-sdk-checksum-algorithm"))


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


DEFAULT = (CRC32, "CRC32")
FAST = (CRC64NVME, "CRC64NVME")


def test_aws_gets_what_costs_nothing() -> None:
    """A put of any kind of body whose caller has chosen nothing, as boto3 is made by default."""
    sent = Sent()
    assert sent.put() == FAST
    assert sent.put(Body=io.BytesIO(os.urandom(3 * 1024 * 1024))) == FAST
    assert _text(sent.requests[-1].headers["X-Amz-Content-SHA256"]) == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@pytest.mark.parametrize(
    "url",
    [
        "https://minio.example",
        "https://127.0.0.1:9000",
        "https://s3.us-east-1.amazonaws.com.example",
        "https://minio.us-east-1.amazonaws.com",
        "https://s3.us-east-1.elb.amazonaws.com",
        "https://s3-1234567890.us-east-1.elb.amazonaws.com",
        "https://ec2-203-0-113-7.compute-1.amazonaws.com",
        "https://abcdef.execute-api.us-east-1.amazonaws.com",
        "https://storage.googleapis.com",
    ],
)
def test_other_servers_get_what_they_know(url: str) -> None:
    """Everything that is not S3 at AWS by its very name, other servers on AWS's machines among it."""
    assert Sent(endpoint_url=url).put() == DEFAULT
    assert checksums.of_upload(url, "bucket") == "CRC32"


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "https://s3.eu-central-1.amazonaws.com",
        "https://S3-us-west-2.amazonaws.com",
        "https://s3.dualstack.ap-southeast-2.amazonaws.com",
        "https://s3-fips.us-gov-west-1.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
        "https://bucket.vpce-0a1b2c3d-4e5f.s3.us-east-1.vpce.amazonaws.com",
        "https://s3-accelerate.amazonaws.com",
        "https://name-111122223333.s3-accesspoint.us-east-1.amazonaws.com",
    ],
)
def test_names_of_s3(url: str) -> None:
    """S3's endpoints, private ones among them."""
    assert Sent(endpoint_url=url).put() == FAST
    assert checksums.of_upload(url, "bucket") == "CRC64NVME"


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"ChecksumAlgorithm": "CRC32"}, CRC32),
        ({"ChecksumAlgorithm": "SHA256"}, "x-amz-checksum-sha256"),
        ({"ChecksumCRC32": base64.b64encode(httpchecksum.crc32(b"body").to_bytes(4, "big")).decode()}, CRC32),
    ],
    ids=["algorithm", "another algorithm", "value of the plaintext"],
)
def test_what_the_caller_chose_stays(parameters: dict[str, str], found: str) -> None:
    """By a parameter of the request."""
    assert Sent().put(**parameters)[0] == found


def test_what_handlers_and_configuration_chose_stays() -> None:
    """A header that a handler added, and a client that sends checksums only where S3 wants them."""
    sent = Sent()
    sent.client.meta.events.register(
        "before-call.s3.PutObject", lambda params, **_: params["headers"].update({"X-Amz-Checksum-Sha256": "own"})
    )
    assert sent.put() == DEFAULT
    assert Sent(config=Config(request_checksum_calculation="when_required")).put() == (None, None)


def test_what_is_not_encrypted_stays() -> None:
    """botocore's own calls on the same client are as botocore makes them."""
    sent = Sent()
    sent.client = plain_view(sent.client)
    assert sent.put() == DEFAULT


def test_other_stores_of_aws() -> None:
    """Directory buckets and the like are not asked for what is documented for general purpose buckets."""
    url = "https://s3.us-east-1.amazonaws.com"
    for bucket in (
        "name--use1-az4--x-s3",
        "name--use1-az4--xa-s3",
        "point-abcdef--ol-s3",
        "point-abcdef-s3alias",
        "arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-1/accesspoint/name",
    ):
        assert checksums.of_upload(url, bucket) == "CRC32"


def test_without_awscrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore cannot compute it, or does not say so any more."""
    sent = Sent()
    monkeypatch.setattr(httpchecksum, "_CHECKSUM_CLS", {"crc32": httpchecksum.Crc32Checksum})
    assert sent.put() == DEFAULT
    monkeypatch.delattr(httpchecksum, "_CHECKSUM_CLS")
    assert checksums.of_upload("https://s3.us-east-1.amazonaws.com", "bucket") == "CRC32"


def _answered(data: bytes) -> tuple[dict[str, str], int]:
    return {"ChecksumCRC64NVME": _crc64(data)}, len(data)


def _crc64(data: bytes) -> str:
    return base64.b64encode(crt.crc64nvme(data).to_bytes(8, "big")).decode()


@pytest.mark.skipif(not hasattr(crt, "combine_crc64nvme"), reason="this awscrt cannot join checksums")
@pytest.mark.parametrize("cuts", [[], [0], [1], [5, 5], [1, 4096, 100_000]])
def test_parts_have_the_checksum_of_the_whole(cuts: list[int]) -> None:
    """Joined from those of the parts, however it was cut."""
    data = os.urandom(123_457)
    ends = [0, *cuts, len(data)]
    parts = [data[start:end] for start, end in zip(ends, ends[1:], strict=False)]
    assert checksums.of_parts(map(_answered, parts)) == {"ChecksumCRC64NVME": _crc64(data)}


@pytest.mark.parametrize("value", [None, "", "AAAA", "not base64", 7])
def test_parts_without_it_have_none(value: object) -> None:
    """S3's answers may lack it, or give nonsense."""
    assert checksums.of_parts([_answered(b"first"), ({"ChecksumCRC64NVME": value}, 4)]) == {}
