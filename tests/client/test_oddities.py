"""What other clients really produce, or do to objects: each oddity is read, or refused by a text that names it.

The objects are vectors that those clients wrote, some changed in the one way that the test is about.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from s3ec import STORED_CONTEXT, AesKeyring, CommitmentPolicy, EncryptionClient, KmsKeyring
from s3ec.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictingMetadataError,
    EncryptionContextMismatchError,
    KeyUnwrapError,
    LegacyAlgorithmError,
    MalformedMetadataError,
    S3ECError,
)

from support.aws import client_arguments
from support.vectors import RecordedKms, Vector, all_vectors, recorded_kms, vector

ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
WRAPPING_KEY = bytes(range(32))


@pytest.fixture(scope="module")
def recorded() -> Iterator[RecordedKms]:
    """A KMS that opens the vectors and nothing else."""
    with recorded_kms(all_vectors()) as endpoint:
        yield endpoint


class Reader:
    """Stores vectors and reads them with the fewest switches."""

    def __init__(self, aws: Mapping[str, Any], plain_s3: Any, bucket: str, kms: Any, recorded: RecordedKms) -> None:
        self._aws, self._plain_s3, self._bucket, self._kms, self._recorded = aws, plain_s3, bucket, kms, recorded

    @property
    def kms_calls(self) -> int:
        """Calls that reached KMS."""
        return len(self._recorded.requests)

    def store(self, stored: Vector) -> None:
        """Puts an object and its instruction file as their writer left them."""
        put, key = self._plain_s3.put_object, stored.object_key
        put(Bucket=self._bucket, Key=key, Body=stored.body, Metadata={**stored.metadata, **stored.user_metadata})
        if file := stored.instruction_file:
            put(Bucket=self._bucket, Key=file.key, Body=file.body, Metadata=dict(file.metadata))

    def get(self, stored: Vector, *, keyring: Any = None, legacy: bool | None = None, **request: Any) -> dict[str, Any]:
        """Reads what is stored, with the vector's own context unless another is given."""
        if stored.encryption_context and "EncryptionContext" not in request:
            request["EncryptionContext"] = stored.encryption_context
        if stored.instruction_file and stored.instruction_file.suffix != ".instruction":
            request["InstructionFileSuffix"] = stored.instruction_file.suffix
        keyring = keyring or stored.keyring(self._kms, legacy=legacy)
        client = EncryptionClient(keyring=keyring, **stored.read_options, **self._aws)
        with contextlib.closing(client):
            answer = client.get_object(Bucket=self._bucket, Key=stored.object_key, **request)
            answer["plaintext"] = answer.pop("Body").read()
        return dict(answer)

    def read(self, stored: Vector, **options: Any) -> bytes:
        """Stores a vector and reads it."""
        self.store(stored)
        return bytes(self.get(stored, **options)["plaintext"])

    def refused(self, stored: Vector, error: type[S3ECError], text: str, **options: Any) -> None:
        """Stores a vector and shows that it is refused, with that text, before KMS is asked."""
        before = self.kms_calls
        with pytest.raises(error, match=text):
            self.read(stored, **options)
        assert self.kms_calls == before


@pytest.fixture
def reader(aws: dict[str, Any], plain_s3: Any, bucket: str, recorded: RecordedKms) -> Iterator[Reader]:
    """Reads vectors of this test's own bucket."""
    with contextlib.closing(boto3.client("kms", **client_arguments(recorded.url))) as kms:
        yield Reader(aws, plain_s3, bucket, kms, recorded)


def changed(name: str, **metadata: str | None) -> Vector:
    """A vector with content metadata added, replaced or (None) removed; underscores stand for hyphens."""
    original = vector(name)
    fields = dict(original.metadata)
    for field, value in metadata.items():
        fields.pop(field.replace("_", "-"), None)
        if value is not None:
            fields[field.replace("_", "-")] = value
    return dataclasses.replace(original, metadata=fields)


