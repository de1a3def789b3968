"""The advisories of the S3 encryption clients, by number: each attack, and the same where its defence is gone.

What works against a client without the defence is shown by taking the defence away (`succeeds` in a name): so none of
these tests passes for another reason than the defence. CVE-2020-8912 and the padding of legacy data keys have a file
of their own, `tests/test_advisories.py`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from s3ec import AesKeyring, CachingMaterialsManager, CommitmentPolicy, EncryptionClient, RsaKeyring, decryption
from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto import derivation, wrapping
from s3ec.crypto.derivation import Derivation
from s3ec.errors import (
    AuthenticationError,
    CommitmentMismatchError,
    CommitmentPolicyError,
    LegacyAlgorithmError,
    S3ECError,
)
from s3ec.formats import ContentMetadata
from s3ec.materials import DecryptionMaterials, DecryptionMaterialsRequest, EncryptionMaterialsRequest

from support.keyrings import CountingKeyring
from support.lying_s3 import LyingS3, Stored, lying_s3
from support.rsa import rsa_key
from support.two_keys import two_key_ciphertext

ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
WRAPPING_KEY = bytes(32)  # of the keyring that counts
PREFIX = "x-amz-meta-"
HONEST, FORGED = b"PAY ALICE    100", b"PAY MALLORY 9999"


@pytest.fixture
def server() -> Iterator[LyingS3]:
    """A storage that belongs to the attacker."""
    with lying_s3() as running:
        yield running


@pytest.fixture
def keyring() -> CountingKeyring:
    """A keyring that notes what it is asked."""
    return CountingKeyring()


@contextlib.contextmanager
def client(server: LyingS3, **options: Any) -> Iterator[Any]:
    """A client of that storage."""
    with contextlib.closing(EncryptionClient(**server.arguments(**options))) as made:
        yield made


def read(made: Any) -> bytes:
    """The object's content."""
    content: bytes = made.get_object(Bucket="b", Key="k")["Body"].read()
    return content


def b64(data: bytes) -> str:
    """As in headers."""
    return base64.b64encode(data).decode()


class TwoKeys:
    """An object whose ciphertext two data keys open, and the two instruction files that name them."""

    def __init__(self, server: LyingS3, suite: str) -> None:
        """Write the object, and the honest file."""
        self._objects = server.state.objects
        self.data_keys = (os.urandom(32), os.urandom(32))
        if suite == "V2":
            iv = os.urandom(12)
            self.body, own = two_key_ciphertext(self.data_keys, (HONEST, FORGED), iv), {}
            shared = {"x-amz-iv": b64(iv), "x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-tag-len": "128"}
            shared |= {"x-amz-wrap-alg": "AES/GCM", "x-amz-matdesc": "{}"}
            name, text = "x-amz-key-v2", "AES/GCM/NoPadding"
        else:
            message = os.urandom(28)
            derived = [Derivation(key, message) for key in self.data_keys]
            content_keys = (derived[0].content_key().reveal(), derived[1].content_key().reveal())
            self.body = two_key_ciphertext(
                content_keys, (HONEST, FORGED), derivation.COMMITTING_IV, derivation.COMMITTING_AAD
            )
            own = {"x-amz-c": "115", "x-amz-d": b64(derived[0].commitment()), "x-amz-i": b64(message)}
            shared, name, text = {"x-amz-w": "02"}, "x-amz-3", "115"
        self._files = [{**shared, name: b64(wrapping.wrap_with_aes(WRAPPING_KEY, key, text))} for key in self.data_keys]
        self._objects["b/k"] = Stored(self.body, {f"{PREFIX}{name}": value for name, value in own.items()})
        self.name(0)

    def name(self, number: int) -> None:
        """Put one of the two files beside the object."""
        self._objects["b/k.instruction"] = Stored(json.dumps(self._files[number]).encode(), {})


