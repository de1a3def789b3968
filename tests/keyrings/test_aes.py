from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from s3ec.algorithms import AlgorithmSuite, WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError, LegacyAlgorithmError
from s3ec.keyrings import AesKeyring
from s3ec.materials import EncryptedDataKey, Keyring

from support.keyrings import CBC, COMMITTING, GCM, read_back, read_request, write_request

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
OLDEST = bytes(range(16))
DATA_KEY = bytes(range(32, 64))


@given(
    key=st.sampled_from([16, 24, 32]).flatmap(lambda length: st.binary(min_size=length, max_size=length)),
    suite=st.sampled_from([COMMITTING, GCM]),
    description=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
def test_what_it_writes_it_reads(key: bytes, suite: AlgorithmSuite, description: dict[str, str]) -> None:
    """The data key of any object comes back, and the description is stored as it was given."""
    keyring = AesKeyring(key, material_description=description)
    written = keyring.on_encrypt(write_request(suite))
    assert written.algorithm_suite is suite
    assert written.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.AES_GCM
    assert len(written.plaintext_data_key) == 32
    assert len(written.encrypted_data_key.ciphertext) == 60
    assert written.description == description
    assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key


def test_every_object_has_its_own_data_key() -> None:
    """No data key is made twice."""
    keyring = AesKeyring(KEY)
    assert len({keyring.on_encrypt(write_request()).plaintext_data_key for _ in range(50)}) == 50


def test_the_content_algorithm_is_bound() -> None:
    """An object relabelled as another suite does not open."""
    keyring = AesKeyring(KEY)
    written = keyring.on_encrypt(write_request(GCM))
    with pytest.raises(KeyUnwrapError):
        keyring.on_decrypt(read_request(written.encrypted_data_key, COMMITTING))


class TestSelection:
    """Which of several keys opens an object."""

    def keyring(self) -> AesKeyring:
        """A default key and two older ones."""
        return AesKeyring(
            KEY,
            material_description={"key": "new"},
            additional_decryption_keys=[({"key": "old", "site": "a"}, OTHER), ({"key": "oldest"}, OLDEST)],
        )

    @pytest.mark.parametrize(
        ("key", "description"),
        [
            (KEY, {"key": "new"}),
            (OTHER, {"site": "a", "key": "old"}),
            (OLDEST, {"key": "oldest"}),
            (KEY, {}),
            (KEY, {"key": "unheard of"}),
            (KEY, {"key": "old"}),
            (KEY, {"key": "old", "site": "a", "more": ""}),
        ],
    )
    def test_an_exact_description_selects_and_else_the_default(self, key: bytes, description: dict[str, str]) -> None:
        """An additional key is taken for exactly its description; the default one for everything else."""
        written = AesKeyring(key, material_description=description).on_encrypt(write_request())
        opened = self.keyring().on_decrypt(read_back(written))
        assert opened.plaintext_data_key == written.plaintext_data_key

    def test_a_selected_key_that_does_not_fit_is_not_replaced(self) -> None:
        """The key that is selected is the only one tried: a description cannot make the keyring guess."""
        written = AesKeyring(KEY, material_description={"key": "oldest"}).on_encrypt(write_request())
        with pytest.raises(KeyUnwrapError):
            self.keyring().on_decrypt(read_back(written))

    def test_new_objects_are_written_with_the_default_key(self) -> None:
        """Additional keys only decrypt."""
        written = self.keyring().on_encrypt(write_request())
        assert written.description == {"key": "new"}
        assert AesKeyring(KEY).on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key

    @pytest.mark.parametrize("description", [{}, {"key": "new"}])
    def test_two_keys_of_one_description_are_refused(self, description: dict[str, str]) -> None:
        """Ambiguity is a mistake of configuration, whether the default key or another one is meant twice."""
        with pytest.raises(ConfigurationError, match="same material description"):
            AesKeyring(KEY, material_description=description, additional_decryption_keys=[(dict(description), OTHER)])


def test_the_callers_description_may_change_afterwards() -> None:
    """Nothing of the caller's is kept, and nothing of the keyring's is given away."""
    description = {"key": "1"}
    keyring = AesKeyring(KEY, material_description=description)
    description["key"] = "2"
    keyring.on_encrypt(write_request()).description["key"] = "3"  # type: ignore[index]  # what a caller might do
    assert keyring.on_encrypt(write_request()).description == {"key": "1"}


def test_legacy_wrapping_needs_its_leave() -> None:
    """A wrapping that binds nothing is refused before any key is used, and the error names the option."""
    request = read_request(EncryptedDataKey(aes_key_wrap(KEY, DATA_KEY), WrappingAlgorithm.AES_WRAP), CBC)
    with pytest.raises(LegacyAlgorithmError, match="enable_legacy_wrapping_algorithms=True") as caught:
        AesKeyring(KEY).on_decrypt(request)
    assert caught.value.setting == "enable_legacy_wrapping_algorithms"
    keyring = AesKeyring(KEY, enable_legacy_wrapping_algorithms=True)
    assert keyring.on_decrypt(request).plaintext_data_key == DATA_KEY


def test_another_kind_of_wrapping_is_refused() -> None:
    """A data key of another family is not this keyring's to open."""
    for algorithm in WrappingAlgorithm:
        if algorithm.family != "aes":
            with pytest.raises(KeyringError, match=algorithm.family):
                AesKeyring(KEY, enable_legacy_wrapping_algorithms=True).on_decrypt(
                    read_request(EncryptedDataKey(b"x", algorithm))
                )


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(31), bytes(33), "0" * 32, memoryview(KEY), None, [KEY]])
def test_what_is_no_key_is_refused(key: object) -> None:
    """Only raw bytes of an AES key's length are a key, as default and as additional one; the text shows none of it."""
    with pytest.raises(ConfigurationError, match="AES wrapping key"):
        AesKeyring(key)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigurationError, match="AES wrapping key"):
        AesKeyring(KEY, additional_decryption_keys=[({"a": "b"}, key)])  # type: ignore[list-item]  # as above


