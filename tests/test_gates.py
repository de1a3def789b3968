"""The gates as request and answer, and the proof that nothing asks for a data key in another way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import s3ec
from s3ec import decryption, encryption
from s3ec.algorithms import CommitmentPolicy, WrappingAlgorithm
from s3ec.errors import CommitmentMismatchError, KeyringError, KeyUnwrapError, S3ECError
from s3ec.formats import ContentMetadata
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
    content_metadata: ContentMetadata, manager: MaterialsManager, policy: CommitmentPolicy = REQUIRE
) -> decryption.Checked:
    """What the gate of reads lets through."""
    return decryption.check(
        content_metadata,
        materials_manager=manager,
        commitment_policy=policy,
        enable_legacy_unauthenticated_modes=False,
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
