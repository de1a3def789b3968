"""upload_part_copy into an encrypted upload, in two steps: the source is read, and what was read becomes the part.

What is read, and what is answered, is decided in `s3ec.s3.multipart.part_copies`. Both clients take these steps; each
reads with its own ``get_object``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from botocore.exceptions import ClientError

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.client.bodies.claims import PlaintextClaims
from s3ec.client.calls.around import Around
from s3ec.client.multipart.live_upload import LiveUpload
from s3ec.client.options import Options
from s3ec.s3.answers import status_of
from s3ec.s3.flow import Flow
from s3ec.s3.multipart.part_copies import OPERATION, copied, part_parameters, read_request, refusal_of_the_part

__all__ = ["PartCopy"]

A = TypeVar("A", bound=Around)


class PartCopy(Generic[A]):
    """One copy into an upload that this client encrypts.

    Attributes:
        reading: the client, under the options that the source is read with.
        request: the read, as parameters of ``get_object``.
    """

    def __init__(
        self, wire: A, parameters: Mapping[str, Any], state: LiveUpload, forget: Callable[[str], object]
    ) -> None:
        """Take the copy; nothing is asked yet.

        Args:
            wire: the client that is called.
            parameters: ``upload_part_copy``'s, as the caller's handlers left them; ``EncryptionContext`` is the
                source's.
            state: state of the upload.
            forget: lets the client forget an upload that S3 no longer has.

        Raises:
            botocore.exceptions.ClientError: S3's InvalidArgument, for a range of another form than it takes.
        """
        self._wire = wire
        self._parameters = parameters
        self._state = state
        self._forget = forget
        self.request = read_request(wire, parameters)
        # Parts of a large object are copied as ranges of it, and each of them has to be verified.
        options = dataclasses.replace(wire.options, verified_range_limit=GCM_MAX_PLAINTEXT_LENGTH + 16)
        self.reading: A = wire.with_options(options)

    def error(self, refused: ClientError) -> Exception:
        """S3's error about the source, as it gives it for the copy.

        Args:
            refused: how it refused the read.
        """
        details: Mapping[str, Any] = refused.response.get("Error", {})
        if instead := refusal_of_the_part(self._wire, status_of(refused.response), details):
            return instead
        kind: type[ClientError] = self._wire.exceptions.from_code(details.get("Code"))
        return kind(refused.response, OPERATION)

    def give(
        self, answer: Mapping[str, Any], open_body: Callable[[Any, int | None], Any]
    ) -> tuple[Options, Flow[dict[str, Any]]]:
        """Encrypt what was read as the part.

        Args:
            answer: to the read.
            open_body: makes a source of its body and the length of that.

        Returns:
            A flow whose result is what S3 answers to UploadPartCopy, and the options that it is to be run under.

        Raises:
            S3ECError: as `LiveUpload.give` raises.
            botocore.exceptions.ClientError: as S3 answers; InvalidArgument for a range past the end.
        """
        options = self._state.options
        own, number = self._wire.with_options(options), self._parameters["PartNumber"]
        source = open_body(answer["Body"], answer.get("ContentLength"))
        claims, given = PlaintextClaims(None, {}), part_parameters(self._parameters)
        giving = self._state.give(own, number, source, claims, given, own=True)
        part = self._state.closed_where_gone(giving, lambda: self._forget(self._state.upload.upload_id))
        return options, copied(own, self._parameters, answer, part)