@pytest.mark.parametrize("description", [{"a": 1}, {1: "a"}, {"a": "\ud800"}, {"\udfff": "b"}, [("a", "b")], "text"])
def test_what_is_no_description_is_refused(description: object) -> None:
    """A material description maps text to text."""
    with pytest.raises(ConfigurationError, match="material_description must map str to str"):
        AesKeyring(KEY, material_description=description)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ConfigurationError, match="additional decryption key must map"):
        AesKeyring(KEY, additional_decryption_keys=[(description, KEY)])  # type: ignore[list-item]  # as above


@pytest.mark.parametrize("pairs", [[KEY], [({"a": "b"}, KEY, 1)], [[{"a": "b"}, KEY]], {"a": KEY}])
def test_additional_keys_are_pairs(pairs: object) -> None:
    """Anything but pairs of description and key is refused with a text that says so."""
    with pytest.raises(ConfigurationError, match=r"\(material description, key\)"):
        AesKeyring(KEY, additional_decryption_keys=pairs)  # type: ignore[arg-type]  # the mistake under test


def test_the_key_stays() -> None:
    """No repr of a keyring or of its answers shows a key, and none can be pickled or copied."""
    keyring = AesKeyring(KEY, material_description={"key": "1"}, additional_decryption_keys=[({}, OTHER)])
    assert repr(keyring) == "AesKeyring(<256 bits>, material_description={'key': '1'})"
    written = keyring.on_encrypt(write_request())
    opened = keyring.on_decrypt(read_back(written))
    for holder in (keyring, written, opened):
        assert repr(written.plaintext_data_key)[2:-1] not in repr(holder)
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                take(holder)


def test_it_is_a_keyring() -> None:
    """It has the members of the protocol and says what it can open."""
    keyring = AesKeyring(KEY)
    assert isinstance(keyring, Keyring)
    assert keyring.capabilities.encrypts
    assert not keyring.capabilities.binds_encryption_context
    assert not keyring.capabilities.enable_legacy_wrapping_algorithms
    assert {algorithm.family for algorithm in keyring.capabilities.wrapping_algorithms} == {"aes"}


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_hexadecimal_digits_are_not_a_key(bits: int) -> None:
    """Of 128 bits they would pass for a key of 256; the text says what to give instead, and nothing of the key."""
    digits = KEY[: bits // 8].hex().encode()
    for key in (digits, digits.upper()):
        with pytest.raises(ConfigurationError, match=r"hexadecimal digits.*bytes\.fromhex") as refusal:
            AesKeyring(key)
        assert key.decode() not in str(refusal.value)
    with pytest.raises(ConfigurationError, match="hexadecimal"):
        AesKeyring(KEY, additional_decryption_keys=[({"a": "b"}, digits)])
