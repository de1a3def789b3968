"""Every form of range, at every edge, answers as plain S3 would for the plaintext: one model, every kind of object."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3ec import AesKeyring, CommitmentPolicy

from support.cbc import cbc_object, cbc_options
from support.lying_s3 import LyingS3
from support.range_model import MALFORMED, answer, expected, headers, observed

KiB = 1024
DATA = random.Random(8).randbytes(200_000)
SIZES = (0, 1, 16, 17, 1000, 64 * KiB, 64 * KiB + 1, 200_000)
V2 = {"commitment_policy": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT}
KINDS: dict[str, dict[str, Any]] = {
    "V3": {},
    "V2": V2,
    "V3, instruction file": {"instruction_file_writes": True},
    "V2, instruction file": {**V2, "instruction_file_writes": True},
    "V3, unverified": {"enable_unauthenticated_ranges": True},
    "V3, delayed": {"enable_delayed_authentication": True},
    "V3, spooled": {"buffer_size": 1},
    "unencrypted": {"unencrypted_objects": "allow"},
}
# Of an object in V2 whose data key lies in an instruction file, nothing in the headers says that it is encrypted.
UNKNOWN_TO_HEAD = "V2, instruction file"
METHODS = ("get_object", "head_object")
# The first botocore that reads the range in the answer to a HEAD.
HEAD_HAS_RANGE = "ContentRange" in (
    boto3.Session(region_name="us-east-1")
    .client("s3", aws_access_key_id="x", aws_secret_access_key="x")
    .meta.service_model.operation_model("HeadObject")
    .output_shape.members
)


def check(
    client: Any, method: str, bucket: str, key: str, header: str | None, data: bytes, *, encrypted: bool = True
) -> None:
    """Compare an answer with the model's."""
    parameters = {} if header is None else {"Range": header}
    wanted = expected(method, header or "", data)
    if method == "head_object" and not HEAD_HAS_RANGE and not encrypted and "ContentRange" in wanted:
        wanted["ContentRange"] = None
    seen = observed(client, method, Bucket=bucket, Key=key, **parameters)
    if not encrypted:
        # S3's own are of the object itself, and stay.
        seen.pop("checksums", None)
        wanted.pop("checksums", None)
    assert seen == wanted, (header or "")[:99]


@st.composite
def cases(draw: st.DrawFn, *, most_digits: int = 5000) -> tuple[str, int, str]:
    """A method, a size and a range."""
    size = draw(st.sampled_from(SIZES))
    return draw(st.sampled_from(METHODS)), size, draw(headers(size, most_digits=most_digits))


@pytest.mark.slow
def test_the_model_is_s3s(aws: dict[str, Any], bucket: str) -> None:
    """Plain boto3 gives the same on a server of others.

    Left out is where moto is not like S3: units other than bytes, digits of other scripts, signs and blanks are taken
    for numbers, a suffix of an empty object gives the object, and a range that ends before it begins is refused where
    it begins behind the end.
    """
    config = Config(response_checksum_validation="when_required", request_checksum_calculation="when_required")
    plain = boto3.client("s3", config=config, **aws)
    for size in SIZES:
        plain.put_object(Bucket=bucket, Key=str(size), Body=DATA[:size])

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases(most_digits=0))
    def property_holds(case: tuple[str, int, str]) -> None:
        method, size, header = case
        odd = header in MALFORMED and header not in ("bytes=9-3", "bytes=0-1,5-6", "bytes=x-y", "bytes=-")
        backwards = answer(header, size).status == 200 and header.startswith("bytes=")
        if odd or (not size and (backwards or header.startswith("bytes=-"))):
            return
        if backwards and int("0" + header[6:].partition("-")[0].strip("x")) >= size:
            return
        check(plain, method, bucket, str(size), header, DATA[:size], encrypted=False)

    property_holds()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["moto", "memory"])
@pytest.mark.parametrize("kind", KINDS)
def test_ranges_of_every_kind(
    make: Callable[..., Any], make_client: Callable[..., Any], plain_s3: Any, bucket: str, server: str, kind: str
) -> None:
    """Status, fields, raw headers, bytes and errors are those of the plaintext."""
    options = {"keyring": AesKeyring(bytes(range(32))), **KINDS[kind]}
    client = make_client(**options) if server == "moto" else make(**options)
    writer = client if kind != "unencrypted" else client._s3ec_view
    for size in SIZES:
        writer.put_object(Bucket=bucket, Key=str(size), Body=DATA[:size])

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases(most_digits=0 if kind == "unencrypted" else 5000))
    def property_holds(case: tuple[str, int, str]) -> None:
        method, size, header = case
        if kind == UNKNOWN_TO_HEAD and method == "head_object":
            return
        huge = kind == "unencrypted" and any(int(number) >= 2**63 for number in re.findall(r"[0-9]+", header))
        if kind == "unencrypted" and (answer(header, size).status == 200 or not size or huge):
            return  # what is ignored goes through, and the server says what it makes of it
        check(client, method, bucket, str(size), header, DATA[:size], encrypted=kind != "unencrypted")

    property_holds()
    for method in METHODS:
        if kind not in (UNKNOWN_TO_HEAD, "unencrypted"):
            check(client, method, bucket, "1000", None, DATA[:1000])


@pytest.mark.slow
def test_ranges_of_cbc(http_liar: LyingS3, make: Callable[..., Any]) -> None:
    """Content without a tag, with every opt-in; a HEAD knows what the writer noted."""
    client = make(**cbc_options(enable_unauthenticated_ranges=True))
    for size in SIZES:
        stored = cbc_object(DATA[:size])
        stored.metadata["x-amz-meta-x-amz-unencrypted-content-length"] = str(size)
        http_liar.state.objects[f"b/{size}"] = stored

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases())
    def property_holds(case: tuple[str, int, str]) -> None:
        method, size, header = case
        check(client, method, "b", str(size), header, DATA[:size])

    property_holds()
    for method in METHODS:
        check(client, method, "b", "1000", None, DATA[:1000])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["V3", "V2", "V3, unverified", "V3, delayed", "V3, spooled"])
def test_a_server_that_gives_the_whole_object(
    http_liar: LyingS3, make: Callable[..., Any], kind: str, method: str
) -> None:
    """For any range: the range is cut from what was verified."""
    client = make(**KINDS[kind])
    http_liar.lies.ignore_ranges = True
    for size in (0, 17, 200_000):
        client.put_object(Bucket="b", Key="k", Body=DATA[:size])
        for header in ["bytes=0-", "bytes=1-5", "bytes=-3", f"bytes=5-{2**63 - 1}", "bytes=9-3", f"bytes={size}-"]:
            check(client, method, "b", "k", header, DATA[:size])


def test_checksums_of_ciphertext_are_not_told(make_client: Callable[..., Any], bucket: str) -> None:
    """They are of what S3 stores, and would tell who checks them that the plaintext is damaged."""
    client = make_client()
    client.put_object(Bucket=bucket, Key="k", Body=DATA)
    stored = client._s3ec_view.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert "ChecksumCRC32" in stored
    for method in METHODS:
        seen = observed(client, method, Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert seen["checksums"] == []
