from __future__ import annotations

import array
import base64
import copy
import inspect
import pickle
import re
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from hypothesis import given
from hypothesis import strategies as st

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH, AlgorithmSuite, WrappingAlgorithm
from s3ec.crypto import derivation
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.derivation import Derivation
from s3ec.crypto.legacy.content import CbcCipher, not_committing
from s3ec.errors import AuthenticationError, KeyUnwrapError, ObjectTooLargeError
from s3ec.materials import EncryptedDataKey
from s3ec.secrets import Secret

COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF

KEY = bytes(range(32))
IV12 = bytes(range(12))
IV16 = bytes(range(16))

COMMITTING_CIPHER = ContentCipher(COMMITTING, KEY, derivation.COMMITTING_IV, derivation.COMMITTING_AAD)
GCM_CIPHER = ContentCipher(GCM, KEY, IV12)
CBC_CIPHER = CbcCipher(CBC, KEY, IV16)
CBC_UNPADDED = CbcCipher(CBC, KEY, IV16, padded=False)

chunks = st.lists(st.binary(max_size=100), max_size=8)
gcm_ciphers = st.sampled_from(
    [COMMITTING_CIPHER, GCM_CIPHER, ContentCipher(GCM, KEY[:16], IV12), ContentCipher(GCM, KEY[:24], IV12, b"aad")]
)


def encrypt(cipher: ContentCipher, plaintext: bytes) -> tuple[bytes, bytes]:
    """The ciphertext and its tag."""
    encryptor = cipher.encryptor()
    return encryptor.update(plaintext), encryptor.finalize()


def encrypt_cbc(plaintext: bytes, *, padded: bool = True) -> bytes:
    """What a first-generation client stores."""
    if padded:
        count = 16 - len(plaintext) % 16
        plaintext += bytes([count]) * count
    encryptor = Cipher(AES(KEY), modes.CBC(IV16)).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


class TestKnownAnswer:
    """A whole committing object of the Go client's tests."""

    DATA_KEY = base64.b64decode("lP6AbIQTmptyb/+WQq+ubDw+w7na0T1LGSByZGuaono=")
    MESSAGE_ID = base64.b64decode("sE9zLb4tsEBJkvEhLMZFxMj9oZJBbQ6ZOgOqHA==")
    COMMITMENT = base64.b64decode("6JOSx47RkdyfciJkNauuC4RpkMcWZY4a+i1RzQ==")
    CONTENT_KEY = bytes.fromhex("0bd256e569a37d67567f522c38dbe32fdd0c1e28333dec1324197b54325eade6")
    BODY = bytes.fromhex(
        "2d4ff4dafe27f69f628872d82b5a1002ed1a21b8485d532bd8159f6487945b3641af5865fc0a029a3650053600c6d213"
        "625b9a0cc9c239577c09f3423dedc5641e88b6835824417c"
    )
    PLAINTEXT = bytes.fromhex(
        "8f2c59c6dbfcacf356f3da40788cbde67ca38161a4702cbcf757af663e1c24a600001b2f500417dbf5a050f57db67374"
        "22b2ed6a44c75e0d"
    )

    def cipher(self) -> ContentCipher:
        """From the data key, as the gate does it."""
        assert Derivation(self.DATA_KEY, self.MESSAGE_ID).commitment() == self.COMMITMENT
        content_key = Derivation(self.DATA_KEY, self.MESSAGE_ID).content_key()
        assert content_key == self.CONTENT_KEY
        return ContentCipher(COMMITTING, content_key, derivation.COMMITTING_IV, derivation.COMMITTING_AAD)

    def test_decrypt(self) -> None:
        """The object opens and verifies."""
        decryptor = self.cipher().decryptor()
        assert decryptor.update(self.BODY[:-16]) == self.PLAINTEXT
        decryptor.verify(self.BODY[-16:])

    def test_encrypt(self) -> None:
        """Encrypting gives the same bytes."""
        assert b"".join(encrypt(self.cipher(), self.PLAINTEXT)) == self.BODY

    def test_from_block_two(self) -> None:
        """Block 2 opens by AES-CTR with counter 4."""
        assert self.cipher().decryptor_at(32).update(self.BODY[32:-16]) == self.PLAINTEXT[32:]


