"""An upload of a client: its state, where its parts are kept, and the options that its requests are made under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.bodies.sources import Source
from s3ec.client.calls.around import Around
from s3ec.client.multipart.checksum import FullObjectChecksum
from s3ec.client.multipart.requests import answer_before_sending
from s3ec.client.options import Options
from s3ec.s3.flow import Flow
from s3ec.s3.multipart.requests import EncryptedUpload
from s3ec.s3.multipart.room import Room
from s3ec.s3.multipart.snapshot import UploadSnapshot
from s3ec.s3.multipart.state import UploadState

__all__ = ["LiveUpload"]


class LiveUpload(UploadState):
    """The state of one upload.

    Attributes:
        options: those of the client that created it, with the server-side mode of the creating request.
    """

    def __init__(
        self, upload: EncryptedUpload, options: Options, room: Room, snapshot: UploadSnapshot | None = None
    ) -> None:
        """Begin, or go on from where another process was."""
        # A checksum over the plaintext cannot be taken up in the middle.
        super().__init__(upload, room, FullObjectChecksum({} if snapshot else upload.request), snapshot)
        self.options = options

    def give(
        self,
        wire: Around,
        number: int,
        source: Source,
        claims: PlaintextClaims,
        given: Mapping[str, Any],
        *,
        own: bool,
    ) -> Flow[dict[str, Any]]:
        """Encrypt and send a part, see `UploadState.upload_part`.

        Returns:
            S3's answer, or one with a stand-in ETag for a part that S3 gets later; checksums are the plaintext's.
        """
        part = yield from self.upload_part(wire, number, source, claims, given, own=own)
        if part.answer is not None:
            return {**part.answer, **part.checksums}
        _report_sent(source, part.length)
        return {**answer_before_sending(wire.service_model, self.upload, part.etag), **part.checksums}


def _report_sent(source: Source, length: int) -> None:
    """Count a part that is kept as sent, as s3transfer would have counted it on its way."""
    if source.rewindable:
        source.rewind()
    source.signal("signal_transferring")
    source.report_position(length)
    source.signal("signal_not_transferring")
