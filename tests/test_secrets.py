"""No key stands in what an error reporter sends: neither as a variable of a frame, nor anywhere that it leads to."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import s3ec
import s3ec.crypto.random
from s3ec import AesKeyring, CachingMaterialsManager, CommitmentPolicy, EncryptionClient, KmsKeyring, RsaKeyring, SseC
from s3ec.crypto.derivation import Derivation
from s3ec.errors import S3ECError
from s3ec.migrate.steps import rewrapping
from s3ec.s3.objects import ReadRequest
from s3ec.secrets import Secret

from support.kms_answers import KmsHandler
from support.lying_s3 import LyingS3, Stored, lying_s3
from support.rsa import rsa_key
from support.walking import chain, leaks

ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
PLAINTEXT = b"content" * 1_000


class Drawn:
    """Everything secret that was drawn at random, and what is derived of it."""

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = list(secrets)
        self._drawn: list[bytes] = []

    def urandom(self, length: int) -> bytes:
        """Random bytes, remembered."""
        value = os.urandom(length)
        self._drawn.append(value)
        return value

    def add(self, secret: bytes) -> None:
        """One more."""
        self._secrets.append(secret)

    def all(self) -> list[bytes]:
        """Wrapping keys, data keys, keys of MACs, and content keys."""
        keys = [value for value in self._drawn if len(value) == 32] + self._secrets
        messages = [value for value in self._drawn if len(value) == 28]
        derived = [Derivation(key, message).content_key().reveal() for key in keys for message in messages]
        return keys + derived


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Sees what s3ec draws; the generator stays the system's."""
    seen = Drawn()
    monkeypatch.setattr(s3ec.crypto.random, "os", seen)
    return seen


@pytest.fixture
def server() -> Iterator[LyingS3]:
    """A lying server."""
    with lying_s3() as running:
        yield running


