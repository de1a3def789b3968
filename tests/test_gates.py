"""The gates as request and answer, and the proof that nothing asks for a data key in another way."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import s3ec
from s3ec import decryption, encryption
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy, WrappingAlgorithm
from s3ec.errors import CommitmentMismatchError, KeyringError, KeyUnwrapError, S3ECError
from s3ec.formats import ContentMetadata
from s3ec.formats.metadata import MetadataLocation
from s3ec.keyrings import AesKeyring, DefaultMaterialsManager, RsaKeyring
from s3ec.materials import (
    STORED_CONTEXT,
    DecryptionMaterials,
    EncryptedDataKey,
    EncryptionMaterialsRequest,
    MaterialsManager,
)
from s3ec.secrets import Secret

from support.materials import CountingManager
from support.rsa import rsa_key
from support.walking import leaks

ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
PACKAGE = Path(s3ec.__file__).parent


def prepared(manager: MaterialsManager, policy: CommitmentPolicy = REQUIRE) -> EncryptionMaterialsRequest:
    """The request of a write."""
    return encryption.prepare(
        manager.capabilities, commitment_policy=policy, algorithm_suite=None, encryption_context=None
    )


def checked(
    content_metadata: ContentMetadata,
    manager: MaterialsManager,
    policy: CommitmentPolicy = REQUIRE,
    *,
    legacy: bool = False,
) -> decryption.Checked:
    """What the gate of reads lets through."""
    return decryption.check(
        content_metadata,
        materials_manager=manager,
        commitment_policy=policy,
        enable_legacy_unauthenticated_modes=legacy,
        encryption_context=STORED_CONTEXT,
    )


def test_a_data_key_without_commitment_is_given_as_it_is() -> None:
    """Nothing proves it but the content."""
    manager = DefaultMaterialsManager(AesKeyring(bytes(32)))
    request = prepared(manager, FORBID)
    materials = manager.get_encryption_materials(request)
    gate = checked(encryption.finish(request, materials)[0], manager, ALLOW)
    assert gate.data_key(gate.ask().reveal()) == Secret(materials.plaintext_data_key)


def test_a_gate_is_a_request_and_an_answer() -> None:
    """Whoever carries the request out need not be the gate; what is written so is read so."""
    keyring = AesKeyring(bytes(32))
    manager = CountingManager(DefaultMaterialsManager(keyring))
    request = prepared(manager)
    assert manager.calls == 0
    content_metadata, cipher = encryption.finish(request, keyring.on_encrypt(request))
    ciphertext = cipher.encrypt(b"forty bytes")

    gate = checked(content_metadata, manager)
    answer = keyring.on_decrypt(gate.request)
    assert gate.cipher(answer).decrypt(ciphertext) == b"forty bytes"
    assert gate.data_key(answer) == Secret(answer.plaintext_data_key)
    assert manager.calls == 0
    gate.open()
    assert manager.requests == [gate.request]


def test_an_answer_is_checked_whoever_got_it() -> None:
    """Another key than the object commits to, and one of no use at all."""
    manager = DefaultMaterialsManager(AesKeyring(bytes(32)))
    request = prepared(manager)
    content_metadata, _ = encryption.finish(request, manager.get_encryption_materials(request))
    gate = checked(content_metadata, manager)
    for answered in (gate.cipher, gate.data_key):
        with pytest.raises(CommitmentMismatchError):
            answered(DecryptionMaterials(plaintext_data_key=bytes(32)))
        with pytest.raises(KeyringError, match="32 bytes"):
            answered(DecryptionMaterials(plaintext_data_key=bytes(5)))
    other = prepared(manager, FORBID)
    with pytest.raises(KeyringError, match="another algorithm suite"):
        encryption.finish(other, manager.get_encryption_materials(request))


def test_a_refusal_is_told_where_it_may_be() -> None:
    """With AES-GCM the caller hears of it; with RSA only the content fails, and no error leads to the reason."""
    aes, other = AesKeyring(bytes(32)), AesKeyring(bytes(31) + b"1")
    request = prepared(DefaultMaterialsManager(aes))
    content_metadata, _ = encryption.finish(request, aes.on_encrypt(request))
    gate = checked(content_metadata, DefaultMaterialsManager(other))
    with pytest.raises(KeyUnwrapError) as told:
        gate.ask()
    with pytest.raises(KeyUnwrapError):
        gate.pass_on(told.value)

    rsa = RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=True)
    request = prepared(DefaultMaterialsManager(rsa), FORBID)
    content_metadata, _ = encryption.finish(request, rsa.on_encrypt(request))
    damaged = EncryptedDataKey(bytes(255) + b"2", WrappingAlgorithm.RSA_PKCS1)
    gate = checked(replace(content_metadata, encrypted_data_key=damaged), DefaultMaterialsManager(rsa), ALLOW)
    with pytest.raises(KeyUnwrapError) as hidden:
        gate.ask()
    gate.pass_on(hidden.value)
    for cipher in (gate.open(), gate.cipher(None)):
        with pytest.raises(S3ECError) as content:
            cipher.decrypt(bytes(20))
        assert content.value.__context__ is content.value.__cause__ is None


def test_no_answer_commits_to_nothing() -> None:
    """Content that commits to its data key is not tried under the lack of one."""
    manager = DefaultMaterialsManager(AesKeyring(bytes(32)))
    request = prepared(manager)
    content_metadata, _ = encryption.finish(request, manager.get_encryption_materials(request))
    with pytest.raises(CommitmentMismatchError):
        checked(content_metadata, manager).cipher(None)


def test_a_refused_answer_stays_in_no_frame() -> None:
    """Neither the right key under a wrong name, nor another one, for whoever reports the error."""
    manager = DefaultMaterialsManager(AesKeyring(bytes(32)))
    request = prepared(manager)
    materials = manager.get_encryption_materials(request)
    content_metadata, _ = encryption.finish(request, materials)
    gate = checked(content_metadata, manager)
    for key in (os.urandom(32), os.urandom(31)):
        for answered in (gate.cipher, gate.data_key):
            with pytest.raises(S3ECError) as refused:
                answered(DecryptionMaterials(plaintext_data_key=key))
            assert leaks(refused.value, [key]) == []
    with pytest.raises(KeyringError) as refused:
        encryption.finish(prepared(manager, FORBID), materials)
    assert leaks(refused.value, [materials.plaintext_data_key]) == []


def test_no_advice_to_set_what_is_set() -> None:
    """The way out for an instruction file of the Java client is told to those alone who have not gone it."""
    aes = AesKeyring(bytes(32))
    request = prepared(DefaultMaterialsManager(aes), FORBID)
    content_metadata, _ = encryption.finish(request, aes.on_encrypt(request))
    cbc = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
    found = replace(
        content_metadata,
        algorithm_suite=cbc,
        content_algorithm=cbc.content_algorithm,
        location=MetadataLocation.INSTRUCTION_FILE,
        iv=b"1" * 16,
    )
    error = KeyUnwrapError("it does not open")
    for allowed in (False, True):
        manager = DefaultMaterialsManager(AesKeyring(bytes(32), enable_legacy_wrapping_algorithms=allowed))
        gate = checked(found, manager, ALLOW, legacy=True)
        with pytest.raises(KeyUnwrapError) as told:
            gate.pass_on(error)
        assert ("enable_legacy_wrapping_algorithms=True" in str(told.value)) is not allowed


def calls_of(*names: str) -> Iterator[tuple[str, str]]:
    """Module and function in which the package calls something of one of these names."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) in names:
                    yield module, function.name


def test_no_data_key_without_checked() -> None:
    """The gate alone asks for a data key to be opened; between it and a keyring there are only managers."""
    assert set(calls_of("decrypt_materials")) == {("decryption.py", "ask")}
    managers = {(f"keyrings/{name}.py", "decrypt_materials") for name in ("manager", "caching", "prefetching")}
    assert set(calls_of("on_decrypt")) == {*managers, ("migrate/work/limits.py", "on_decrypt")}


def test_checked_is_made_by_the_gate_alone() -> None:
    """Whoever has one has passed the checks."""
    assert set(calls_of("Checked")) == {("decryption.py", "check")}
