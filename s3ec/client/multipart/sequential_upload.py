"""A multipart upload whose parts are encrypted in order by one hand and sent by many: what managed uploads run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import CHUNK_SIZE, BytesSource, Source
from s3ec.client.calls import checksums
from s3ec.client.calls.around import Around
from s3ec.client.calls.handlers import Heard, HeardParameters, hear_source, heard_with
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart.body import PartBody
from s3ec.client.multipart.requests import with_server_side_mode_of
from s3ec.client.options import Options
from s3ec.crypto.buffers import UPDATE_ROOM
from s3ec.errors import MultipartStateError
from s3ec.s3.flow import Flow
from s3ec.s3.multipart.requests import (
    LAST_PART_NUMBER,
    EncryptedUpload,
    abort_upload,
    complete_upload,
    create_upload,
    recorded_part,
    send_part,
)
from s3ec.s3.requests import refuse_write_suffix
from s3ec.s3.surroundings import Surroundings

__all__ = ["PART_ROOM", "EncryptedPart", "PartsInOrder", "SentParts", "SequentialUpload", "begin_upload"]

PART_ROOM = GCM_TAG_LENGTH + UPDATE_ROOM
"""Bytes that a buffer must hold beyond the plaintext of a part: the tag, and what the cipher wants free."""


@dataclass(frozen=True, slots=True)
class EncryptedPart:
    """One part, ready to be sent.

    Attributes:
        number: its part number, from 1.
        ciphertext: a view of the buffer that it was encrypted into, which must stay as it is until the part is sent.
        plaintext_length: bytes of plaintext in it; the last part is 16 bytes longer than that.
        parameters: more of ``upload_part``.
    """

    number: int
    ciphertext: memoryview
    plaintext_length: int
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


class PartsInOrder:
    """One multipart upload, whoever makes its requests.

    `encrypt_next` is called by one thread at a time, in the order of the plaintext; the flows of `sending` are run by
    any number at once.
    """

    def __init__(
        self, upload: EncryptedUpload, *, claims: PlaintextClaims | None = None, place: Mapping[str, str] | None = None
    ) -> None:
        """Take an upload that was created.

        Args:
            upload: the upload.
            claims: what the caller says about the whole plaintext; checked against it before the tag is made.
            place: bucket and key as the caller named them, where handlers changed the request that creates the upload:
                they will want to change those of its parts.
        """
        self.upload = upload
        self._place = dict(place or {})
        self._encryptor = upload.cipher.encryptor()
        self._claims = claims
        self._encrypted = 0
        self._lengths: list[int] = []
        self._finished = False
        self._sent: dict[int, dict[str, Any]] = {}

    def request_of_next(self, s3: Surroundings) -> dict[str, Any]:
        """The request of the next part without its body, for handlers to be asked about."""
        return self.upload.parameters(s3, "UploadPart", self._place, PartNumber=self._encrypted + 1)

    def encrypt_next(
        self,
        plaintext: bytes | bytearray | memoryview,
        into: bytearray | memoryview,
        *,
        last: bool,
        heard: Heard | None = None,
    ) -> EncryptedPart:
        """Encrypt the bytes that follow those of the last call, as the next part.

        Args:
            plaintext: the whole part; it may be the start of ``into``.
            into: buffer for the ciphertext, at least `PART_ROOM` bytes longer than the plaintext. It may be used again
                once the part has been sent.
            last: True appends the tag, after which there is no next part.
            heard: what handlers made of the part's request.

        Raises:
            ObjectTooLargeError: more than one GCM stream may carry; nothing of the chunk in hand was encrypted.
            SourceChangedError: a checksum that the caller gave is not that of the plaintext.
            MultipartStateError: a part after the last, or the 10,001st.
        """
        if self._finished:
            raise MultipartStateError("the last part of this upload is encrypted already")
        if self._encrypted == LAST_PART_NUMBER:
            raise MultipartStateError(f"an upload has at most {LAST_PART_NUMBER} parts; choose larger ones")
        source, target = memoryview(plaintext).cast("B"), memoryview(into).cast("B")
        length = source.nbytes
        for start in range(0, length, CHUNK_SIZE):
            chunk = source[start : start + CHUNK_SIZE]
            if self._claims is not None:
                self._claims.update(chunk)
            self._encryptor.update_into(chunk, target[start:])
        end = length
        if last:
            if self._claims is not None:
                self._claims.check()
            target[length : length + 16] = self._encryptor.finalize()
            end += 16
            self._finished = True
        self._encrypted += 1
        self._lengths.append(end)
        parameters = {} if heard is None else HeardParameters(_without_number(heard.parameters), heard)
        return EncryptedPart(self._encrypted, target[:end], length, parameters)

    def sending(self, s3: Surroundings, part: EncryptedPart, body: object) -> Flow[None]:
        """Send a part; it may be sent again.

        Args:
            s3: the client; its wire is that of the call which handlers were asked about, if they were.
            part: as `encrypt_next` gave it.
            body: its ciphertext.
        """
        own = heard_with(part.parameters) is None
        answer = yield from send_part(s3, self.upload, part.number, body, part.parameters, own=own)
        self._sent[part.number] = recorded_part(part.number, answer)

    def completing(self, s3: Surroundings, parameters: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Make the object; it may be called again.

        Args:
            s3: the client.
            parameters: more of ``complete_multipart_upload``, such as ``IfNoneMatch``.

        Raises:
            MultipartStateError: the last part was not encrypted, or a part was not sent.
        """
        if not self._finished or len(self._sent) != self._encrypted:
            raise MultipartStateError(
                f"{len(self._sent)} of {self._encrypted} parts are sent, and the last one is "
                f"{'' if self._finished else 'not '}encrypted: completed now, the object would not open"
            )
        sent = [self._sent[number] for number in sorted(self._sent)]
        whole = checksums.of_parts(zip(sent, self._lengths, strict=True))
        return complete_upload(s3, self.upload, sent, {**whole, **parameters})


