"""The gate of writes: what is refused before the keyring is asked, and what of its answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from s3ec import decryption, encryption, formats
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy, FormatVersion, WrappingAlgorithm
from s3ec.crypto.derivation import Derivation
from s3ec.errors import ConfigurationError, KeyringError
from s3ec.keyrings import AesKeyring, DefaultMaterialsManager, KmsDiscoveryKeyring, KmsKeyring, RsaKeyring
from s3ec.materials import EncryptedDataKey, EncryptionMaterials, EncryptionMaterialsRequest

from support.materials import DATA_KEY, CountingManager, FixedKeys
from support.vectors import vector

CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
REQUIRE_ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
WRITTEN = {FORBID: GCM, REQUIRE_ALLOW: COMMITTING, REQUIRE: COMMITTING}
AES_KEY = bytes(range(32))


def begin(manager: Any, **changed: Any) -> tuple[formats.ContentMetadata, Any]:
    """Begin with the default policy, save for what is changed."""
    options: dict[str, Any] = {"commitment_policy": REQUIRE, "algorithm_suite": None, "encryption_context": None}
    return encryption.begin(materials_manager=manager, **{**options, **changed})


@pytest.mark.parametrize(
    ("policy", "suite"), list(itertools.product(CommitmentPolicy, [None, CBC, GCM, COMMITTING])), ids=str
)
def test_each_policy_writes_one_suite(policy: CommitmentPolicy, suite: AlgorithmSuite | None) -> None:
    """The policy's own suite is written, and asking for another one is refused with the keyring untouched."""
    manager = CountingManager(FixedKeys())
    if suite in (None, WRITTEN[policy]):
        assert policy.suite_for(suite) is WRITTEN[policy]
        content_metadata, cipher = begin(manager, commitment_policy=policy, algorithm_suite=suite)
        assert content_metadata.algorithm_suite is cipher.suite is WRITTEN[policy]
        return
    with pytest.raises(ConfigurationError, match="algorithm_suite"):
        policy.suite_for(suite)
    with pytest.raises(ConfigurationError, match="algorithm_suite"):
        begin(manager, commitment_policy=policy, algorithm_suite=suite)
    assert manager.calls == 0


def test_a_committing_object() -> None:
    """The content key is derived from data key and message ID, and the commitment is over the same two."""
    manager = CountingManager(FixedKeys())
    content_metadata, cipher = begin(manager, encryption_context={"z": "1", "a": "2"})
    assert content_metadata.format is FormatVersion.V3
    assert content_metadata.content_algorithm == "115"
    assert content_metadata.iv is None
    assert len(content_metadata.message_id or b"") == 28
    assert content_metadata.commitment == Derivation(DATA_KEY, content_metadata.message_id or b"").commitment()
    assert list(content_metadata.description.items()) == [("z", "1"), ("a", "2"), ("aws:x-amz-cek-alg", "115")]
    assert cipher.key == Derivation(DATA_KEY, content_metadata.message_id or b"").content_key()
    assert (cipher.iv, cipher.aad) == (b"\x01" * 12, b"\x00\x73")
    (request,) = manager.requests
    assert request == EncryptionMaterialsRequest(
        algorithm_suite=COMMITTING,
        commitment_policy=REQUIRE,
        content_algorithm="115",
        encryption_context={"z": "1", "a": "2"},
    )


def test_a_plain_gcm_object() -> None:
    """Under the policy that forbids commitment the data key encrypts the content itself, with a random IV."""
    manager = CountingManager(FixedKeys())
    content_metadata, cipher = begin(manager, commitment_policy=FORBID)
    assert content_metadata.format is FormatVersion.V2
    assert content_metadata.content_algorithm == "AES/GCM/NoPadding"
    assert content_metadata.tag_length_bits == 128
    assert (content_metadata.message_id, content_metadata.commitment) == (None, None)
    assert content_metadata.stored_plaintext_length is None
    assert (cipher.key, cipher.iv, cipher.aad) == (DATA_KEY, content_metadata.iv, b"")
    assert manager.requests[0].content_algorithm == "AES/GCM/NoPadding"