class TestPhp:
    """The AWS SDK for PHP."""

    def test_renumbered_context_names_are_told(self, make_client: Callable[..., Any], bucket: str) -> None:
        """PHP stores the context {"5": …} as {"0": …}: the error says what is stored, and both ways out work."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=b"five", EncryptionContext={"0": "five"})
        with pytest.raises(EncryptionContextMismatchError, match=r"given '5', stored '0'.*STORED_CONTEXT"):
            client.get_object(Bucket=bucket, Key="k", EncryptionContext={"5": "five"})
        for context in ({"0": "five"}, STORED_CONTEXT):
            answer = client.get_object(Bucket=bucket, Key="k", EncryptionContext=context)
            assert answer["Body"].read() == b"five"

    @pytest.mark.parametrize("name", ["php/php1-cbc-instr-17", "ruby/v1-kms-instr-suffix-100"])
    def test_cbc_instruction_file_with_the_length_anywhere(self, reader: Reader, name: str) -> None:
        """PHP keeps the length inside a CBC instruction file, Ruby in the object: both are read."""
        assert reader.read(vector(name)) == vector(name).plaintext

    def test_object_without_the_users_metadata(self, reader: Reader) -> None:
        """PHP's uploaders drop the user's metadata: such an object is read, and has none."""
        stored = dataclasses.replace(vector("php/php3-meta-17"), user_metadata={})
        reader.store(stored)
        answer = reader.get(stored)
        assert (answer["plaintext"], answer["Metadata"]) == (stored.plaintext, {})

    @pytest.mark.parametrize("name", ["php/php1-gcm-instr-17", "php/php1old-gcm-instr-17", "php/php2old-instr-17"])
    def test_instruction_file_that_the_official_python_client_refuses(self, reader: Reader, name: str) -> None:
        """The length key, and numbers instead of text, inside PHP's instruction files are read."""
        assert reader.read(vector(name)) == vector(name).plaintext


class TestDotnet:
    """The clients for .NET."""

    def test_first_instruction_file_is_found(self, reader: Reader, aws: dict[str, Any], bucket: str) -> None:
        """The first clients' file lies under a suffix of its own, without a dot: found where old content is allowed."""
        stored = vector("sources/dotnet-first-instruction-file")
        reader.store(stored)
        with contextlib.closing(EncryptionClient(keyring=stored.keyring(), **stored.read_options, **aws)) as client:
            assert client.get_object(Bucket=bucket, Key=stored.object_key)["Body"].read() == stored.plaintext

    def test_one_nonce_for_wrapping_and_content(self, reader: Reader) -> None:
        """The V2 client uses one nonce under two keys, which is harmless and no sign of a forgery."""
        stored = vector("sources/dotnet-v2-nonce-reused")
        assert base64.b64decode(stored.metadata["x-amz-key-v2"])[:12] == base64.b64decode(stored.metadata["x-amz-iv"])
        assert reader.read(stored) == stored.plaintext


class TestForeignKeys:
    """Keys of one format beside those of another."""

    V3 = "java/java4-kms-meta-17"

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("x_amz_key", "AAAA"),
            ("x_amz_key_v2", "AAAA"),
            ("x_amz_iv", "AAAAAAAAAAAAAAAA"),
            ("x_amz_matdesc", "{}"),
            ("x_amz_wrap_alg", "kms"),
            ("x_amz_cek_alg", "AES/CBC/PKCS5Padding"),
            ("x_amz_tag_len", "128"),
        ],
    )
    def test_v3_with_a_key_of_an_older_format(self, reader: Reader, key: str, value: str) -> None:
        """Ruby and PHP disagree on which foreign keys a V3 object may have; none that means anything is accepted."""
        name = key.replace("_", "-")
        reader.refused(changed(self.V3, **{key: value}), ConflictingMetadataError, f"mixes format V3.*{name}")

    @pytest.mark.slow
    @pytest.mark.parametrize("extra", [{"x_amz_unencrypted_content_length": "17"}, {"x_amz_m": "{}"}])
    def test_v3_with_a_harmless_addition(self, reader: Reader, extra: dict[str, str]) -> None:
        """A length, or an empty description beside the context, disturbs no client and not this one."""
        assert reader.read(changed(self.V3, **extra)) == vector(self.V3).plaintext

    def test_v3_with_a_full_description_beside_the_context(self, reader: Reader) -> None:
        """A description that says something beside the context would mean different things to two readers."""
        stored = changed(self.V3, x_amz_m='{"a":"b"}')
        reader.refused(stored, ConflictingMetadataError, "x-amz-m, which does not belong to its wrapping kms")

    def test_v2_key_beside_a_v3_key(self, reader: Reader) -> None:
        """The Go SDK 1 reads an object with both encrypted data keys; which one is meant cannot be known."""
        stored = changed("go/go4-meta-v2-17", x_amz_3="AAAA")
        reader.refused(stored, ConflictingMetadataError, "mixes format V3")

    def test_v3_headers_put_on_a_v2_object(self, reader: Reader) -> None:
        """Committing headers alone do not make an object pass for a committing one."""
        stored = changed("go/go4-meta-v2-17", x_amz_c="115", x_amz_w="12")
        reader.refused(stored, ConflictingMetadataError, "mixes format V3")


