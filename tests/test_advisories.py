"""Known attacks on older formats and clients, each played against this reader."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

import s3ec
from s3ec import AesKeyring, CommitmentPolicy, EncryptionClient, RsaKeyring, decryption, formats
from s3ec.errors import KeyUnwrapError, S3ECError
from s3ec.keyrings import DefaultMaterialsManager

from support import headers
from support.lying_s3 import LyingS3, Stored, lying_s3
from support.rsa import rsa_key

ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
WRAPPING_KEY = bytes(range(32))
PREFIX = "x-amz-meta-x-amz-"
CBC = "AES/CBC/PKCS5Padding"


@pytest.fixture
def server() -> Iterator[LyingS3]:
    """A lying server."""
    with lying_s3() as running:
        yield running


def keyring(kind: str, *, legacy: bool) -> Any:
    """A keyring for AES or RSA."""
    if kind == "AES":
        return AesKeyring(WRAPPING_KEY, enable_legacy_wrapping_algorithms=legacy)
    return RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=legacy)


def xor(a: bytes, b: bytes) -> bytes:
    """Each byte with its counterpart."""
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", ["AES", "RSA"])
@pytest.mark.parametrize("legacy_wrapping", [False, True])
@pytest.mark.parametrize("suite", ["V2", "V3"])
def test_cve_2020_8912(server: LyingS3, kind: str, legacy_wrapping: bool, suite: str) -> None:
    """A guessed block of a GCM object is not confirmed by relabelling it as CBC, whatever is guessed."""
    secret = b"." * 12 + b"PIN of vault 7: 4711"
    policy = FORBID if suite == "V2" else ALLOW
    with contextlib.ExitStack() as stack:

        def client(**options: Any) -> Any:
            own = keyring(kind, legacy=legacy_wrapping)
            return stack.enter_context(contextlib.closing(EncryptionClient(keyring=own, **server.arguments(**options))))

        client(commitment_policy=policy).put_object(Bucket="b", Key="v", Body=secret)
        stored = server.state.objects["b/v"]
        metadata = stored.metadata
        iv = base64.b64decode(metadata[f"{PREFIX}iv"]) if suite == "V2" else b"\x01" * 12
        reader = client(commitment_policy=ALLOW, enable_legacy_unauthenticated_modes=True)
        for guess in (secret[16:32], os.urandom(16)):
            counter = iv + (3).to_bytes(4, "big")
            forged = {
                f"{PREFIX}key-v2": metadata[f"{PREFIX}{'key-v2' if suite == 'V2' else '3'}"],
                f"{PREFIX}iv": base64.b64encode(xor(counter, bytes([16]) * 16)).decode(),
                f"{PREFIX}cek-alg": CBC,
                f"{PREFIX}wrap-alg": {"AES": "AES/GCM", "RSA": "RSA-OAEP-SHA1"}[kind],
                f"{PREFIX}matdesc": "{}",
            }
            server.state.objects["b/v"] = Stored(xor(stored.body[16:32], guess), forged)
            with pytest.raises(KeyUnwrapError):
                reader.get_object(Bucket="b", Key="v")["Body"].read()
            if suite == "V3" or not legacy_wrapping:
                # The exception is for what the Java client wrapped again; the name of V3's content is never in it.
                file = json.dumps({name.removeprefix("x-amz-meta-"): text for name, text in forged.items()}).encode()
                server.state.objects["b/v.instruction"] = Stored(file, {})
                server.state.objects["b/v"] = Stored(xor(stored.body[16:32], guess), {})
                with pytest.raises(KeyUnwrapError):
                    reader.get_object(Bucket="b", Key="v")["Body"].read()


def _ecb(padded: bytes) -> bytes:
    return Cipher(AES(WRAPPING_KEY), ECB()).encryptor().update(padded)  # noqa: S305 - legacy


def wrapped_keys(kind: str) -> dict[str, bytes]:
    """Encrypted data keys that are not the object's: well padded, and badly in each way."""
    if kind == "AES":
        return {
            "well padded": _ecb(os.urandom(32) + b"\x10" * 16),
            "badly padded": _ecb(os.urandom(32) + b"\x11" * 16),
            "of another length": _ecb(os.urandom(31) + b"\x01" + b"\x10" * 16),
            "noise": os.urandom(48),
        }
    public = rsa_key().public_key()
    return {
        "well padded": public.encrypt(os.urandom(32), PKCS1v15()),
        "of another length": public.encrypt(os.urandom(31), PKCS1v15()),
        "noise": b"\x00" + os.urandom(255),
        "above the modulus": b"\xff" * 256,
    }


