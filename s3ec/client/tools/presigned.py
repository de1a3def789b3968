"""Presigned requests that stay encrypted: an upload whose holder encrypts, a download whose holder decrypts.

A presigned URL lets people without AWS credentials talk to S3. The holder of a plain one uploads plaintext; here the
holder is handed, once, what it takes to encrypt one object and nothing else: neither the wrapping key nor a permission
to use it. A presigned download needs nothing special to be made; its holder needs a keyring to open it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import closing, nullcontext
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from s3ec.client.bodies.ciphertext import encrypted_body
from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.bodies.releases import open_plaintext
from s3ec.client.bodies.sources import open_source
from s3ec.client.calls import driver
from s3ec.client.calls.handlers import sending_view
from s3ec.client.calls.presigning import recorded_headers
from s3ec.client.calls.seals import Seal
from s3ec.client.calls.wire import OwnErrorFirst, Wire
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.options import Options
from s3ec.client.tools.tickets import HeldUpload
from s3ec.errors import ConfigurationError
from s3ec.materials import StoredContext
from s3ec.s3.flow import Effect, Unwrap
from s3ec.s3.presigned import error_of, headers_to_send, open_answer, place_of, upload_to_sign
from s3ec.s3.put_object import check_length
from s3ec.s3.surroundings import ReadRules
from s3ec.transport import broken_off

__all__ = [
    "KEPT_IN_MEMORY",
    "LONGEST_ERROR",
    "PresignedUpload",
    "decrypt_presigned",
    "presigned_upload",
    "rules_of_one_object",
]

KEPT_IN_MEMORY = 64 * 1024 * 1024
"""Bytes of ciphertext that a holder keeps in memory of a body that cannot be read again; what is above goes to disk."""

LONGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer which says no; S3's have some hundred."""

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


class PresignedUpload(HeldUpload):
    """One upload to hand to a person without AWS credentials. Holds the key of one object: treat it as a secret.

    It is used once: by `send`, or by the holder of `to_json`'s text. It is neither copied nor pickled, and a forked
    process cannot use it.

    Attributes:
        url: where to PUT, valid for a limited time.
        headers: what the request must carry; they are part of the signature.
        cipher: encrypts exactly one plaintext.
    """

    __slots__ = ()

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
            source, self.cipher, PlaintextClaims(None, {}), buffer_size=KEPT_IN_MEMORY, spool_directory=None
        )
        headers = {**self.headers, "Content-Length": str(len(ciphertext))}
        with nullcontext() if isinstance(ciphertext, bytes) else closing(ciphertext), OwnErrorFirst(ciphertext):
            answer = _send("PUT", self.url, headers, ciphertext, verify)
        return str(answer.headers.get("ETag"))


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
    if EncryptionContext is None:
        EncryptionContext = client._s3ec_context(reading=False).get("EncryptionContext")  # noqa: N806 - the client's name
    named = {**parameters, "Bucket": Bucket, "Key": Key}
    ready = wire.run(upload_to_sign(wire, named, EncryptionContext, overwrite=overwrite))
    heard: Any = ready.heard
    view = sending_view(client, client._s3ec_sender, heard, None)
    with recorded_headers(client) as recorded:
        url = view.generate_presigned_url("put_object", Params=ready.request, ExpiresIn=ExpiresIn)
    Seal("PutObject", ready.request).check(None, recorded, "before-sign")
    return PresignedUpload(url, headers_to_send(url, recorded), ready.cipher)


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
    rules, arn = rules_of_one_object(checked, Bucket, Key)
    answer = _send("GET", url, dict(headers or {}), None, verify)
    try:
        opened = driver.run(open_answer(rules, answer.headers, EncryptionContext, arn), _unwrap)
    except BaseException:
        answer.raw.close()
        raise
    # Not the connection itself, whose errors are urllib3's own.
    reader = CiphertextReader(StreamingBody(answer.raw, None))  # type: ignore[arg-type]  # a length that is not known

    def opener() -> Any:
        return open_plaintext(
            reader,
            opened.cipher,
            opened.length,
            delayed=checked.enable_delayed_authentication,
            buffer_size=checked.buffer_size,
            spool_directory=checked.spool_directory,
        )

    return DecryptedBody(PlaintextStream(reader, opener, urlsplit(url).path), opened.plaintext_length)


def _unwrap(effect: Effect) -> object:
    assert isinstance(effect, Unwrap)  # noqa: S101 - a gate needs nothing else
    return effect.checked.ask()


def rules_of_one_object(options: Options, bucket: str | None, key: str | None) -> tuple[ReadRules, str]:
    """The rules for reading what a URL answers, and the place that it must be bound to, as `place_of` gives it.

    Raises:
        ConfigurationError: an option that has no effect here, or a place that is missing.
    """
    rules = options.reading()
    arn = place_of(rules, bucket, key)
    _refuse_without_effect(options)
    return rules, arn


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
                text = answer.raw.read(LONGEST_ERROR).decode("utf-8", "replace")
        except HTTPError as error:
            raise broken_off(error, request) from error
        parsed: Any = error_of(answer.status_code, text)
        raise ClientError(parsed, "PutObject" if method == "PUT" else "GetObject")
    if method != "GET":
        answer.raw.close()
    return answer