class SentParts(PartsInOrder):
    """One multipart upload of a client of boto3's; `send` is called by any number of threads at once."""

    def __init__(
        self,
        wire: Wire,
        upload: EncryptedUpload,
        *,
        claims: PlaintextClaims | None = None,
        place: Mapping[str, str] | None = None,
    ) -> None:
        """Take an upload that was created.

        Args:
            wire: plain calls, under the options of the upload.
            upload: the upload.
            claims: see `PartsInOrder`.
            place: see `PartsInOrder`.
        """
        super().__init__(upload, claims=claims, place=place)
        self._wire = wire

    def hear_next(self, plaintext: memoryview) -> tuple[Heard, Source | None]:
        """Ask the caller's handlers about the next part, as boto3 does for each ``upload_part`` of its transfers.

        Args:
            plaintext: the part; handlers may look at it only until it is encrypted.

        Returns:
            What they made of its request, and the plaintext that is to be encrypted instead, or None.
        """
        source = BytesSource(plaintext)
        return self._wire.run(hear_source("UploadPart", self.request_of_next(self._wire), source))

    def send(self, part: EncryptedPart, *, source: Source | None = None) -> None:
        """Send a part; botocore's own retries send the same ciphertext.

        Args:
            part: as `encrypt_next` gave it.
            source: is told s3transfer's progress signals and how far the part's plaintext has been sent.

        Raises:
            botocore.exceptions.ClientError: as S3 answers; the part may be sent again.
        """
        body = PartBody.of_view(part.ciphertext, part.plaintext_length, source)
        heard = heard_with(part.parameters)
        wire = self._wire if heard is None else self._wire.after(heard)
        wire.run(self.sending(wire, part, body))


class SequentialUpload(SentParts):
    """The same, from its creation to its end."""

    def __init__(
        self,
        wire: Wire,
        parameters: Mapping[str, Any],
        *,
        claims: PlaintextClaims | None = None,
        place: Mapping[str, str] | None = None,
    ) -> None:
        """Create the upload.

        Args:
            wire: plain calls.
            parameters: those of ``create_multipart_upload``, with ``EncryptionContext``.
            claims: see `PartsInOrder`.
            place: see `PartsInOrder`.

        Raises:
            ConfigurationError, UnsupportedOperationError: before any key is touched.
            KeyringError: no data key could be obtained; nothing was created.
        """
        options, flow = begin_upload(wire, dict(parameters))
        own = wire.with_options(options)
        upload, self.response = own.run(flow)
        super().__init__(own, upload, claims=claims, place=place)

    def complete(self, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make the object; see `PartsInOrder.completing`.

        Raises:
            MultipartStateError: the last part was not encrypted, or a part was not sent.
            botocore.exceptions.ClientError: as S3 answers; the call may be repeated.
        """
        return self._wire.run(self.completing(self._wire, parameters or {}))

    def abort(self) -> None:
        """Give the upload up; S3 drops what was sent."""
        self._wire.run(abort_upload(self._wire, self.upload))


def begin_upload(wire: Around, request: dict[str, Any]) -> tuple[Options, Flow[tuple[EncryptedUpload, dict[str, Any]]]]:
    """Look at the request that creates an upload.

    Args:
        wire: the client.
        request: the parameters, which are taken apart.

    Returns:
        The options that every request of the upload is made under, and what creates it.

    Raises:
        ConfigurationError, UnsupportedOperationError: before any key is touched.
    """
    refuse_write_suffix(request)
    context = request.pop("EncryptionContext", None)
    wire.validate("CreateMultipartUpload", request)
    options = with_server_side_mode_of(wire.options, request)
    return options, create_upload(wire.with_options(options), request, context)


def _without_number(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The number of a part is the place of its ciphertext, and must not change."""
    return {name: value for name, value in parameters.items() if name != "PartNumber"}