@pytest.mark.parametrize("policy", [FORBID, REQUIRE])
def test_no_two_objects_share_key_and_iv(policy: CommitmentPolicy) -> None:
    """Even a manager that hands out one data key again and again gives each object a keystream of its own."""
    seen = {(cipher.key, cipher.iv) for _, cipher in (begin(FixedKeys(), commitment_policy=policy) for _ in range(50))}
    assert len(seen) == 50


@pytest.mark.parametrize("policy", [FORBID, REQUIRE])
@pytest.mark.parametrize("kind", ["aes", "rsa", "kms"])
def test_what_is_written_is_read(policy: CommitmentPolicy, kind: str, kms_key: str, kms: Any) -> None:
    """With each real keyring, what the gate of writes makes, the wire carries and the gate of reads opens."""
    context = {"team": "häß", "b": "2"} if kind == "kms" else None
    keyring = {
        "aes": lambda: AesKeyring(AES_KEY, material_description={"key": "2026"}),
        "rsa": lambda: RsaKeyring(private_key=vector("java/java4-rsa2048-meta-17").key["private_pem"]),
        "kms": lambda: KmsKeyring(kms_key, client=kms),
    }[kind]()
    manager = DefaultMaterialsManager(keyring)
    written, cipher = begin(manager, commitment_policy=policy, encryption_context=context)
    encryptor = cipher.encryptor()
    body = encryptor.update(b"payroll") + encryptor.finalize()
    read = formats.parse_object(formats.render_object(written))
    assert read == written
    again = (
        decryption.check(
            read,
            materials_manager=manager,
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            enable_legacy_unauthenticated_modes=False,
            encryption_context=context,
        )
        .open()
        .decryptor()
    )
    assert again.update(body[:-16]) == b"payroll"
    again.verify(body[-16:])


@pytest.mark.parametrize("name", ["aws:x-amz-cek-alg", "kms_cmk_id"])
def test_reserved_names_are_refused(name: str) -> None:
    """A caller's pair under a client's name would be overwritten, or make the object unreadable."""
    manager = CountingManager(FixedKeys())
    with pytest.raises(ConfigurationError, match=name):
        begin(manager, encryption_context={"a": "1", name: "x"})
    assert manager.calls == 0


@pytest.mark.parametrize(
    "context",
    [{1: "a"}, {"a": 1}, {"a": None}, {"a": b"1"}, {b"a": "1"}, {"a": "\ud800"}, {"\udfff": ""}, "a", ["a"], 7],
    ids=ascii,
)
def test_a_context_is_text(context: Any) -> None:
    """Whatever is not a map of text that UTF-8 can carry is refused before KMS sees it."""
    manager = CountingManager(FixedKeys())
    with pytest.raises(ConfigurationError, match="text to text"):
        begin(manager, encryption_context=context)
    assert manager.calls == 0


@pytest.mark.parametrize(
    "keyring", [AesKeyring(AES_KEY), RsaKeyring(public_key=vector("java/java4-rsa2048-meta-17").key["public_pem"])]
)
def test_a_context_for_a_raw_key_is_refused(keyring: Any) -> None:
    """A raw key binds no context, so a caller who gives one would believe in a protection that is not there."""
    manager = CountingManager(DefaultMaterialsManager(keyring))
    with pytest.raises(ConfigurationError, match="material_description"):
        begin(manager, encryption_context={"a": "1"})
    assert manager.calls == 0
    assert begin(manager, encryption_context={})[0].description == {}


def test_a_keyring_that_only_decrypts_is_not_asked(kms: Any) -> None:
    """A discovery keyring has no key to encrypt with."""
    manager = CountingManager(DefaultMaterialsManager(KmsDiscoveryKeyring(client=kms)))
    with pytest.raises(ConfigurationError, match="only decrypts"):
        begin(manager)
    assert manager.calls == 0


def test_the_callers_context_is_not_changed() -> None:
    """The reserved pair goes into a copy."""
    context = {"a": "1"}
    begin(FixedKeys(), encryption_context=context)
    assert context == {"a": "1"}


