from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.stub import Stubber

from s3ec.algorithms import WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError, LegacyAlgorithmError
from s3ec.keyrings import KmsDiscoveryKeyring, KmsKeyring
from s3ec.materials import DecryptionMaterialsRequest, EncryptedDataKey, Keyring

from support.keyrings import CBC, read_back, read_request, write_request

ACCOUNT, REGION = "111122223333", "eu-west-3"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BLOB = b"an encrypted data key"
DATA_KEY = bytes(range(32))


@pytest.fixture
def stub(kms: Any) -> Iterator[Stubber]:
    """A real client whose answers are written down; a call that is not expected fails the test."""
    with Stubber(kms) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def request(description: dict[str, str] | None = None) -> DecryptionMaterialsRequest:
    """A request for some object."""
    stored = {"aws:x-amz-cek-alg": "115", **(description or {})}
    return read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS_CONTEXT), description=stored)


def test_it_opens_what_any_key_made(kms: Any, kms_key: str) -> None:
    """No key is named: KMS finds it, with the right context only."""
    keyring = KmsDiscoveryKeyring(client=kms)
    for key in (kms_key, kms.create_key()["KeyMetadata"]["Arn"]):
        written = KmsKeyring(key, client=kms).on_encrypt(write_request(encryption_context={"a": "b"}))
        assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key
        with pytest.raises(KeyUnwrapError):
            keyring.on_decrypt(read_back(written, description={"aws:x-amz-cek-alg": "115"}))


def test_the_request_names_no_key(stub: Stubber, kms: Any) -> None:
    """Only the encrypted data key and the stored context are sent, and grant tokens if there are any."""
    expected = {"CiphertextBlob": BLOB, "EncryptionContext": {"aws:x-amz-cek-alg": "115"}}
    stub.add_response("decrypt", {"Plaintext": DATA_KEY}, expected)
    assert KmsDiscoveryKeyring(client=kms).on_decrypt(request()).plaintext_data_key == DATA_KEY
    stub.add_response("decrypt", {"Plaintext": DATA_KEY}, {**expected, "GrantTokens": ["t"]})
    KmsDiscoveryKeyring(client=kms, grant_tokens=["t"]).on_decrypt(request())


@pytest.mark.parametrize(
    ("allowed", "key", "opens"),
    [
        ({"accounts": [ACCOUNT]}, ARN, True),
        ({"regions": [REGION]}, ARN, True),
        ({"accounts": {ACCOUNT, "444455556666"}, "regions": ("us-east-1", REGION)}, ARN, True),
        ({"accounts": ["444455556666"]}, ARN, False),
        ({"regions": ["us-east-1"]}, ARN, False),
        ({"accounts": [ACCOUNT], "regions": ["us-east-1"]}, ARN, False),
        ({"accounts": ["444455556666"], "regions": [REGION]}, ARN, False),
        ({"accounts": [ACCOUNT[:-1]]}, ARN, False),
        ({"accounts": [ACCOUNT]}, "1234abcd-12ab-34cd-56ef-1234567890ab", False),
        ({"accounts": [ACCOUNT]}, None, False),
    ],
)
def test_the_key_that_kms_names_must_be_accepted(
    stub: Stubber, kms: Any, allowed: dict[str, Any], key: str | None, opens: bool
) -> None:
    """A data key that a foreign account's or region's key made, or whose key KMS does not name, is thrown away."""
    stub.add_response("decrypt", {"Plaintext": DATA_KEY, **({"KeyId": key} if key else {})})
    keyring = KmsDiscoveryKeyring(client=kms, **allowed)
    if opens:
        assert keyring.on_decrypt(request()).plaintext_data_key == DATA_KEY
    else:
        with pytest.raises(KeyringError, match="not in the accounts and regions"):
            keyring.on_decrypt(request())


def test_a_foreign_key_in_the_context_is_refused_before_the_call(stub: Stubber, kms: Any) -> None:
    """Old objects name their key: where that is not accepted KMS is not asked; where it is a mere name, it is."""
    keyring = KmsDiscoveryKeyring(client=kms, accounts=[ACCOUNT])
    with pytest.raises(KeyringError, match="444455556666"):
        keyring.on_decrypt(request({"kms_cmk_id": ARN.replace(ACCOUNT, "444455556666")}))
    with pytest.raises(KeyringError, match="arn:nonsense"):
        keyring.on_decrypt(request({"kms_cmk_id": "arn:nonsense"}))
    for name in (ARN, "alias/a"):
        stub.add_response("decrypt", {"Plaintext": DATA_KEY, "KeyId": ARN})
        assert keyring.on_decrypt(request({"kms_cmk_id": name})).plaintext_data_key == DATA_KEY


def test_legacy_wrapping_needs_its_leave(stub: Stubber, kms: Any) -> None:
    """`kms` is refused without a call until it is allowed."""
    legacy = read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS), CBC, {"kms_cmk_id": "alias/a"})
    with pytest.raises(LegacyAlgorithmError):
        KmsDiscoveryKeyring(client=kms).on_decrypt(legacy)
    stub.add_response("decrypt", {"Plaintext": DATA_KEY[:16]})
    keyring = KmsDiscoveryKeyring(client=kms, enable_legacy_wrapping_algorithms=True)
    assert keyring.on_decrypt(legacy).plaintext_data_key == DATA_KEY[:16]


def test_it_never_writes(stub: Stubber, kms: Any) -> None:
    """It says beforehand that it does not encrypt, and does not when it is asked."""
    keyring = KmsDiscoveryKeyring(client=kms)
    assert not keyring.capabilities.encrypts
    with pytest.raises(KeyringError, match="KmsKeyring"):
        keyring.on_encrypt(write_request())


@pytest.mark.parametrize("names", [[], (), "111122223333", [111122223333]])
@pytest.mark.parametrize("parameter", ["accounts", "regions"])
def test_lists_that_cannot_be_meant_are_refused(parameter: str, names: Any) -> None:
    """An empty list would accept nothing, a single text would be taken letter by letter."""
    with pytest.raises(ConfigurationError, match=parameter):
        KmsDiscoveryKeyring(**{parameter: names})


def test_it_is_a_keyring() -> None:
    """It has the members of the protocol, and its repr says whom it trusts."""
    keyring = KmsDiscoveryKeyring(accounts=[ACCOUNT], regions=["us-east-1", REGION])
    assert isinstance(keyring, Keyring)
    assert keyring.capabilities.binds_encryption_context
    assert repr(keyring) == f"KmsDiscoveryKeyring(accounts=['{ACCOUNT}'], regions=['{REGION}', 'us-east-1'])"
    assert repr(KmsDiscoveryKeyring()) == "KmsDiscoveryKeyring(accounts=None, regions=None)"