def error_of(call: Callable[[], object], kind: type[BaseException] = S3ECError) -> BaseException:
    """The error of a call, which must be one."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def flipped(text: str) -> str:
    """Base64 of other bytes of the same length."""
    data = base64.b64decode(text)
    return base64.b64encode(bytes([data[0] ^ 1]) + data[1:]).decode()


def tampered(stored: Stored) -> Iterator[tuple[str, Stored]]:
    """An object with one thing altered, for each thing."""
    yield "content", Stored(stored.body[:-1] + bytes([stored.body[-1] ^ 1]), stored.metadata)
    yield "cut", Stored(stored.body[:100], stored.metadata)
    for name, value in stored.metadata.items():
        if name.startswith("x-amz-meta-x-amz-"):
            yield f"{name} gone", Stored(stored.body, {n: v for n, v in stored.metadata.items() if n != name})
            with contextlib.suppress(ValueError, IndexError):
                yield f"{name} altered", Stored(stored.body, {**stored.metadata, name: flipped(value)})


READS: dict[str, Callable[[Any], object]] = {
    "get": lambda client: client.get_object(Bucket="b", Key="k")["Body"].read(),
    "range": lambda client: client.get_object(Bucket="b", Key="k", Range="bytes=5-9")["Body"].read(),
    "download": lambda client: client.download_fileobj("b", "k", io.BytesIO()),
    "open": lambda client: s3ec.open(client, Bucket="b", Key="k").read(),
    "presigned": lambda client: s3ec.decrypt_presigned(
        client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}),
        keyring=client._s3ec_wire.options.keyring,
        commitment_policy=ALLOW,
    ).read(),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("door", "kind", "policy"),
    [
        *((door, "aes", ALLOW) for door in READS),
        ("get", "rsa", ALLOW),
        ("get", "aes", FORBID),
        ("range", "rsa", FORBID),
    ],
)
def test_tampering(server: LyingS3, drawn: Drawn, kind: str, policy: CommitmentPolicy, door: str) -> None:
    """Whatever is altered, and whichever door it is read through."""
    wrapping_key = os.urandom(32)
    pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    drawn.add(wrapping_key if kind == "aes" else pem)
    keyring = AesKeyring(wrapping_key) if kind == "aes" else RsaKeyring(private_key=pem)
    with contextlib.closing(
        EncryptionClient(keyring=keyring, commitment_policy=policy, **server.arguments())
    ) as client:
        client.put_object(Bucket="b", Key="k", Body=PLAINTEXT)
        cases = [case for case in tampered(server.state.objects["b/k"]) if door == "get" or "gone" not in case[0]]
        assert len(cases) >= 4
        errors = 0
        for name, altered in cases:
            server.state.objects["b/k"] = altered
            found: BaseException | None = None
            try:
                READS[door](client)
            except S3ECError as error:
                found = error
            errors += found is not None
            assert found is None or leaks(found, drawn.all()) == [], name
        assert errors >= 4


def test_the_walk_finds_keys(drawn: Drawn) -> None:
    """Were a key in a variable, in a container or in an attribute, it would be found."""
    key = drawn.urandom(32)

    held = SimpleNamespace(inner={"deep": [partial(print, base64.b64encode(key).decode())]})
    for value in (key, key.hex(), held, [memoryview(key)]):
        frames: dict[str, Any] = {"value": value}
        source = "def fail(value):\n    raise ValueError('x')\nfail(value)"
        error = error_of(lambda: exec(source, frames), ValueError)  # noqa: S102, B023 - a frame that is not of a test
        assert leaks(error, [key])
    assert leaks(error_of(lambda: exec(source, {"value": Secret(key)}), ValueError), [key]) == []  # noqa: S102


class TestKeyrings:
    """Keys that cannot be used, and objects that do not open."""

    def test_construction(self) -> None:
        """A key of a wrong length or form is not repeated by the error."""
        short, text = os.urandom(31), b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(os.urandom(60)) + b"\n"
        good, more = os.urandom(32), os.urandom(33)
        for secret, call in (
            (short, lambda: AesKeyring(short)),
            (short, lambda: AesKeyring(good, additional_decryption_keys=[({"a": "b"}, short)])),
            (more, lambda: AesKeyring(good, additional_decryption_keys=[({}, more)])),
            (more, lambda: AesKeyring(good, additional_decryption_keys=[({"a": 1}, more)])),  # type: ignore[dict-item]
            (good, lambda: AesKeyring(good, additional_decryption_keys=[good])),  # type: ignore[list-item]
            (good, lambda: AesKeyring(good, material_description={"a": 1})),  # type: ignore[dict-item]
            (text, lambda: RsaKeyring(private_key=text)),
            (text, lambda: RsaKeyring(private_key=text.decode())),
            (text, lambda: RsaKeyring(private_key=rsa_key(), additional_decryption_keys=[({"a": "b"}, text)])),
            (short, lambda: SseC(short)),
        ):
            assert leaks(error_of(call), [secret, text.split(b"\n")[1]]) == []

    @pytest.mark.parametrize("wrap", ["AESWrap", "AES", "RSA"])
    def test_legacy(self, server: LyingS3, drawn: Drawn, wrap: str) -> None:
        """Wrong keys under legacy wrappings."""
        key = os.urandom(32)
        drawn.add(key)
        encrypted = os.urandom({"AESWrap": 40, "AES": 48, "RSA": 256}[wrap])
        if wrap == "RSA":
            encrypted = rsa_key().public_key().encrypt(b"x" * 31, PKCS1v15())
        metadata = {
            "x-amz-key-v2": base64.b64encode(encrypted).decode(),
            "x-amz-iv": base64.b64encode(os.urandom(12)).decode(),
            "x-amz-cek-alg": "AES/GCM/NoPadding",
            "x-amz-tag-len": "128",
            "x-amz-matdesc": "{}",
            **({"x-amz-wrap-alg": wrap} if wrap == "AESWrap" else {}),
        }
        server.state.objects["b/k"] = Stored(bytes(64), {f"x-amz-meta-{name}": text for name, text in metadata.items()})
        keyring: Any = AesKeyring(key, enable_legacy_wrapping_algorithms=True)
        if wrap == "RSA":
            keyring = RsaKeyring(private_key=rsa_key(), enable_legacy_wrapping_algorithms=True)
        with contextlib.closing(
            EncryptionClient(keyring=keyring, commitment_policy=ALLOW, **server.arguments())
        ) as client:
            assert leaks(error_of(lambda: READS["get"](client)), drawn.all()) == []


class TestWrites:
    """What goes wrong while something is stored."""

    @pytest.fixture
    def client(self, server: LyingS3, drawn: Drawn) -> Iterator[Any]:
        """A client with a cache, whose keys are in reach of every frame."""
        key = os.urandom(32)
        drawn.add(key)
        once = Config(retries={"total_max_attempts": 2})
        manager = CachingMaterialsManager(AesKeyring(key))
        with contextlib.closing(EncryptionClient(materials_manager=manager, **server.arguments(config=once))) as made:
            yield made

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [100, 3_000_000])
    def test_put_answered_500(self, server: LyingS3, drawn: Drawn, client: Any, size: int) -> None:
        """S3's own error, with botocore's frames above ours."""
        server.lies.fail_after_body = 10
        error = error_of(lambda: client.put_object(Bucket="b", Key="k", Body=bytes(size)), Exception)
        assert leaks(error, drawn.all()) == []
        error = error_of(lambda: client.upload_fileobj(io.BytesIO(bytes(size)), "b", "k"), Exception)
        assert leaks(error, drawn.all()) == []

    def test_source_changed(self, server: LyingS3, drawn: Drawn, client: Any) -> None:
        """A body that gives other bytes the second time."""

        class Fickle(io.BytesIO):
            def seek(self, *where: Any) -> int:
                self.getbuffer()[10] ^= 1
                return super().seek(*where)

        server.lies.fail_after_body = 1
        error = error_of(lambda: client.put_object(Bucket="b", Key="k", Body=Fickle(bytes(3_000_000))))
        assert leaks(error, drawn.all()) == []

    def test_parts(self, server: LyingS3, drawn: Drawn, client: Any) -> None:
        """Parts, lists of parts and states of uploads that do not fit."""
        part = {"Bucket": "b", "Key": "k"}
        part["UploadId"] = client.create_multipart_upload(**part)["UploadId"]
        client.upload_part(**part, PartNumber=1, Body=b"x" * 100)
        calls: list[Callable[[], object]] = [
            lambda: client.upload_part(**part, PartNumber=1, Body=b"y" * 100),
            lambda: client.complete_multipart_upload(
                **part, MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": "x"}]}
            ),
            lambda: client.upload_part(**part, PartNumber=2, Body=object()),
        ]
        for call in calls:
            assert leaks(error_of(call, Exception), drawn.all()) == []
        state = s3ec.export_upload(client, part["UploadId"])
        altered = state[:-1] + bytes([state[-1] ^ 1])
        calls = [
            lambda: s3ec.resume_upload(client, altered, save=lambda _: None),
            lambda: s3ec.resume_upload(client, state[:-40], save=lambda _: None),
            lambda: client.upload_part(**part, PartNumber=2, Body=b"z"),
        ]
        for call in calls:
            assert leaks(error_of(call, Exception), drawn.all()) == []


class _Answers(KmsHandler):
    """A KMS with whatever to say."""

    said: tuple[int, Any]

    def answer(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self.said


@pytest.fixture
def answers() -> Iterator[type[_Answers]]:
    """Assign what it says."""
    handler = type("Handler", (_Answers,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        handler.port = running.server_address[1]
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield handler
        running.shutdown()
        thread.join()


def _broken(data_key: bytes) -> dict[str, tuple[int, Any]]:
    text, blob = base64.b64encode(data_key).decode(), base64.b64encode(b"wrapped").decode()
    return {
        "no wrapped key": (200, {"Plaintext": text}),
        "no key": (200, {"CiphertextBlob": blob}),
        "a short key": (200, {"Plaintext": base64.b64encode(data_key[:31]).decode(), "CiphertextBlob": blob}),
        "an empty key": (200, {"Plaintext": "", "CiphertextBlob": blob}),
        "no JSON object": (200, [text]),
        "no base64": (200, {"Plaintext": text + "!", "CiphertextBlob": 5}),
        "denied": (400, {"__type": "AccessDeniedException", "message": "no"}),
        "gone": (400, {"__type": "KMSInvalidStateException", "message": "no", "Plaintext": text}),
    }


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize("case", _broken(bytes(32)))
def test_answers_of_kms(answers: Any, server: LyingS3, case: str, listened: bool) -> None:
    """Malformed answers of KMS are a `KeyringError`, nothing is stored, and the key in them is in no frame."""
    data_key = os.urandom(32)
    answers.said = _broken(data_key)[case]
    arguments = server.arguments(endpoint_url=f"http://127.0.0.1:{answers.port}")
    kms = boto3.client("kms", **arguments)
    if listened:
        kms.meta.events.register("after-call.kms", lambda **_: None)
    with contextlib.closing(EncryptionClient(keyring=KmsKeyring("k", client=kms), **server.arguments())) as client:
        error = error_of(lambda: client.put_object(Bucket="b", Key="k", Body=b"x"), Exception)
    assert isinstance(error, s3ec.errors.KeyringError)
    assert server.state.attempts == []
    assert leaks(error, [data_key, data_key[:31]]) == []


def test_a_handler_that_fails_over_an_answer(answers: Any, server: LyingS3) -> None:
    """The error of somebody's handler stays theirs; in botocore's frames beneath it nothing is left of the answer."""
    data_key = os.urandom(32)
    blob = base64.b64encode(b"wrapped").decode()
    answers.said = (200, {"Plaintext": base64.b64encode(data_key).decode(), "CiphertextBlob": blob, "KeyId": "k"})
    kms = boto3.client("kms", **server.arguments(endpoint_url=f"http://127.0.0.1:{answers.port}"))

    def fail(**_: Any) -> None:
        raise LookupError("the handler's own")

    kms.meta.events.register("after-call.kms", fail)
    with contextlib.closing(EncryptionClient(keyring=KmsKeyring("k", client=kms), **server.arguments())) as client:
        error = error_of(lambda: client.put_object(Bucket="b", Key="k", Body=b"x"), LookupError)
    assert leaks(error, [data_key]) == []
    assert len(list(chain(error))) == 1


def test_requests_do_not_show_the_key_of_sse_c() -> None:
    """What s3ec makes of a request shows no parameters."""
    key = base64.b64encode(os.urandom(32)).decode()
    request = ReadRequest({"Bucket": "b", "Key": "k", "SSECustomerKey": key}, None, None)
    assert key not in repr(request)
    assert key not in repr(SseC(base64.b64decode(key)))
    assert json.dumps(key) not in repr([SseC(base64.b64decode(key))])


def test_a_data_key_on_its_way_to_another_key_of_kms(answers: Any, server: LyingS3) -> None:
    """KMS refuses to encrypt what a rewrap brings: the request is in botocore's frames, the key in it is not."""
    data_key = os.urandom(32)
    answers.said = (400, {"__type": "AccessDeniedException", "message": "no"})
    kms = boto3.client("kms", **server.arguments(endpoint_url=f"http://127.0.0.1:{answers.port}"))
    context: Any = SimpleNamespace(
        meter=SimpleNamespace(before_call=lambda: None),
        kms_client=lambda _: kms,
        settings=SimpleNamespace(keyring=None),
    )
    error = error_of(lambda: rewrapping._ask(context, "encrypt", plaintext=Secret(data_key), KeyId="k"))
    assert leaks(error, [data_key]) == []