class TestRuby:
    """The AWS SDK for Ruby."""

    @pytest.mark.parametrize(
        "name", ["ruby3/v3forbid-kms-meta-17", "ruby3/v3forbid-kms-instr-17", "php/php3forbid-meta-17"]
    )
    def test_v2_with_and_without_the_length(self, reader: Reader, name: str) -> None:
        """V2 written by the newest clients lacks the length (Ruby) or has it (PHP): both are read."""
        assert reader.read(vector(name)) == vector(name).plaintext

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["ruby3/v3-aes256-meta-17", "ruby3/v3-rsa2048-instr-17"])
    def test_empty_description(self, reader: Reader, name: str) -> None:
        """Ruby writes an empty ``x-amz-m`` where there is no description."""
        stored = vector(name)
        place = stored.metadata if stored.instruction_file is None else json.loads(stored.instruction_file.body)
        assert place["x-amz-m"] == "{}"
        assert reader.read(stored) == stored.plaintext


class TestGo:
    """The Go clients."""

    @pytest.mark.parametrize("name", ["go/gosdk1-v1-cbc-meta-pkcs7-17", "go/gosdk1-v1-cbc-meta-nopad-16"])
    def test_custom_padders(self, reader: Reader, name: str) -> None:
        """``PKCS7Padding`` is PKCS5Padding, ``NoPadding`` takes nothing off whole blocks."""
        assert reader.read(vector(name)) == vector(name).plaintext

    def test_no_padding_with_half_a_block(self, reader: Reader) -> None:
        """Content without padding that does not fill its blocks is damaged."""
        stored = vector("go/gosdk1-v1-cbc-meta-nopad-16")
        with pytest.raises(AuthenticationError):
            reader.read(dataclasses.replace(stored, body=stored.body[:-1]))

    def test_gcm_relabelled_as_cbc(self, reader: Reader) -> None:
        """Where Go panics, the IV's length is named and KMS is not asked."""
        stored = changed("go/gosdk1-v1-gcm-meta-17", x_amz_cek_alg="AES/CBC/PKCS5Padding", x_amz_tag_len=None)
        stored = dataclasses.replace(stored, content="AES/CBC/PKCS5Padding")
        reader.refused(stored, MalformedMetadataError, "the IV has 12 bytes; AES/CBC/PKCS5Padding has 16")

    def test_gcm_with_an_iv_of_sixteen_bytes(self, reader: Reader) -> None:
        """An IV of another length would be hashed into another counter."""
        stored = changed("go/gosdk1-v1-gcm-meta-17", x_amz_iv=base64.b64encode(bytes(range(16))).decode())
        reader.refused(stored, MalformedMetadataError, "the IV has 16 bytes; AES/GCM/NoPadding has 12")

    def test_shortened_tag(self, reader: Reader) -> None:
        """Go and the official Python client ignore a tag length of 96; a shorter tag is easier to forge."""
        stored = changed("go/go4-meta-v2-17", x_amz_tag_len="96")
        reader.refused(stored, MalformedMetadataError, "x-amz-tag-len is '96', but the content's tag has 128 bits")

    def test_missing_tag_length(self, reader: Reader) -> None:
        """A missing tag length is the only one that there is."""
        stored = changed("go/go4-meta-v2-17", x_amz_tag_len=None)
        assert reader.read(stored) == stored.plaintext

    def test_empty_headers(self, reader: Reader) -> None:
        """Go sends ``x-amz-m`` and the length empty on V3 objects: empty is absent."""
        stored = changed("go/go4-meta-17", x_amz_m="", x_amz_unencrypted_content_length="")
        assert reader.read(stored) == stored.plaintext

    @pytest.mark.parametrize("context", [None, ""])
    def test_v3_under_kms_without_its_context(self, reader: Reader, context: str | None) -> None:
        """A KMS object binds its algorithm in the context; one that lost it is refused by name."""
        stored = changed("go/go4-meta-17", x_amz_t=context)
        reader.refused(stored, ConflictingMetadataError, "stored encryption context has none under aws:x-amz-cek-alg")

    @pytest.mark.parametrize("name", ["kms_cmk_id", "aws:x-amz-cek-alg"])
    def test_reserved_names_are_refused_on_write(self, make_client: Callable[..., Any], bucket: str, name: str) -> None:
        """Go writes a caller's ``kms_cmk_id`` and cannot read the object any more."""
        with pytest.raises(ConfigurationError, match=name):
            make_client().put_object(Bucket=bucket, Key="k", Body=b"", EncryptionContext={name: "x"})

    @pytest.mark.slow
    def test_raw_utf8_context(self, make_client: Callable[..., Any], bucket: str, kms: Any, kms_key: str) -> None:
        """Stores that do not re-code metadata give raw UTF-8 back, which Go cannot read of its own objects."""
        client = make_client()
        context = {"città": "Zürich – 日本", "emoji": "🔒"}
        client.put_object(Bucket=bucket, Key="k", Body=b"raw", EncryptionContext=context)
        head = client.head_object(Bucket=bucket, Key="k")
        with contextlib.closing(boto3.client("s3", **_arguments_of(client))) as plain:
            stored = plain.get_object(Bucket=bucket, Key="k")
            body, metadata = stored["Body"].read(), stored["Metadata"]
        raw = json.dumps(json.loads(metadata["x-amz-t"]), ensure_ascii=False)
        _put_raw(client.meta.endpoint_url, f"/{bucket}/k", body, {**metadata, "x-amz-t": raw})
        assert client.get_object(Bucket=bucket, Key="k", EncryptionContext=context)["Body"].read() == b"raw"
        assert head["ContentLength"] == 3

    @pytest.mark.parametrize("name", ["go/go4-meta-17", "php/php2-meta-17"])
    def test_range(self, reader: Reader, name: str) -> None:
        """Go and PHP take the answer to a range for the whole object; here it is that range, verified."""
        stored = vector(name)
        reader.store(stored)
        answer = reader.get(stored, Range="bytes=3-9")
        assert answer["plaintext"] == stored.plaintext[3:10]
        assert answer["ContentRange"] == "bytes 3-9/17"

    def test_cbc_range(self, reader: Reader) -> None:
        """PHP answers a range of a CBC object with wrong bytes; here nothing is answered that nothing can verify."""
        reader.refused(vector("php/php1-cbc-meta-17"), S3ECError, "CBC", Range="bytes=3-9")


