"""Presigned requests that stay encrypted: an upload whose holder encrypts, a download whose holder decrypts.

A presigned URL lets people without AWS credentials talk to S3. The holder of a plain one uploads plaintext; here the
holder is handed, once, what it takes to encrypt one object and nothing else: neither the wrapping key nor a permission
to use it. A presigned download needs nothing special to be made; its holder needs a keyring to open it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from s3ec import decryption, formats
from s3ec.algorithms import AlgorithmSuite
from s3ec.client.bodies.ciphertext import encrypted_body
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.bodies.releases import open_plaintext
from s3ec.client.bodies.sources import open_source
from s3ec.client.calls.handlers import sending_view
from s3ec.client.calls.seals import Seal
from s3ec.client.calls.wire import OwnErrorFirst, Wire
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.client.tools.tickets import Ticket
from s3ec.crypto.content import ContentCipher
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.formats.metadata import OBJECT_ARN_PAIR
from s3ec.materials import StoredContext
from s3ec.s3.answers import stated_length
from s3ec.s3.names import object_arn
from s3ec.s3.objects import check_stored_length
from s3ec.s3.put_object import check_length
from s3ec.s3.writing import begin_write
from s3ec.secrets import Secret
from s3ec.transport import broken_off

__all__ = ["PresignedUpload", "decrypt_presigned", "presigned_upload"]

_METADATA_PREFIX = "x-amz-meta-"
_LONGEST_ERROR = 64 * 1024  # bytes of an answer that says no; S3's have some hundred
_HONOURED = frozenset(
    {
        "bind_object",
        "buffer_size",
        "commitment_policy",
        "enable_delayed_authentication",
        "enable_legacy_unauthenticated_modes",
        "keyring",
        "materials_manager",
        "spool_directory",
    }
)


@dataclass(slots=True)
class PresignedUpload:
    """One upload to hand to a person without AWS credentials. Holds the key of one object: treat it as a secret.

    It is used once: by `send`, or by the holder of `to_json`'s text. It is neither copied nor pickled, and a forked
    process cannot use it.

    Attributes:
        url: where to PUT, valid for a limited time.
        headers: what the request must carry; they are part of the signature.
        cipher: encrypts exactly one plaintext.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str]
    cipher: ContentCipher = field(repr=False)
    _ticket: Ticket = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the right to use the key once."""
        self._ticket = Ticket(self.cipher)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse copies and pickles: each would be one more body under the same key."""
        raise TypeError("a PresignedUpload is used once, so it is not copied; hand over its to_json() instead")

    def send(self, body: Any, *, verify: bool | str = True) -> str:
        """Encrypt a body and upload it. Once: a second body under the same key would give both away.

        Args:
            body: any body that put_object takes.
            verify: as for boto3: True, or the path of a CA bundle.

        Returns:
            The object's ETag.

        Raises:
            MultipartStateError: the upload was sent or handed over before, or belongs to another process.
            SourceChangedError: the body gave other bytes, or fewer, than it said.
            botocore.exceptions.ClientError: S3 refuses, for instance with 412 where the object exists already.
        """
        with self._ticket.using():
            source = open_source(body)
            check_length(source.length)
        ciphertext = encrypted_body(
            source, self.cipher, PlaintextClaims(None, {}), buffer_size=64 * 1024 * 1024, spool_directory=None
        )
        headers = {**self.headers, "Content-Length": str(len(ciphertext))}
        with nullcontext() if isinstance(ciphertext, bytes) else closing(ciphertext), OwnErrorFirst(ciphertext):
            answer = _send("PUT", self.url, headers, ciphertext, verify)
        return str(answer.headers.get("ETag"))

    def to_json(self) -> str:
        """Text to hand over, once, on a channel that may carry a secret. From then on `send` is refused here.

        Raises:
            MultipartStateError: the upload was sent or handed over already, or belongs to another process.
        """
        self._ticket.hand_over()
        cipher = self.cipher
        secret = {"key": cipher.key.reveal(), "iv": cipher.iv, "aad": cipher.aad}
        return json.dumps(
            {
                "url": self.url,
                "headers": dict(self.headers),
                "algorithm_suite": cipher.suite.name,
                **{name: base64.b64encode(value).decode() for name, value in secret.items()},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> PresignedUpload:
        """Read what `to_json` wrote.

        Raises:
            ConfigurationError: it is something else.
        """
        try:
            found = json.loads(text)
            key, iv, aad = (base64.b64decode(found[name], validate=True) for name in ("key", "iv", "aad"))
            cipher = ContentCipher(AlgorithmSuite[found["algorithm_suite"]], Secret(key), iv, aad)
            return cls(str(found["url"]), {str(k): str(v) for k, v in found["headers"].items()}, cipher)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ConfigurationError("this is not what PresignedUpload.to_json() writes") from None


def presigned_upload(
    client: BaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | None = None,  # noqa: N803 - the client's name
    ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
    overwrite: bool = False,
    **parameters: Any,
) -> PresignedUpload:
    """Make an upload that its holder encrypts locally, with a key for this one object that is handed over once.

    Args:
        client: an `EncryptionClient`.
        Bucket: as for put_object.
        Key: as for put_object.
        EncryptionContext: as for put_object.
        ExpiresIn: seconds for which the URL is valid.
        overwrite: False signs ``If-None-Match: *`` in, so that S3 takes one object at most for the key handed over.
            True lets the holder replace an object, and relies on them to use the key once.
        **parameters: other parameters of put_object, such as ``Metadata`` or ``ContentType``.

    Raises:
        UnsupportedOperationError: instruction files, which a second request would have to write.
        ConfigurationError, KeyringError: as from put_object.
    """
    if not isinstance(client, EncryptionClient):
        raise ConfigurationError("s3ec.presigned_upload takes an EncryptionClient")
    client = client._s3ec_for(Bucket)
    wire: Wire = client._s3ec_wire
    if wire.options.instruction_file_writes:
        raise UnsupportedOperationError("a presigned upload writes one object; instruction files need a second request")
    request: dict[str, Any] = {
        **parameters,
        "Bucket": Bucket,
        "Key": Key,
        **({} if overwrite else {"IfNoneMatch": "*"}),
    }
    heard = wire.hear("PutObject", request, is_presign_request=True)
    request = {name: value for name, value in heard.parameters.items() if name != "Body"}
    wire.validate("PutObject", request)
    write = wire.run(begin_write(wire, request, EncryptionContext))
    request["Metadata"] = write.placement.metadata
    recorded: dict[str, str] = {}

    thread = threading.get_ident()
    # A forked child keeps the handlers of threads that it does not have; its own must not pass for one of those.
    handler_id = f"s3ec-presigned-headers-{os.getpid()}-{thread}"

    def record(request: Any, **_: Any) -> None:
        # Other threads may be sending requests of their own through the same client meanwhile.
        if threading.get_ident() == thread:
            recorded.update({name: _text(value) for name, value in request.headers.items()})

    view = sending_view(client, client._s3ec_sender, heard, None)
    events = client.meta.events
    events.register_last("before-sign.s3.PutObject", record, unique_id=handler_id)
    try:
        url = view.generate_presigned_url("put_object", Params=request, ExpiresIn=ExpiresIn)
    finally:
        events.unregister("before-sign.s3.PutObject", unique_id=handler_id)
    Seal("PutObject", request).check(None, recorded, "before-sign")
    signed = _signed_headers(url)
    headers = {name: value for name, value in recorded.items() if name.lower() in signed or _must_be_sent(name)}
    return PresignedUpload(url, headers, write.cipher)


def _must_be_sent(name: str) -> bool:
    return name.lower().startswith((_METADATA_PREFIX, "if-none-match", "content-type"))


def _signed_headers(url: str) -> set[str]:
    for pair in urlsplit(url).query.split("&"):
        name, _, value = pair.partition("=")
        if name == "X-Amz-SignedHeaders":
            return set(value.replace("%3B", ";").lower().split(";")) - {"host"}
    return set()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def decrypt_presigned(
    url: str,
    *,
    Bucket: str | None = None,  # noqa: N803 - boto3's name
    Key: str | None = None,  # noqa: N803 - boto3's name
    EncryptionContext: Mapping[str, str] | StoredContext | None = None,  # noqa: N803 - the client's name
    headers: Mapping[str, str] | None = None,
    verify: bool | str = True,
    **options: Any,
) -> DecryptedBody:
    """Download through a presigned URL and decrypt locally; nothing is released before it is verified.

    Args:
        url: made by ``generate_presigned_url("get_object", …)`` of any client.
        Bucket: with ``Key`` the place that the object must be bound to: only who knows the endpoint can tell it by the
            URL. Needed with ``bind_object=True``, and with `STORED_CONTEXT` for objects that are bound.
        Key: see ``Bucket``.
        EncryptionContext: as for get_object.
        headers: more headers of the request, such as an SSE-C key.
        verify: as for boto3: True, or the path of a CA bundle.
        **options: ``keyring`` and those options of `EncryptionClient` that decide about reading one object's content.

    Returns:
        The body, to be read and closed.

    Raises:
        ConfigurationError: an option that has no effect here, or a place that is missing.
        NotEncryptedError: the object carries no content metadata; a presigned URL reaches no instruction file.
        PolicyError, KeyringError, SecurityError: as from get_object.
        botocore.exceptions.ClientError: S3 refuses, for instance an expired URL.
    """
    checked, _ = Options.split(options, caller="decrypt_presigned", others=frozenset())
    arn = _checked_place(checked, Bucket, Key)
    _refuse_without_effect(checked)
    answer = _send("GET", url, dict(headers or {}), None, verify)
    metadata = {
        name[len(_METADATA_PREFIX) :]: value
        for name, value in answer.headers.items()
        if name.lower().startswith(_METADATA_PREFIX)
    }
    try:
        content_metadata = formats.parse_object(metadata)
        length = stated_length(answer.headers)
        check_stored_length(content_metadata, length)
        cipher = decryption.check(
            content_metadata,
            materials_manager=checked.manager,
            commitment_policy=checked.commitment_policy,
            enable_legacy_unauthenticated_modes=checked.enable_legacy_unauthenticated_modes,
            encryption_context=EncryptionContext,
            bound_context={OBJECT_ARN_PAIR: arn} if checked.bind_object else None,
            object_arn=arn,
        ).open()
    except BaseException:
        answer.raw.close()
        raise
    # Not the connection itself, whose errors are urllib3's own.
    reader = CiphertextReader(StreamingBody(answer.raw, None))  # type: ignore[arg-type]  # a length that is not known

    def opener() -> Any:
        return open_plaintext(
            reader,
            cipher,
            length,
            delayed=checked.enable_delayed_authentication,
            buffer_size=checked.buffer_size,
            spool_directory=checked.spool_directory,
        )

    plaintext_length = None if cipher.suite.is_legacy else max(length - cipher.suite.tag_length, 0)
    return DecryptedBody(PlaintextStream(reader, opener, urlsplit(url).path), plaintext_length)


def _checked_place(options: Options, bucket: str | None, key: str | None) -> str:
    """ARN of the place, or nothing where it is not known."""
    if (bucket is None) != (key is None):
        raise ConfigurationError("Bucket and Key name one place: give both, or neither")
    if bucket is not None and key is not None:
        return object_arn(bucket, key)
    if options.bind_object:
        raise ConfigurationError(
            "bind_object=True needs Bucket and Key: a URL alone does not say which object it ought to be"
        )
    return ""


def _refuse_without_effect(options: Options) -> None:
    """Refuse what this door cannot do: an option that is ignored is a check that does not happen."""
    ignored = [
        field.name
        for field in dataclasses.fields(options)
        if field.name not in _HONOURED and getattr(options, field.name) != field.default
    ]
    if ignored:
        raise ConfigurationError(
            f"decrypt_presigned reads one whole encrypted object, so {', '.join(ignored)} would have no effect; leave "
            "it out, or read through an EncryptionClient"
        )


def _send(method: str, url: str, headers: dict[str, str], body: Any, verify: bool | str) -> AWSResponse:
    request = AWSRequest(method, url, headers=headers, data=body, stream_output=True)
    session = URLLib3Session(verify=verify)  # type: ignore[arg-type]  # a path of a CA bundle too, unknown to its stubs
    answer: AWSResponse = session.send(request.prepare())
    if answer.status_code >= 300:
        try:
            with closing(answer.raw):
                text = answer.raw.read(_LONGEST_ERROR).decode("utf-8", "replace")
        except HTTPError as error:
            raise broken_off(error, request) from error
        code = text.partition("<Code>")[2].partition("</Code>")[0] or str(answer.status_code)
        parsed: Any = {
            "Error": {"Code": code, "Message": "the presigned request was refused"},
            "ResponseMetadata": {"HTTPStatusCode": answer.status_code, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        raise ClientError(parsed, "PutObject" if method == "PUT" else "GetObject")
    if method != "GET":
        answer.raw.close()
    return answer
