from __future__ import annotations

from collections.abc import Callable
from traceback import walk_tb

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from s3ec.crypto import rsa_keys
from s3ec.errors import ConfigurationError
from s3ec.secrets import Secret

from support.rsa import other_rsa_key, rsa_key

EC_KEY = ec.generate_private_key(ec.SECP256R1())

# The library generates none this short.
KEY_OF_512_BITS = """
-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBALR6G1b7BdFtnU5vFDPquE4cmJCBc7yTGax2Dow+U4rnpqPpyfv4
aXZz3riochnH0TUF14wfhudVOSCT20Ing+kCAwEAAQJAebgAyGD0Q5LSDRwNXBZp
xwSyQIOOMxhisFXO6fb/ESaY5AvwJNO7ZaI7jfb6uV9WCtUUAsutofHQegRYCUcO
oQIhANgWwEMYVYhfa7OqZ1UrEuUCIeanQb6su+Zw0FWtQ7y7AiEA1c+INgfNIqVX
BfC5cMvlt3UJ2X7imTZ6czECklZjqasCICXfJucbdrIl9xxP+zhEClW0n/hqy+z9
HRlwIDND4KFNAiEAzukdihwWmpajFq6U5uGLFvT+aSpvo5GjAmLFeFR98i0CIEyN
ficTE7PJi/cXQ/ozhAeWoB5UJ5eKJlDNRXsY85WT
-----END RSA PRIVATE KEY-----
"""


def private_pem(form: PrivateFormat) -> bytes:
    """The test key as PEM."""
    return rsa_key().private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("container", [bytes, bytearray, bytes.decode])
def test_private_keys_are_pem_of_either_kind(form: PrivateFormat, container: type) -> None:
    """PKCS#8 and PKCS#1 load as bytes and as text."""
    loaded = rsa_keys.private_key(container(private_pem(form)))
    assert loaded.private_numbers() == rsa_key().private_numbers()


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
@pytest.mark.parametrize("container", [bytes, bytearray, bytes.decode])
def test_public_keys_are_pem_of_either_kind(form: PublicFormat, container: type) -> None:
    """SubjectPublicKeyInfo and PKCS#1 load as bytes and as text."""
    loaded = rsa_keys.public_key(container(rsa_key().public_key().public_bytes(Encoding.PEM, form)))
    assert rsa_keys.same_key(loaded, rsa_key().public_key())
    assert not rsa_keys.same_key(loaded, other_rsa_key().public_key())


def test_key_objects_pass() -> None:
    """Key objects are taken as they are."""
    assert rsa_keys.private_key(rsa_key()) is rsa_key()
    public_key = rsa_key().public_key()
    assert rsa_keys.public_key(public_key) is public_key


@pytest.mark.parametrize(
    "key",
    [
        b"",
        "no PEM",
        "kein PEM: ü",
        "\ud800",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        EC_KEY,
        EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
        rsa_key().public_key(),
        rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        17,
        None,
    ],
)
def test_what_is_no_private_key_is_refused(key: object) -> None:
    """Anything else is a mistake of configuration, whose text quotes nothing of what was given."""
    with pytest.raises(ConfigurationError, match="private_key|encrypted") as caught:
        rsa_keys.private_key(key)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "no PEM" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        "no PEM",
        EC_KEY.public_key(),
        EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        rsa_key(),
        private_pem(PrivateFormat.PKCS8),
        17,
    ],
)
def test_what_is_no_public_key_is_refused(key: object) -> None:
    """Anything else, a private key included, is a mistake of configuration."""
    with pytest.raises(ConfigurationError, match="public_key") as caught:
        rsa_keys.public_key(key)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("container", [bytes, lambda pem: pem.decode()], ids=["bytes", "str"])
def test_text_that_is_no_public_key_is_called_that(container: Callable[[bytes], object]) -> None:
    """It is not said to have the wrong type."""
    with pytest.raises(ConfigurationError, match="is not a PEM public key"):
        rsa_keys.public_key(container(b"-----BEGIN PUBLIC KEY-----"))


def test_short_keys_are_refused() -> None:
    """Old objects may be read with 1024 bits, nothing new is written for less than 2048."""
    assert rsa_keys.private_key(other_rsa_key(1024)).key_size == 1024
    with pytest.raises(ConfigurationError, match="1024 bits; 2048"):
        rsa_keys.public_key(other_rsa_key(1024).public_key())


def test_a_private_key_below_1024_bits_is_refused() -> None:
    """A key that anybody can factor reads nothing either."""
    with pytest.raises(ConfigurationError, match="private_key has 512 bits; 1024 is the least"):
        rsa_keys.private_key(KEY_OF_512_BITS)


class TestPassphrase:
    """Private keys as PEM that a passphrase opens."""

    LOCKED = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))

    @pytest.mark.parametrize("container", [bytes, bytes.decode, Secret])
    def test_the_passphrase_opens_it(self, container: Callable[[bytes], object]) -> None:
        """Text, bytes or a secret, and so the passphrase."""
        for passphrase in (b"open sesame", Secret(b"open sesame")):
            loaded = rsa_keys.private_key(container(self.LOCKED), passphrase)
            assert rsa_keys.same_key(loaded.public_key(), rsa_key().public_key())

    @pytest.mark.parametrize(
        "passphrase", [b"", None, b"anything", Secret(b"")], ids=["empty", "none", "any", "secret"]
    )
    def test_a_key_that_is_not_encrypted_is_taken_as_it_is(self, passphrase: object) -> None:
        """With a passphrase that nobody needs, and with none."""
        loaded = rsa_keys.private_key(private_pem(PrivateFormat.PKCS8), passphrase)
        assert rsa_keys.same_key(loaded.public_key(), rsa_key().public_key())

    @pytest.mark.parametrize(
        ("pem", "passphrase", "said"),
        [
            (LOCKED, b"wrong horse", "the passphrase does not open"),
            (b"no PEM at all", b"wrong horse", "the passphrase does not open"),
            (LOCKED, b"", "is encrypted"),
            (LOCKED, None, "is encrypted"),
            (b"no PEM at all", b"", "is not a PEM private key"),
        ],
        ids=["wrong", "no key", "empty", "none", "neither"],
    )
    def test_refusals_quote_nothing(self, pem: bytes, passphrase: bytes | None, said: str) -> None:
        """One error without a cause, whose text and frames hold neither key nor passphrase."""
        with pytest.raises(ConfigurationError, match=said) as caught:
            rsa_keys.private_key(pem, passphrase)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
        assert "horse" not in str(caught.value)
        frames = [frame for frame, _ in walk_tb(caught.value.__traceback__)]
        ours = [frame for frame in frames if frame.f_globals["__name__"].startswith("s3ec.")]
        assert ours
        shown = [value for frame in ours for value in frame.f_locals.values() if isinstance(value, (bytes, str))]
        assert not {pem, b"wrong horse"} & set(shown)