class TestJava:
    """The Java clients."""

    @pytest.mark.slow
    def test_hundred_instruction_files(self, reader: Reader, aws: dict[str, Any], bucket: str) -> None:
        """Java stands still at the 51st instruction file that one client reads; this one keeps no connection."""
        stored = vector("java/java4-aes256-instr-17")
        reader.store(stored)
        with contextlib.closing(EncryptionClient(keyring=stored.keyring(), **aws)) as client:
            for _ in range(100):
                answer = client.get_object(Bucket=bucket, Key=stored.object_key)
                assert answer["Body"].read() == stored.plaintext

    def test_the_page_warns_of_ciphertext_passed_on(self) -> None:
        """That SDK 1 returns a V3 object's ciphertext without an error stands where users of both look."""
        page = Path(__file__).parents[2] / "docs" / "interop.md"
        assert "returns the *ciphertext* as if it were the object" in page.read_text("utf-8")

    @pytest.mark.parametrize("description", [{}, {"another": "description"}])
    def test_description_is_no_condition(self, reader: Reader, description: dict[str, str]) -> None:
        """SDK 1 needs the exact material description on reads; here it only selects a key."""
        stored = vector("java/javasdk1-eo-aes256-meta-desc-100")
        assert stored.material_description
        keyring = AesKeyring(
            bytes.fromhex(stored.key["hex"]), material_description=description, enable_legacy_wrapping_algorithms=True
        )
        assert reader.read(stored, keyring=keyring) == stored.plaintext

    @pytest.mark.parametrize("name", ["java/javasdk1-ae-aes256-meta-17", "java/javasdk1-eo-kms-meta-17"])
    def test_object_without_length(self, reader: Reader, name: str) -> None:
        """SDK 1's multipart objects have no length key."""
        stored = changed(name, x_amz_unencrypted_content_length=None)
        assert reader.read(stored) == stored.plaintext

    def test_lying_length(self, reader: Reader) -> None:
        """The length key is information: a wrong one neither cuts nor pads what is read."""
        stored = changed("java/javasdk1-ae-aes256-meta-17", x_amz_unencrypted_content_length="3")
        assert reader.read(stored) == stored.plaintext

    @pytest.mark.parametrize("new_key", ["aes192", "rsa2048"])
    def test_cbc_under_a_current_wrapping(self, reader: Reader, new_key: str) -> None:
        """Java 4 rewraps a CBC object under a wrapping that says GCM, which binds none of it: both opt-ins read it."""
        stored = vector(f"java/javasdk1-eo-aes256-instr-by-java4-re-{new_key}-17")
        assert reader.read(stored, legacy=True) == stored.plaintext
        reader.refused(stored, KeyUnwrapError, "enable_legacy_wrapping_algorithms", legacy=False)
        strict = dataclasses.replace(stored, content="commit")
        reader.refused(strict, LegacyAlgorithmError, "AES/CBC", legacy=False)

    def test_relabelled_as_kms(self, reader: Reader) -> None:
        """Go and the official Python client read ``kms+context`` relabelled as ``kms``, which skips the context."""
        stored = changed("java/java3-kms-meta-ctx-17", x_amz_wrap_alg="kms")
        reader.refused(stored, ConflictingMetadataError, "the wrapping is said to be kms, but", legacy=True)

    def test_textbook_rsa_is_named_among_the_causes(self, reader: Reader, aws: dict[str, Any]) -> None:
        """RSA without padding, from old Java with some providers, cannot be opened; the one error text mentions it."""
        stored = vector("java/javasdk1-eo-rsa2048-meta-17")
        damaged = changed(stored.name, x_amz_key=base64.b64encode(b"\1" * 256).decode())
        with pytest.raises(KeyUnwrapError, match="(?i)unpadded|without padding"):
            reader.read(damaged)