class TestKeyCommitment:
    """CVE-2025-14759 to CVE-2025-14764, one for each language: a second data key, named by an instruction file."""

    def test_two_keys_open_one_ciphertext(self) -> None:
        """The ciphertext is what it is said to be: genuine to plain AES-GCM under both keys."""
        keys, iv = (os.urandom(32), os.urandom(32)), os.urandom(12)
        ciphertext = two_key_ciphertext(keys, (HONEST, FORGED), iv)
        assert AESGCM(keys[0]).decrypt(iv, ciphertext, b"")[:16] == HONEST
        assert AESGCM(keys[1]).decrypt(iv, ciphertext, b"")[16:32] == FORGED

    def test_it_succeeds_against_content_that_does_not_commit(self, server: LyingS3, keyring: CountingKeyring) -> None:
        """Who opts in to reading V2 gets whichever plaintext the file names: that is what the opt-in means."""
        attack = TwoKeys(server, "V2")
        with client(server, keyring=keyring, commitment_policy=ALLOW) as made:
            assert read(made)[:16] == HONEST
            attack.name(1)
            assert read(made)[16:32] == FORGED

    @pytest.mark.parametrize("number", [0, 1])
    def test_policy(self, server: LyingS3, keyring: CountingKeyring, number: int) -> None:
        """The default policy does not read what does not commit, and asks no keyring."""
        TwoKeys(server, "V2").name(number)
        with client(server, keyring=keyring) as made, pytest.raises(CommitmentPolicyError):
            read(made)
        assert keyring.reads == []

    @pytest.mark.parametrize("policy", list(CommitmentPolicy))
    def test_committing_suite(self, server: LyingS3, keyring: CountingKeyring, policy: CommitmentPolicy) -> None:
        """Made for the derived keys, it opens under the data key that the object commits to, and under no other."""
        attack = TwoKeys(server, "V3")
        with client(server, keyring=keyring, commitment_policy=policy) as made:
            assert read(made)[:16] == HONEST
            attack.name(1)
            with pytest.raises(CommitmentMismatchError):
                read(made)

    def test_it_succeeds_without_the_commitment(
        self, server: LyingS3, keyring: CountingKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a comparison that always says yes the forged plaintext comes out: nothing else stops it."""
        monkeypatch.setattr(decryption.derivation, "equal", lambda a, b: True)
        attack = TwoKeys(server, "V3")
        attack.name(1)
        with client(server, keyring=keyring) as made:
            assert read(made)[16:32] == FORGED


class TestCbcOracle:
    """CVE-2020-8911: who may write to the bucket asks a reader whether the padding of a block is right."""

    @staticmethod
    def store(server: LyingS3, body: bytes) -> None:
        """An object of the first clients whose content the attacker chose."""
        encrypted = aes_key_wrap(WRAPPING_KEY, bytes(range(32)))
        metadata = {"x-amz-key-v2": b64(encrypted), "x-amz-iv": b64(bytes(range(1, 17))), "x-amz-matdesc": "{}"}
        metadata |= {"x-amz-wrap-alg": "AESWrap", "x-amz-cek-alg": "AES/CBC/PKCS5Padding"}
        server.state.objects["b/k"] = Stored(body, {f"{PREFIX}{name}": value for name, value in metadata.items()})

    @staticmethod
    def questions() -> Iterator[bytes]:
        """The 256 ciphertexts by which the last byte of a block is found."""
        encryptor = Cipher(AES(bytes(range(32))), CBC(bytes(range(1, 17)))).encryptor()
        block = encryptor.update(b"the PIN is 4711.")
        for guess in range(256):
            yield bytes(15) + bytes([guess]) + block

    def answers(self, server: LyingS3, made: Any) -> list[Exception | None]:
        """What the reader says to each."""
        found: list[Exception | None] = []
        for body in self.questions():
            self.store(server, body)
            try:
                read(made)
            except S3ECError as error:
                found.append(error)
            else:
                found.append(None)
        return found

    def test_no_answer(self, server: LyingS3, keyring: CountingKeyring) -> None:
        """Without the opt-in every question has one answer, and no key is touched."""
        with client(server, keyring=keyring, commitment_policy=ALLOW) as made:
            found = self.answers(server, made)
        assert {(type(error), str(error)) for error in found} == {(LegacyAlgorithmError, str(found[0]))}
        assert keyring.reads == []

    def test_it_succeeds_with_the_opt_in(self, server: LyingS3, keyring: CountingKeyring) -> None:
        """The opt-in gives the oracle, as its documentation says: of the failures none differs from another."""
        options = {"commitment_policy": ALLOW, "enable_legacy_unauthenticated_modes": True}
        with client(server, keyring=keyring, **options) as made:
            found = self.answers(server, made)
        failures = {(type(error), str(error)) for error in found if error is not None}
        assert [error for error in found if error is None] == [None]
        assert [kind for kind, _ in failures] == [AuthenticationError]


class TestPlaintextDigest:
    """CVE-2022-2582: a digest of the plaintext beside the ciphertext lets its reader test guesses."""

    TEXT = b"salary: 100,000" * 3

    def digests(self) -> list[bytes]:
        """Every digest that S3 knows, as it may be written down."""
        found: list[bytes] = []
        for kind in ("md5", "sha1", "sha256"):
            digest = hashlib.new(kind, self.TEXT).digest()
            found += [digest, digest.hex().encode(), base64.b64encode(digest)]
        return found

    @pytest.mark.parametrize("policy", [FORBID, REQUIRE])
    def test_none_leaves(self, server: LyingS3, policy: CommitmentPolicy) -> None:
        """Not even where the caller gives one, which is compared here and taken off."""
        claims = [
            {},
            {"ContentMD5": b64(hashlib.md5(self.TEXT, usedforsecurity=False).digest())},
            {"ChecksumSHA256": b64(hashlib.sha256(self.TEXT).digest())},
            {"ChecksumAlgorithm": "SHA1"},
        ]
        with client(server, keyring=AesKeyring(bytes(32)), commitment_policy=policy) as made:
            for claim in claims:
                made.put_object(Bucket="b", Key="k", Body=self.TEXT, **claim)
        assert len(server.state.attempts) == len(claims)
        for attempt in server.state.attempts:
            sent = repr(attempt.headers).encode() + attempt.body
            assert [digest for digest in self.digests() if digest in sent] == []

    def test_it_succeeds_with_another_client(self, server: LyingS3) -> None:
        """The test would see one: boto3's own client sends what it is given."""
        import boto3

        with contextlib.closing(boto3.client("s3", **server.arguments())) as plain:
            plain.put_object(Bucket="b", Key="k", Body=self.TEXT, ContentMD5=b64(hashlib.md5(self.TEXT).digest()))  # noqa: S324
        sent = repr(server.state.attempts[0].headers).encode()
        assert [digest for digest in self.digests() if digest in sent]


class TestSharedCache:
    """CVE-2026-6550: a cache of data keys that two clients share hands one what the other one's policy allowed."""

    @staticmethod
    def store(server: LyingS3) -> None:
        """An object that does not commit."""
        with client(server, keyring=AesKeyring(WRAPPING_KEY), commitment_policy=FORBID) as made:
            made.put_object(Bucket="b", Key="k", Body=HONEST)

    @pytest.mark.parametrize("first", [ALLOW, FORBID])
    def test_policies_share_nothing(self, server: LyingS3, keyring: CountingKeyring, first: CommitmentPolicy) -> None:
        """What the client that allows it has read stays closed to the one that does not; and so does what it writes."""
        self.store(server)
        manager = CachingMaterialsManager(keyring)
        with client(server, materials_manager=manager, commitment_policy=first) as made:
            assert read(made) == HONEST
        calls = len(keyring.reads)
        with client(server, materials_manager=manager, commitment_policy=REQUIRE) as strict:
            with pytest.raises(CommitmentPolicyError):
                read(strict)
            strict.put_object(Bucket="b", Key="k", Body=HONEST)
            assert read(strict) == HONEST
        assert len(keyring.reads) <= calls + 1
        assert f"{PREFIX}x-amz-d" in server.state.objects["b/k"].metadata

    @pytest.mark.parametrize(("policies", "expected"), [([ALLOW, REQUIRE, REQUIRE], 2), ([ALLOW, ALLOW], 1)])
    def test_a_keyring_behind_a_cache_judges_each_policy(
        self, keyring: CountingKeyring, policies: list[CommitmentPolicy], expected: int
    ) -> None:
        """An answer given under one policy never stands for another; that it is kept at all shows that this matters."""
        made = keyring.on_encrypt(_write_request())
        manager = CachingMaterialsManager(keyring)
        for policy in policies:
            manager.decrypt_materials(_read_request(made, policy))
        assert [request.commitment_policy for request in keyring.reads] == policies[:expected]


def _write_request() -> Any:
    suite = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
    return EncryptionMaterialsRequest(
        algorithm_suite=suite,
        content_algorithm=suite.content_algorithm,
        commitment_policy=REQUIRE,
        encryption_context={},
        plaintext_length=16,
    )


def _read_request(made: Any, policy: CommitmentPolicy) -> DecryptionMaterialsRequest:
    stored = ContentMetadata.of(made, message_id=bytes(28), commitment=bytes(28))
    return stored.request(policy)


def _padded_keys(kind: str) -> dict[str, str]:
    """Data keys in the manner of V1; not even the one that is well padded opens the content."""
    if kind == "RSA":
        public = rsa_key().public_key()
        return {
            "well padded": b64(public.encrypt(bytes(range(32)), PKCS1v15())),
            "of another length": b64(public.encrypt(os.urandom(31), PKCS1v15())),
            "badly padded": b64(b"\0" + os.urandom(255)),
        }
    encryptor = Cipher(AES(WRAPPING_KEY), ECB()).encryptor()  # noqa: S305 - legacy
    return {
        "well padded": b64(encryptor.update(bytes(range(32)) + b"\x10" * 16)),
        "badly padded": b64(encryptor.update(os.urandom(32) + b"\x11" * 16)),
    }


class _Counting:
    """A keyring that counts what is asked of the private key in it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.capabilities = inner.capabilities
        self.on_encrypt = inner.on_encrypt
        self.reads = 0

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        self.reads += 1
        answer: DecryptionMaterials = self._inner.on_decrypt(request)
        return answer


@pytest.mark.parametrize("kind", ["RSA", "AES"])
@pytest.mark.parametrize("place", ["metadata", "instruction file"])
@pytest.mark.parametrize("policy", list(CommitmentPolicy))
@pytest.mark.parametrize("legacy_content", [False, True])
@pytest.mark.parametrize("legacy_wrapping", [False, True])
def test_cve_2026_110310(
    server: LyingS3, kind: str, place: str, policy: CommitmentPolicy, legacy_content: bool, legacy_wrapping: bool
) -> None:
    """A data key that is presented as V1's tells nothing of its padding: unless both opt-ins are given, no key is used.

    The vulnerable client decrypted first and looked at its settings afterwards, so that the two errors differed.
    """
    inner: Any = AesKeyring(WRAPPING_KEY, enable_legacy_wrapping_algorithms=legacy_wrapping)
    if kind == "RSA":
        inner = RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=legacy_wrapping)
    keyring = _Counting(inner)
    seen = set()
    options = {"commitment_policy": policy, "enable_legacy_unauthenticated_modes": legacy_content}
    with client(server, keyring=keyring, **options) as made:
        for key in _padded_keys(kind).values():
            fields = {"x-amz-key": key, "x-amz-iv": b64(bytes(range(1, 17))), "x-amz-matdesc": "{}"}
            headers = {f"{PREFIX}{name}": value for name, value in fields.items()}
            in_metadata = place == "metadata"
            server.state.objects["b/k"] = Stored(bytes(32), headers if in_metadata else {})
            if not in_metadata:
                server.state.objects["b/k.instruction"] = Stored(json.dumps(fields).encode(), {})
            before = len(server.state.requests)
            with pytest.raises(S3ECError) as refused:
                read(made)
            seen.add((type(refused.value), str(refused.value), len(server.state.requests) - before))
    assert len(seen) == 1
    opted_in = legacy_content and legacy_wrapping and not policy.requires_decrypt
    assert keyring.reads == 0 or opted_in
