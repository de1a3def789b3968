from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from s3ec import decryption
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy, FormatVersion, WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError, LegacyAlgorithmError
from s3ec.formats import ContentMetadata
from s3ec.keyrings import DefaultMaterialsManager, RsaKeyring
from s3ec.materials import EncryptedDataKey, Keyring

from support.keyrings import CBC, COMMITTING, CONTENT_ALGORITHMS, GCM, read_back, read_request, write_request
from support.rsa import other_rsa_key, rsa_key

PRIVATE_PEM = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_PEM = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DATA_KEY = bytes(range(32))


@pytest.mark.parametrize("suite", [COMMITTING, GCM])
@pytest.mark.parametrize(
    "arguments",
    [
        {"private_key": PRIVATE_PEM},
        {"private_key": PRIVATE_PEM.decode()},
        {"private_key": rsa_key()},
        {"private_key": PRIVATE_PEM, "public_key": PUBLIC_PEM.decode()},
        {"private_key": rsa_key(), "public_key": rsa_key().public_key()},
    ],
)
def test_what_it_writes_it_reads(suite: AlgorithmSuite, arguments: dict[str, Any]) -> None:
    """A private key, in whatever form, reads and implies its public one for writing."""
    keyring = RsaKeyring(**arguments, material_description={"a": "b"})
    assert keyring.capabilities.encrypts
    written = keyring.on_encrypt(write_request(suite))
    assert written.algorithm_suite is suite
    assert written.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.RSA_OAEP_SHA1
    assert len(written.plaintext_data_key) == 32
    assert written.description == {"a": "b"}
    assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key
    other_suite = GCM if suite is COMMITTING else COMMITTING
    with pytest.raises(KeyUnwrapError):
        keyring.on_decrypt(read_request(written.encrypted_data_key, other_suite))


def test_a_public_key_alone_writes_and_does_not_read() -> None:
    """Who has the public key only cannot read, and is told what is missing."""
    writer = RsaKeyring(public_key=PUBLIC_PEM)
    written = writer.on_encrypt(write_request())
    with pytest.raises(KeyringError, match="private_key") as caught:
        writer.on_decrypt(read_back(written))
    assert not isinstance(caught.value, KeyUnwrapError)
    reader = RsaKeyring(private_key=PRIVATE_PEM)
    assert reader.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key


def test_a_short_private_key_reads_and_does_not_write() -> None:
    """Keys of 1024 bits read what was written for them once; nothing new is."""
    keyring = RsaKeyring(private_key=other_rsa_key(1024), enable_legacy_wrapping_algorithms=True)
    assert not keyring.capabilities.encrypts
    with pytest.raises(KeyringError, match="2048"):
        keyring.on_encrypt(write_request())
    ciphertext = other_rsa_key(1024).public_key().encrypt(DATA_KEY, PKCS1v15())
    opened = keyring.on_decrypt(read_request(EncryptedDataKey(ciphertext, WrappingAlgorithm.RSA_PKCS1), CBC))
    assert opened.plaintext_data_key == DATA_KEY


def test_additional_keys_are_selected_by_description() -> None:
    """An older private key opens the objects that carry its description; a writer may have such keys, too."""
    old = RsaKeyring(private_key=other_rsa_key(), material_description={"key": "old"}).on_encrypt(write_request())
    additional = [({"key": "old"}, other_rsa_key())]
    for keyring in (
        RsaKeyring(private_key=rsa_key(), additional_decryption_keys=additional),
        RsaKeyring(public_key=PUBLIC_PEM, additional_decryption_keys=additional),
        RsaKeyring(public_key=PUBLIC_PEM, material_description={"key": "old"}, additional_decryption_keys=additional),
    ):
        assert keyring.on_decrypt(read_back(old)).plaintext_data_key == old.plaintext_data_key
    with pytest.raises(KeyUnwrapError):
        RsaKeyring(private_key=rsa_key(), additional_decryption_keys=additional).on_decrypt(
            read_back(old, description={"key": "unheard of"})
        )


def test_keys_that_do_not_belong_together_are_refused() -> None:
    """A pair that writes what it cannot read would lose data."""
    with pytest.raises(ConfigurationError, match="does not belong"):
        RsaKeyring(private_key=rsa_key(), public_key=other_rsa_key().public_key())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"private_key": "no PEM"},
        {"public_key": PRIVATE_PEM},
        {"private_key": rsa_key(), "public_key": other_rsa_key(1024).public_key()},
        {"private_key": rsa_key(), "material_description": {"a": 1}},
        {"private_key": rsa_key(), "additional_decryption_keys": [({"a": "b"}, PUBLIC_PEM)]},
    ],
)
def test_mistakes_are_found_at_construction(arguments: dict[str, Any]) -> None:
    """No key at all, no key in what was given, or no description: nothing of it waits for the first object."""
    with pytest.raises(ConfigurationError):
        RsaKeyring(**arguments)