def _read(client: Any) -> None:
    try:
        body = client.get_object(Bucket="b", Key="k")["Body"]
    except S3ECError as error:
        raise AssertionError("it is refused before the body is read") from error
    body.read()


DOORS: dict[str, Callable[[Any], object]] = {
    "get": _read,
    "range": lambda client: client.get_object(Bucket="b", Key="k", Range="bytes=5-9")["Body"].read(),
    "whole range": lambda client: client.get_object(Bucket="b", Key="k", Range="bytes=0-")["Body"].read(),
    "download": lambda client: client.download_fileobj("b", "k", io.BytesIO()),
    "open": lambda client: s3ec.open(client, Bucket="b", Key="k").read(),
    "presigned": lambda client: s3ec.decrypt_presigned(
        client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}),
        keyring=client._s3ec_wire.options.keyring,
        commitment_policy=ALLOW,
        enable_legacy_unauthenticated_modes=True,
    ).read(),
    "inspect": lambda client: s3ec.inspect(client, Bucket="b", Key="k"),
}


def outcome(server: LyingS3, client: Any, door: str) -> tuple[Any, ...]:
    """What somebody sees who sees all but the content: error, text and requests."""
    before = len(server.state.requests)
    error: Any = None
    try:
        DOORS[door](client)
    except S3ECError as caught:
        error = caught
    return type(error), str(error), [request[:1] + request[2:] for request in server.state.requests[before:]]


@pytest.mark.parametrize("kind", ["AES", "RSA"])
@pytest.mark.parametrize(
    ("content", "door"),
    # Ranges and files of CBC content take an opt-in more, since nothing can verify them.
    [*(("GCM", door) for door in DOORS), *(("CBC", door) for door in DOORS if door not in ("range", "open"))],
)
def test_padding_of_a_legacy_data_key(server: LyingS3, kind: str, content: str, door: str) -> None:
    """Badly padded and well padded, but wrong: one error, in one place, after the same requests (Bleichenbacher)."""
    body, iv = (os.urandom(200_016), os.urandom(12)) if content == "GCM" else (bytes(96), bytes(range(16)))
    metadata = {f"{PREFIX}iv": base64.b64encode(iv).decode(), f"{PREFIX}matdesc": "{}"}
    if content == "GCM":
        metadata |= {f"{PREFIX}cek-alg": "AES/GCM/NoPadding", f"{PREFIX}tag-len": "128"}
    outcomes = {}
    own = keyring(kind, legacy=True)
    options = {"commitment_policy": ALLOW, "enable_legacy_unauthenticated_modes": True}
    with contextlib.closing(EncryptionClient(keyring=own, **server.arguments(**options))) as client:
        for name, encrypted in wrapped_keys(kind).items():
            for _ in range(20):
                key = f"{PREFIX}key-v2" if content == "GCM" else f"{PREFIX}key"
                server.state.objects["b/k"] = Stored(body, {**metadata, key: base64.b64encode(encrypted).decode()})
                outcomes[name] = outcome(server, client, door)
                if outcomes[name][0] is not type(None) or door == "inspect":
                    break
                # One wrong key in 256 finds valid padding in CBC content, as nothing authenticates it.
                encrypted, body = wrapped_keys(kind)[name], os.urandom(96)
    assert len({repr(seen) for seen in outcomes.values()}) == 1, outcomes
    assert outcomes["noise"][0] is (type(None) if door == "inspect" else KeyUnwrapError)


def test_a_substitute_never_gives_garbage() -> None:
    """Of CBC content under a data key that does not unwrap nothing comes out, though one key in 256 would pass."""
    manager = DefaultMaterialsManager(keyring("AES", legacy=True))
    for number in range(1_500):
        encrypted = base64.b64encode(_ecb(number.to_bytes(32, "big") + b"\x11" * 16)).decode()
        decryptor = (
            decryption.check(
                formats.parse_object(headers.v1(**{"x-amz-key": encrypted})),
                materials_manager=manager,
                commitment_policy=ALLOW,
                enable_legacy_unauthenticated_modes=True,
                encryption_context=None,
            )
            .open()
            .decryptor()
        )
        assert decryptor.update(bytes(16)) == b""
        with pytest.raises(KeyUnwrapError):
            decryptor.finish()