class Answers(FixedKeys):
    """A manager of somebody's own with a mistake in it."""

    def __init__(self, spoil: Callable[[EncryptionMaterials], EncryptionMaterials], **options: Any) -> None:
        super().__init__(**options)
        self._spoil = spoil

    def get_encryption_materials(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """The right answer, spoilt."""
        return self._spoil(super().get_encryption_materials(request))


def spoilt(**fields: Any) -> Callable[[EncryptionMaterials], EncryptionMaterials]:
    """Changes some fields of an answer."""

    def spoil(materials: EncryptionMaterials) -> EncryptionMaterials:
        answer = {
            "algorithm_suite": materials.algorithm_suite,
            "plaintext_data_key": materials.plaintext_data_key,
            "encrypted_data_key": materials.encrypted_data_key,
            "description": materials.description,
        }
        return EncryptionMaterials(**{**answer, **fields})

    return spoil


def wrapped(ciphertext: bytes, algorithm: WrappingAlgorithm) -> dict[str, EncryptedDataKey]:
    """The field of an encrypted data key."""
    return {"encrypted_data_key": EncryptedDataKey(ciphertext, algorithm)}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"algorithm_suite": GCM}, "another algorithm suite"),
        ({"algorithm_suite": CBC}, "another algorithm suite"),
        ({"plaintext_data_key": None}, "32 bytes"),
        ({"plaintext_data_key": "x" * 32}, "32 bytes"),
        ({"plaintext_data_key": b""}, "32 bytes"),
        ({"plaintext_data_key": bytes(16)}, "32 bytes"),
        ({"plaintext_data_key": bytes(33)}, "32 bytes"),
        (wrapped(b"", WrappingAlgorithm.KMS_CONTEXT), "empty"),
        (wrapped(b"x" + DATA_KEY + b"y", WrappingAlgorithm.KMS_CONTEXT), "plaintext one"),
        *[
            (wrapped(b"wrapped", algorithm), "only for reading")
            for algorithm in WrappingAlgorithm
            if algorithm.is_legacy
        ],
        ({"description": None}, "text to text"),
        ({"description": {}}, "does not hold"),
        ({"description": {"aws:x-amz-cek-alg": "115"}}, "does not hold"),
        ({"description": {"team": "hr"}}, "does not hold"),
        ({"description": {"team": "hr", "aws:x-amz-cek-alg": "AES/GCM/NoPadding"}}, "does not hold"),
        ({"description": {"team": "it", "aws:x-amz-cek-alg": "115"}}, "does not hold"),
        ({"description": {"team": "hr", "aws:x-amz-cek-alg": "115", "n": 1}}, "text to text"),
        ({"description": {"team": "hr", "aws:x-amz-cek-alg": "115", "n": "\ud800"}}, "text to text"),
    ],
)
def test_an_answer_that_does_not_obey_the_request_is_refused(fields: dict[str, Any], reason: str) -> None:
    """A mistake of a custom keyring ends in an error that says which, and in no object."""
    with pytest.raises(KeyringError, match=reason) as refusal:
        begin(Answers(spoilt(**fields)), encryption_context={"team": "hr"})
    assert DATA_KEY.hex() not in str(refusal.value)


def test_an_answer_under_a_raw_key_needs_no_reserved_pair() -> None:
    """Only ``kms+context`` binds the content algorithm in the description."""
    answer = spoilt(**wrapped(b"wrapped", WrappingAlgorithm.AES_GCM), description={"key": "2026"})
    content_metadata, _ = begin(Answers(answer))
    assert content_metadata.description == {"key": "2026"}
    assert content_metadata.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.AES_GCM


def test_secrets_are_in_no_representation() -> None:
    """Neither the metadata nor the cipher shows a key."""
    content_metadata, cipher = begin(FixedKeys())
    for secret in (DATA_KEY, cipher.key.reveal()):
        for text in (repr(content_metadata), repr(cipher)):
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text