def legacy_object(encrypted_data_key: bytes) -> ContentMetadata:
    """The metadata of a first-generation object."""
    return ContentMetadata(
        format=FormatVersion.V1,
        algorithm_suite=CBC,
        content_algorithm=CONTENT_ALGORITHMS[CBC],
        encrypted_data_key=EncryptedDataKey(encrypted_data_key, WrappingAlgorithm.RSA_PKCS1),
        description={},
        iv=b"i" * 16,
    )


def read(content_metadata: ContentMetadata, body: bytes, *, legacy: bool) -> bytes:
    """Read the object as the client does."""
    decryptor = (
        decryption.check(
            content_metadata,
            materials_manager=DefaultMaterialsManager(
                RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=legacy)
            ),
            commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT,
            enable_legacy_unauthenticated_modes=True,
            encryption_context=None,
        )
        .open()
        .decryptor()
    )
    return decryptor.update(body) + decryptor.finish()


def read_error(content_metadata: ContentMetadata, body: bytes, *, legacy: bool) -> tuple[type[BaseException], str]:
    """Class and text of what reading the object ends in."""
    with pytest.raises((KeyringError, LegacyAlgorithmError)) as caught:
        read(content_metadata, body, legacy=legacy)
    assert caught.value.__cause__ is None
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_reader_is_no_padding_oracle(legacy: bool) -> None:
    """Bad padding, a wrong length and content that does not decrypt end in one error, with and without the opt-in."""
    public_key = rsa_key().public_key()
    wrong_padding = pow(2, 65537, public_key.public_numbers().n).to_bytes(256, "big")
    # A block that decrypts to no padding under any of these keys, so that the content must fail.
    encryptor = Cipher(algorithms.AES(DATA_KEY), modes.CBC(b"i" * 16)).encryptor()
    body = encryptor.update(b"last byte is nil" + bytes(16))
    cases = [
        public_key.encrypt(DATA_KEY, PKCS1v15()),
        public_key.encrypt(DATA_KEY[:15], PKCS1v15()),
        public_key.encrypt(b"", PKCS1v15()),
        wrong_padding,
        b"\xff" * 256,
        bytes(256),
        bytes(255),
    ]
    errors = {read_error(legacy_object(case), body, legacy=legacy) for case in cases}
    ((kind, text),) = errors
    assert kind is (KeyUnwrapError if legacy else LegacyAlgorithmError)
    assert not legacy or "RSA without padding" in text


def test_a_keyring_by_itself_refuses_legacy_wrappings() -> None:
    """Without its leave, before the private key is used: also for who asks it without the gate."""
    wrapped = rsa_key().public_key().encrypt(DATA_KEY, PKCS1v15())
    request = read_request(EncryptedDataKey(wrapped, WrappingAlgorithm.RSA_PKCS1), CBC)
    with pytest.raises(LegacyAlgorithmError, match="enable_legacy_wrapping_algorithms=True"):
        RsaKeyring(private_key=rsa_key()).on_decrypt(request)
    keyring = RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=True)
    assert keyring.on_decrypt(request).plaintext_data_key == DATA_KEY
    for algorithm in WrappingAlgorithm:
        if algorithm.family != "rsa":
            with pytest.raises(KeyringError, match=algorithm.family):
                keyring.on_decrypt(read_request(EncryptedDataKey(b"x", algorithm)))


def test_the_key_stays() -> None:
    """The repr shows no key, and the keyring can be neither pickled nor copied."""
    keyring = RsaKeyring(private_key=PRIVATE_PEM, material_description={"a": "b"})
    assert repr(keyring) == "RsaKeyring(<encrypts=True>, material_description={'a': 'b'})"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            take(keyring)


def test_it_is_a_keyring() -> None:
    """It has the members of the protocol and says what it can open."""
    keyring = RsaKeyring(private_key=rsa_key())
    assert isinstance(keyring, Keyring)
    assert not keyring.capabilities.binds_encryption_context
    assert {algorithm.family for algorithm in keyring.capabilities.wrapping_algorithms} == {"rsa"}