@given(cipher=gcm_ciphers, pieces=chunks)
def test_gcm_in_any_chunks_is_gcm_at_once(cipher: ContentCipher, pieces: list[bytes]) -> None:
    """However the plaintext is cut, the object is what one-shot AES-GCM gives, and comes back."""
    plaintext = b"".join(pieces)
    encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
    encrypted = [encryptor.update(piece) for piece in pieces]
    tag = encryptor.finalize()
    assert b"".join(encrypted) + tag == AESGCM(cipher.key.reveal()).encrypt(cipher.iv, plaintext, cipher.aad)
    assert b"".join(decryptor.update(piece) for piece in encrypted) == plaintext
    decryptor.verify(tag)


@given(cipher=gcm_ciphers, plaintext=st.binary(max_size=100))
def test_at_once_is_the_same_as_in_a_stream(cipher: ContentCipher, plaintext: bytes) -> None:
    """Ciphertext with its tag behind it, and back, whichever way it is done."""
    whole = cipher.encrypt(plaintext)
    assert whole == b"".join(encrypt(cipher, plaintext))
    assert cipher.decrypt(memoryview(whole)) == plaintext


@given(cipher=gcm_ciphers, plaintext=st.binary(max_size=100), position=st.integers(min_value=0))
def test_at_once_nothing_altered_or_cut_off_verifies(cipher: ContentCipher, plaintext: bytes, position: int) -> None:
    """Nothing comes out of content that is not what was encrypted, down to no bytes at all."""
    whole = bytearray(cipher.encrypt(plaintext))
    position %= len(whole)
    for other in (whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :], whole[:position]):
        with pytest.raises(AuthenticationError):
            cipher.decrypt(bytes(other))


def test_cbc_is_neither_written_nor_read_at_once() -> None:
    """What has no tag goes through the stream that takes its padding off."""
    for way in (CBC_CIPHER.encrypt, CBC_CIPHER.decrypt):
        with pytest.raises(ValueError, match="AES-CBC"):
            way(b"x" * 32)


@given(cipher=gcm_ciphers, pieces=chunks)
def test_one_buffer_serves_every_chunk(cipher: ContentCipher, pieces: list[bytes]) -> None:
    """`update_into` a buffer that is used again gives the same, for encryption, decryption and counter mode."""
    ciphertext, tag = encrypt(cipher, b"".join(pieces))
    buffer = bytearray(100 + 15)
    view = memoryview(buffer)

    def run(update_into: Callable[[memoryview, bytearray], int], data: bytes) -> bytes:
        result, left = b"", memoryview(data)
        for piece in pieces:
            count = update_into(left[: len(piece)], buffer)
            assert count == len(piece)
            result += view[:count]
            left = left[count:]
        return result

    encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
    assert run(encryptor.update_into, b"".join(pieces)) == ciphertext
    assert encryptor.finalize() == tag
    assert run(decryptor.update_into, ciphertext) == b"".join(pieces)
    decryptor.verify(tag)
    assert run(cipher.decryptor_at(0).update_into, ciphertext) == b"".join(pieces)


@given(cipher=gcm_ciphers, plaintext=st.binary(max_size=300), block=st.integers(0, 20))
def test_any_block_is_where_counter_mode_can_start(cipher: ContentCipher, plaintext: bytes, block: int) -> None:
    """From any offset of whole blocks, decryption and encryption give the slice of the whole stream."""
    ciphertext, _ = encrypt(cipher, plaintext)
    offset = 16 * block
    assert cipher.decryptor_at(offset).update(ciphertext[offset:]) == plaintext[offset:]
    assert cipher.encryptor_at(offset).update(plaintext[offset:]) == ciphertext[offset:]


