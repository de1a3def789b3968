"""Every object of another client goes through parsing, gate and cipher."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from s3ec import decryption, formats
from s3ec.algorithms import CommitmentPolicy
from s3ec.crypto.wrapping import wrap_with_aes
from s3ec.errors import (
    CommitmentPolicyError,
    ConfigurationError,
    EncryptionContextMismatchError,
    KeyringError,
    KeyUnwrapError,
    LegacyAlgorithmError,
    S3ECError,
)
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.materials import STORED_CONTEXT, DecryptionMaterialsRequest

from support.aws import client_arguments
from support.double_encoding import as_s3_answers
from support.materials import CountingManager
from support.vectors import RecordedKms, Vector, all_vectors, recorded_kms
from support.vectors import vector as named

REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT

every = pytest.mark.parametrize("vector", all_vectors(), ids=lambda vector: vector.name)


@pytest.fixture(scope="module")
def kms_endpoint() -> Iterator[RecordedKms]:
    """A KMS that opens what was recorded and nothing else."""
    with recorded_kms(all_vectors()) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def kms_client(kms_endpoint: RecordedKms, _aws_environment: None) -> Iterator[Any]:
    """A real KMS client for that endpoint."""
    with contextlib.closing(boto3.client("kms", **client_arguments(kms_endpoint.url))) as client:
        yield client


@pytest.fixture
def manager(kms_client: Any) -> Callable[..., CountingManager]:
    """Makes a counting manager over the vector's own keyring."""

    def make(vector: Vector, *, legacy: bool | None = None) -> CountingManager:
        return CountingManager(DefaultMaterialsManager(vector.keyring(kms_client, legacy=legacy)))

    return make


def read(vector: Vector, manager: CountingManager, *, body: bytes | None = None, **changed: Any) -> bytes:
    """Read a vector as its caller would, with the fewest switches, save those changed."""
    options: dict[str, Any] = {
        "commitment_policy": REQUIRE,
        "enable_legacy_unauthenticated_modes": False,
        "encryption_context": vector.encryption_context or None,
        **vector.read_options,
        **changed,
    }
    content_metadata = options.pop("content_metadata", None) or vector.content_metadata()
    cipher = decryption.check(content_metadata, materials_manager=manager, **options).open()
    decryptor, data = cipher.decryptor(), vector.body if body is None else body
    if cipher.suite.is_legacy:
        return decryptor.update(data) + decryptor.finish()
    plaintext = decryptor.update(data[:-16])
    decryptor.verify(data[-16:])
    return plaintext