def _arguments_of(client: Any) -> dict[str, Any]:
    return client_arguments(client.meta.endpoint_url)


def _put_raw(endpoint: str, path: str, body: bytes, metadata: Mapping[str, str]) -> None:
    """Puts an object whose metadata goes over the wire as UTF-8, which botocore refuses to send."""
    address = urlsplit(endpoint)
    headers: dict[str, Any] = {f"x-amz-meta-{name}": value.encode() for name, value in metadata.items()}
    # moto wants to see whose request it is, and checks no signature.
    scope = "Credential=testing/20260101/us-east-1/s3/aws4_request"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    with contextlib.closing(connection):
        connection.request("PUT", path, body, headers)
        assert connection.getresponse().status == 200


def test_wrapping_key_of_the_wrong_kind_is_told_from_metadata(reader: Reader) -> None:
    """A KMS object under an AES keyring is refused by name, without a call."""
    reader.refused(vector("go/go4-meta-17"), S3ECError, "one of the KMS kind", keyring=AesKeyring(WRAPPING_KEY))


def test_another_kms_key_is_told(reader: Reader, recorded: RecordedKms) -> None:
    """KMS's refusal of another key is a key problem, never taken for tampering."""
    with contextlib.closing(boto3.client("kms", **client_arguments(recorded.url))) as kms:
        other = KmsKeyring("arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000", client=kms)
        with pytest.raises(KeyUnwrapError):
            reader.read(vector("go/go4-meta-17"), keyring=other)