def test_the_last_blocks_of_the_greatest_object() -> None:
    """Up to the last byte that GCM allows the counter fills four bytes and leaves the IV alone."""
    last = GCM_MAX_PLAINTEXT_LENGTH - 16
    assert (2 + last // 16) == 2**32 - 1
    counters = IV12 + b"\xff\xff\xff\xfe" + IV12 + b"\xff\xff\xff\xff"
    keystream = Cipher(AES(KEY), modes.ECB()).encryptor().update(counters)  # noqa: S305 - what GCM is made of
    assert GCM_CIPHER.decryptor_at(last - 16).update(bytes(32)) == keystream
    assert GCM_CIPHER.decryptor_at(last).update(bytes(16)) == keystream[16:]


def test_nothing_is_processed_past_the_greatest_length() -> None:
    """A byte too many is refused before any of its chunk is processed; the bytes that still fit go on."""
    for make in (GCM_CIPHER.decryptor_at, GCM_CIPHER.encryptor_at):
        stream, buffer = make(GCM_MAX_PLAINTEXT_LENGTH - 32), bytearray(64)
        expected = make(GCM_MAX_PLAINTEXT_LENGTH - 32).update(bytes(32))
        with pytest.raises(ObjectTooLargeError):
            stream.update(bytes(33))
        with pytest.raises(ObjectTooLargeError):
            stream.update_into(bytes(33), buffer)
        assert buffer == bytes(64)
        assert stream.update(bytes(31)) + stream.update(bytes(1)) == expected
        assert stream.update(b"") == b""
        with pytest.raises(ObjectTooLargeError):
            stream.update(b"x")
        assert make(GCM_MAX_PLAINTEXT_LENGTH).update(b"") == b""
        with pytest.raises(ObjectTooLargeError):
            make(GCM_MAX_PLAINTEXT_LENGTH).update(b"x")


def test_the_encryptor_counts_every_byte() -> None:
    """The whole stream is counted over all calls, by bytes and not by items of a buffer."""
    items = memoryview(array.array("I", [0] * 8))
    for update in ("update", "update_into"):
        encryptor = GCM_CIPHER.encryptor()
        encryptor._room = 64 + 31  # the real limit would take 64 GiB to reach
        arguments = (items, bytearray(64)) if update == "update_into" else (items,)
        getattr(encryptor, update)(*arguments)
        getattr(encryptor, update)(*arguments)
        with pytest.raises(ObjectTooLargeError, match=str(GCM_MAX_PLAINTEXT_LENGTH)):
            getattr(encryptor, update)(*arguments)


@pytest.mark.parametrize("offset", [-16, -1, 1, 15, 17, GCM_MAX_PLAINTEXT_LENGTH + 16])
def test_offsets_that_are_no_block_are_refused(offset: int) -> None:
    """Counter mode starts at a block of the stream and nowhere else."""
    with pytest.raises(ValueError, match="offset"):
        GCM_CIPHER.decryptor_at(offset)
    with pytest.raises(ValueError, match="offset"):
        GCM_CIPHER.encryptor_at(offset)


@given(cipher=gcm_ciphers, plaintext=st.binary(max_size=64), position=st.integers(0, 8 * 80 - 1))
def test_a_flipped_bit_does_not_verify(cipher: ContentCipher, plaintext: bytes, position: int) -> None:
    """One changed bit of ciphertext or tag is one error, with nothing chained to it."""
    body = bytearray(b"".join(encrypt(cipher, plaintext)))
    body[position // 8 % len(body)] ^= 1 << position % 8
    decryptor = cipher.decryptor()
    decryptor.update(body[:-16])
    with pytest.raises(AuthenticationError) as caught:
        decryptor.verify(body[-16:])
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("length", [0, 1, 4, 12, 15, 17, 32])
def test_a_tag_of_another_length_does_not_verify(length: int) -> None:
    """A shortened tag is not a tag: else four bytes could be guessed."""
    ciphertext, tag = encrypt(GCM_CIPHER, b"content")
    decryptor = GCM_CIPHER.decryptor()
    decryptor.update(ciphertext)
    with pytest.raises(AuthenticationError):
        decryptor.verify((tag * 2)[:length])


def test_a_tag_may_be_any_buffer() -> None:
    """A tag that was read into a buffer needs no copy by the caller."""
    ciphertext, tag = encrypt(GCM_CIPHER, b"content")
    for form in (bytearray, memoryview):
        decryptor = GCM_CIPHER.decryptor()
        decryptor.update(ciphertext)
        decryptor.verify(form(tag))


def test_additional_data_and_key_are_authenticated() -> None:
    """An object opens neither with other additional data nor with another key."""
    ciphertext, tag = encrypt(COMMITTING_CIPHER, b"content")
    for other in (
        ContentCipher(COMMITTING, KEY, derivation.COMMITTING_IV),
        ContentCipher(COMMITTING, KEY[::-1], derivation.COMMITTING_IV, derivation.COMMITTING_AAD),
        ContentCipher(COMMITTING, KEY, bytes(12), derivation.COMMITTING_AAD),
    ):
        decryptor = other.decryptor()
        decryptor.update(ciphertext)
        with pytest.raises(AuthenticationError):
            decryptor.verify(tag)


def test_encrypting_in_place() -> None:
    """The data may lie where the output goes."""
    buffer = bytearray(b"sixteen bytes...and some more" + bytes(15))
    length = len(buffer) - 15
    expected = GCM_CIPHER.encryptor().update(buffer[:length])
    assert GCM_CIPHER.encryptor().update_into(memoryview(buffer)[:length], buffer) == length
    assert buffer[:length] == expected


def test_a_short_buffer_changes_nothing() -> None:
    """A buffer too short is refused before anything is encrypted or counted."""
    encryptor = GCM_CIPHER.encryptor()
    with pytest.raises(ValueError, match="buffer"):
        encryptor.update_into(b"x" * 32, bytearray(31))
    assert (encryptor.update(b"content"), encryptor.finalize()) == encrypt(GCM_CIPHER, b"content")
    assert encryptor._room == GCM_MAX_PLAINTEXT_LENGTH - len(b"content")


@given(plaintext=st.binary(max_size=200), cuts=st.lists(st.integers(0, 220), max_size=5))
def test_cbc_in_any_chunks(plaintext: bytes, cuts: list[int]) -> None:
    """However the ciphertext is cut, all plaintext comes out and the padding does not."""
    ciphertext = encrypt_cbc(plaintext)
    bounds = [0, *sorted(cuts), len(ciphertext)]
    pieces = [ciphertext[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    decryptor = CBC_CIPHER.decryptor()
    assert b"".join([*map(decryptor.update, pieces), decryptor.finish()]) == plaintext


@given(plaintext=st.binary(max_size=6).map(lambda block: block * 16))
def test_cbc_without_padding(plaintext: bytes) -> None:
    """Content whose writer chose no padding comes out whole."""
    for decryptor in (CBC_UNPADDED.decryptor(), CBC_UNPADDED.decryptor_from(IV16, reaches_end=True)):
        assert decryptor.update(encrypt_cbc(plaintext, padded=False)) + decryptor.finish() == plaintext


@given(plaintext=st.binary(min_size=1, max_size=200), data=st.data())
def test_cbc_from_the_middle(plaintext: bytes, data: st.DataObject) -> None:
    """From any block on, the one before it serves as IV; padding is taken off only where the end is reached."""
    ciphertext = encrypt_cbc(plaintext)
    start = data.draw(st.integers(0, len(ciphertext) // 16 - 1))
    end = data.draw(st.integers(start + 1, len(ciphertext) // 16))
    previous = IV16 if start == 0 else ciphertext[16 * start - 16 : 16 * start]
    reaches_end = 16 * end == len(ciphertext)
    decryptor = CBC_CIPHER.decryptor_from(previous, reaches_end=reaches_end)
    found = decryptor.update(ciphertext[16 * start : 16 * end]) + decryptor.finish()
    assert found == plaintext[16 * start : 16 * end]


def cbc_faults() -> list[bytes]:
    """Ciphertexts that cannot be right: of impossible length, and with every kind of wrong padding."""
    block = b"fifteen bytes.."
    paddings = [b"\x00", b"\x11", b"\x02", b"\xff"]
    return [
        b"",
        b"short",
        encrypt_cbc(b"content")[:-1],
        encrypt_cbc(b"content") + b"x",
        *(encrypt_cbc(block + padding, padded=False) for padding in paddings),
    ]


@pytest.mark.parametrize("ciphertext", cbc_faults())
def test_every_fault_of_cbc_is_one_error(ciphertext: bytes) -> None:
    """Length and padding faults have one class and one text and no cause: telling them apart would decrypt objects."""
    decryptor = CBC_CIPHER.decryptor()
    decryptor.update(ciphertext)
    with pytest.raises(AuthenticationError) as caught:
        decryptor.finish()
    assert str(caught.value) == str(CBC_CIPHER.failure())
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_content_without_padding_has_whole_blocks() -> None:
    """A last block that is not whole is the same one error."""
    decryptor = CBC_UNPADDED.decryptor()
    decryptor.update(b"x" * 17)
    with pytest.raises(AuthenticationError):
        decryptor.finish()


def test_the_failure_can_be_that_of_the_wrapping() -> None:
    """Both kinds of content answer with the error that the cipher was given."""

    def failure() -> KeyUnwrapError:
        return KeyUnwrapError("one text")

    for cipher, end in (
        (CbcCipher(CBC, KEY, IV16, failure=failure), lambda decryptor: decryptor.finish()),
        (ContentCipher(GCM, KEY, IV12, failure=failure), lambda decryptor: decryptor.verify(bytes(16))),
    ):
        with pytest.raises(KeyUnwrapError, match="^one text$"):
            end(cipher.decryptor())
    decryptor = CbcCipher(CBC, KEY, IV16, failure=failure).decryptor_from(IV16, reaches_end=True)
    with pytest.raises(KeyUnwrapError, match="^one text$"):
        decryptor.finish()


@pytest.mark.parametrize(
    ("suite", "key_length", "iv_length"),
    [
        (COMMITTING, 16, 12),
        (COMMITTING, 24, 12),
        (COMMITTING, 32, 16),
        (GCM, 31, 12),
        (GCM, 32, 16),
        (GCM, 0, 12),
        (CBC, 32, 12),
        (CBC, 15, 16),
    ],
)
def test_lengths_must_be_the_suites(suite: AlgorithmSuite, key_length: int, iv_length: int) -> None:
    """A key or IV of a length that the suite does not know makes no cipher, and the text shows no key."""
    with pytest.raises(ValueError, match=f"{suite.name} takes no key of {key_length} with an IV of {iv_length} bytes"):
        (CbcCipher if suite.is_legacy else ContentCipher)(suite, bytes(key_length), bytes(iv_length))


def test_a_suite_does_not_pass_for_another() -> None:
    """CBC is never written nor read as a stream of counters, GCM never as CBC, and each ends in its own way."""
    for use in (CBC_CIPHER.encryptor, lambda: CBC_CIPHER.encryptor_at(0), lambda: CBC_CIPHER.decryptor_at(0)):
        with pytest.raises(ValueError, match="AES-CBC"):
            use()
    with pytest.raises(ValueError, match="ALG_AES_256_CBC_IV16_NO_KDF is not of ContentCipher"):
        ContentCipher(CBC, KEY, IV16)
    with pytest.raises(ValueError, match="ALG_AES_256_GCM_IV12_TAG16_NO_KDF is not of CbcCipher"):
        CbcCipher(GCM, KEY, IV12)
    assert not hasattr(GCM_CIPHER, "decryptor_from")
    assert not hasattr(GCM_CIPHER.decryptor(), "finish")
    with pytest.raises(ValueError, match=r"finish\(\)"):
        CBC_CIPHER.decryptor().verify(bytes(16))
    with pytest.raises(ValueError, match=r"update\(\)"):
        CBC_CIPHER.decryptor().update_into(bytes(16), bytearray(64))
    with pytest.raises(ValueError, match="additional"):
        CbcCipher(CBC, KEY, IV16, b"aad")


@pytest.mark.parametrize("cipher", [COMMITTING_CIPHER, GCM_CIPHER, CBC_CIPHER], ids=lambda cipher: cipher.suite.name)
def test_the_key_stays(cipher: ContentCipher) -> None:
    """The key is in no repr, and neither pickling nor copying takes it along, of a cipher or of what it made."""
    made = [cipher, cipher.decryptor()]
    if not cipher.suite.is_legacy:
        made += [cipher.encryptor(), cipher.decryptor_at(0), cipher.encryptor_at(0)]
    for holder in made:
        assert repr(KEY)[2:-1] not in repr(holder)
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="secret"):
                take(holder)


@pytest.mark.parametrize(
    ("kind", "shown", "by_name"),
    [
        (ContentCipher, ["suite", "iv", "aad"], {"failure"}),
        (CbcCipher, ["suite", "iv", "aad", "padded"], {"failure", "padded", "rejected"}),
    ],
)
def test_what_a_cipher_shows_and_takes(kind: type[ContentCipher], shown: list[str], by_name: set[str]) -> None:
    """Not its key, not which error it raises, and not whether its key is a substitute; what is decided, by name."""
    cipher = kind(CBC if kind is CbcCipher else GCM, KEY, IV16 if kind is CbcCipher else IV12)
    assert re.findall(r"[(,] ?(\w+)=", repr(cipher)) == shown
    parameters = inspect.signature(kind).parameters.values()
    assert {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY} == by_name


def test_content_without_commitment_is_padded_unless_it_says_otherwise() -> None:
    """As all clients but one write it."""
    encrypted = EncryptedDataKey(bytes(48), WrappingAlgorithm.AES_ECB)
    for options, padded in (({}, True), ({"padded": False}, False)):
        cipher = not_committing(CBC, Secret(KEY), encrypted, IV16, **options)
        decryptor = cipher.decryptor()
        assert decryptor.update(encrypt_cbc(b"x" * 16, padded=padded)) + decryptor.finish() == b"x" * 16