@every
def test_every_vector_opens_with_the_fewest_switches(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """Each object comes out as its writer put it in, with one keyring call and no opt-in that it does not need."""
    assert hashlib.sha256(vector.body).hexdigest() == vector.body_sha256
    counting = manager(vector)
    assert read(vector, counting) == vector.plaintext
    assert hashlib.sha256(vector.plaintext).hexdigest() == vector.plaintext_sha256
    assert counting.calls == 1


@every
def test_every_vector_against_every_setting(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """Which settings read an object follows from what it is; what they do not read costs no keyring call."""
    for policy, legacy_content, legacy_wrapping in itertools.product(CommitmentPolicy, (False, True), (False, True)):
        allowed = (
            (vector.commits or not policy.requires_decrypt)
            and (legacy_content or not vector.has_legacy_content)
            and (legacy_wrapping or not vector.has_legacy_wrapping)
        )
        counting = manager(vector, legacy=legacy_wrapping)
        options = {"commitment_policy": policy, "enable_legacy_unauthenticated_modes": legacy_content}
        if allowed:
            assert read(vector, counting, **options) == vector.plaintext
            continue
        if vector.is_wrapped_again and legacy_content and not policy.requires_decrypt:
            # Only the key shows what the wrapping binds.
            with pytest.raises(KeyUnwrapError, match="enable_legacy_wrapping_algorithms=True"):
                read(vector, counting, **options)
            continue
        with pytest.raises((LegacyAlgorithmError, CommitmentPolicyError)) as refusal:
            read(vector, counting, **options)
        assert refusal.value.setting in str(refusal.value)
        assert counting.calls == 0


@every
def test_stored_context_opens_every_vector(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """`STORED_CONTEXT` takes whatever is stored, under every kind of key."""
    assert read(vector, manager(vector), encryption_context=STORED_CONTEXT) == vector.plaintext


@every
@pytest.mark.parametrize("location", ["metadata", "instruction file"])
def test_every_vector_opens_after_being_written_anew(
    vector: Vector, location: str, manager: Callable[..., CountingManager]
) -> None:
    """What is rendered from a foreign object's metadata, in either place, says the same and opens the same body."""
    content_metadata = vector.content_metadata()
    if location == "metadata":
        again = formats.parse_object(formats.render_object(content_metadata))
    else:
        metadata, body = formats.render_instruction_file(content_metadata)
        again = formats.parse_instruction_file(body, metadata)
    assert again == content_metadata
    if vector.is_wrapped_again and location == "metadata":
        with pytest.raises(KeyUnwrapError):
            read(vector, manager(vector), content_metadata=again)
        return
    assert read(vector, manager(vector), content_metadata=again) == vector.plaintext


def context_vectors() -> list[Vector]:
    """Vectors whose wrapping binds a context that the caller must know."""
    return [vector for vector in all_vectors() if vector.kms and vector.wrap != "kms"]


@pytest.mark.parametrize("vector", context_vectors(), ids=lambda vector: vector.name)
def test_another_context_is_refused_before_kms(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """A context with a pair more, a pair less or another value is refused without a call, in both directions."""
    right = vector.encryption_context
    wrong: list[dict[str, str] | None] = [{**right, "more": "1"}]
    if right:
        name = sorted(right)[-1]
        wrong += [{**right, name: right[name] + "x"}, {n: v for n, v in right.items() if n != name}, None, {}]
    for context in wrong:
        counting = manager(vector)
        with pytest.raises(EncryptionContextMismatchError) as refusal:
            read(vector, counting, encryption_context=context)
        assert counting.calls == 0
        same_names = (context or {}).keys() == right.keys()
        named = [name for name in right if not same_names or (context or {})[name] != right[name]]
        assert all(ascii(name) in str(refusal.value) for name in named)
        assert not any(len(value) > 3 and value in str(refusal.value) for value in right.values())


@pytest.mark.parametrize("vector", [v for v in all_vectors() if v.wrap == "kms"], ids=lambda vector: vector.name)
def test_a_context_given_for_kms_v1_is_compared(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """Objects of the `kms` wrapping open without a context and with the right one; another one costs no call."""
    right = vector.encryption_context
    assert read(vector, manager(vector), encryption_context=None) == vector.plaintext
    assert read(vector, manager(vector), encryption_context=right) == vector.plaintext
    counting = manager(vector)
    with pytest.raises(EncryptionContextMismatchError):
        read(vector, counting, encryption_context={**right, "more": "1"})
    assert counting.calls == 0


@pytest.mark.parametrize("vector", [v for v in all_vectors() if not v.kms], ids=lambda vector: vector.name)
def test_a_context_for_raw_keys_is_refused(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """A raw key binds no context: a caller who gives one believes in a protection that is not there."""
    counting = manager(vector)
    with pytest.raises(ConfigurationError):
        read(vector, counting, encryption_context={"a": "1"})
    assert counting.calls == 0


@every
def test_a_keyring_of_another_kind_is_refused_before_it_is_asked(
    vector: Vector, manager: Callable[..., CountingManager]
) -> None:
    """A keyring for other wrappings is refused from metadata alone, and the error names what would be needed."""
    others = {"aes": "java/java4-rsa2048-meta-17", "rsa": "go/go4-meta-17", "kms": "java/java4-aes256-meta-17"}
    counting = manager(named(others[vector.key["kind"]]), legacy=True)
    with pytest.raises(KeyringError, match=vector.key["kind"].upper()) as refusal:
        read(vector, counting, encryption_context=None)
    assert not isinstance(refusal.value, KeyUnwrapError)
    assert counting.calls == 0


@pytest.mark.parametrize(
    "vector", [v for v in all_vectors() if not v.has_legacy_content], ids=lambda vector: vector.name
)
def test_a_changed_object_never_gives_other_plaintext(vector: Vector, manager: Callable[..., CountingManager]) -> None:
    """A flipped bit anywhere in authenticated content, its tag included, ends in an error."""
    for position in (0, len(vector.body) // 2, -1):
        body = bytearray(vector.body)
        body[position] ^= 1
        with pytest.raises(S3ECError):
            read(vector, manager(vector), body=bytes(body))


class TestVariants:
    """Foreign objects in the shapes that other tools, servers and services give them."""

    def test_without_a_description(self, manager: Callable[..., CountingManager]) -> None:
        """Redshift documents only data key and IV; copying tools lose the description: both still open."""
        for name in ("java/javasdk1-eo-aes256-meta-17", "java/java4-rsa2048-meta-forbid-17", "ruby/v1-rsa2048-meta-17"):
            vector = named(name)
            bare = {key: value for key, value in vector.metadata.items() if key != "x-amz-matdesc"}
            assert read(vector, manager(vector), content_metadata=formats.parse_object(bare)) == vector.plaintext

    @every
    def test_with_names_in_another_case(self, vector: Vector, manager: Callable[..., CountingManager]) -> None:
        """Some stores keep the case in which Go sends names, some drop empty values."""
        shouted = {name.title(): value for name, value in vector.metadata.items()}
        spare = {name: value for name, value in vector.metadata.items() if value}
        for metadata in (shouted, spare):
            changed = replace(vector, metadata={**metadata, "team": "hr"})
            assert changed.content_metadata() == vector.content_metadata()

    def test_the_first_dotnet_file(self, manager: Callable[..., CountingManager]) -> None:
        """The names of the first .NET clients open the same objects under AES and RSA."""
        for name in ("java/javasdk1-eo-aes256-meta-17", "java/javasdk1-eo-rsa2048-meta-17"):
            vector = named(name)
            file = {"EncryptedEnvelopeKey": vector.metadata["x-amz-key"], "IV": vector.metadata["x-amz-iv"]}
            content_metadata = formats.parse_instruction_file(json.dumps(file).encode(), {})
            assert read(vector, manager(vector), content_metadata=content_metadata) == vector.plaintext

    def test_without_a_wrapping_algorithm(self, manager: Callable[..., CountingManager]) -> None:
        """V2's keys without a wrapping name mean the inferred legacy wrapping, AES or RSA by the key's length."""
        for name in ("java/javasdk1-eo-aes256-meta-17", "java/javasdk1-eo-rsa3072-meta-17"):
            vector = named(name)
            metadata = dict(vector.metadata)
            metadata["x-amz-key-v2"] = metadata.pop("x-amz-key")
            content_metadata = formats.parse_object({**metadata, "x-amz-cek-alg": "AES/CBC/PKCS5Padding"})
            assert read(vector, manager(vector), content_metadata=content_metadata) == vector.plaintext

    def test_a_context_that_s3_encoded_again(self, manager: Callable[..., CountingManager]) -> None:
        """A raw non-ASCII context opens from a header as S3 answers it, and as a server that does not re-code does."""
        vector = named("ruby/v2-kms-instr-ctxunicode-17")
        assert vector.instruction_file is not None
        assert not json.dumps(dict(vector.encryption_context), ensure_ascii=False).isascii()
        fields = json.loads(vector.instruction_file.body)
        raw = json.dumps(json.loads(fields["x-amz-matdesc"]), ensure_ascii=False).encode().decode("latin-1")
        for answered in (as_s3_answers(raw), raw, as_s3_answers(raw).replace("?= =?", "?=\r\n =?")):
            content_metadata = formats.parse_object({**fields, "x-amz-matdesc": answered})
            assert read(vector, manager(vector), content_metadata=content_metadata) == vector.plaintext

    def test_a_data_key_rewrapped_with_cbc_content(self, manager: Callable[..., CountingManager]) -> None:
        """Java wraps a CBC object's data key again under the name of GCM, C++ under that of CBC.

        The first binds nothing of the content, so it takes the opt-in for legacy wrappings, and an instruction file;
        the second opens anywhere.
        """
        vector = named("java/javasdk1-eo-aes256-meta-17")
        old = vector.content_metadata()
        opened = manager(vector).decrypt_materials(
            DecryptionMaterialsRequest(
                algorithm_suite=old.algorithm_suite,
                commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
                content_algorithm=old.content_algorithm,
                encrypted_data_key=old.encrypted_data_key,
            )
        )
        for bound in ("AES/GCM/NoPadding", "AES/CBC/PKCS5Padding"):
            ciphertext = wrap_with_aes(bytes.fromhex(vector.key["hex"]), opened.plaintext_data_key, bound)
            fields = {
                "x-amz-key-v2": base64.b64encode(ciphertext).decode(),
                "x-amz-iv": vector.metadata["x-amz-iv"],
                "x-amz-wrap-alg": "AES/GCM",
                "x-amz-cek-alg": "AES/CBC/PKCS5Padding",
                "x-amz-tag-len": "0",
            }
            content_metadata = formats.parse_instruction_file(json.dumps(fields).encode(), {})
            in_object = formats.parse_object(fields)
            assert read(vector, manager(vector, legacy=True), content_metadata=content_metadata) == vector.plaintext
            if "CBC" in bound:
                for parsed in (content_metadata, in_object):
                    assert read(vector, manager(vector, legacy=False), content_metadata=parsed) == vector.plaintext
                continue
            with pytest.raises(KeyUnwrapError, match="enable_legacy_wrapping_algorithms=True"):
                read(vector, manager(vector, legacy=False), content_metadata=content_metadata)
            for legacy in (False, True):
                with pytest.raises(KeyUnwrapError):
                    read(vector, manager(vector, legacy=legacy), content_metadata=in_object)


def test_a_data_key_that_kms_refuses_is_a_key_error(manager: Callable[..., CountingManager]) -> None:
    """The recorded KMS serves its own calls only: another object's context or blob is not opened."""
    one, other = named("go/go4-meta-17"), named("go/go4-meta-ctx-17")
    swapped = replace(one.content_metadata(), encrypted_data_key=other.content_metadata().encrypted_data_key)
    with pytest.raises(KeyringError):
        read(one, manager(one), content_metadata=swapped)
