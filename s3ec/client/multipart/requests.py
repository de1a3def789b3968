"""The requests of one multipart upload, each as S3 wants it: created, sent in parts, completed or aborted.

Content metadata is fixed when an upload is created, so the data key is asked for then; the parts are pieces of one
AES-GCM stream, and their concatenation is what a single put would have stored.
Source: S3 Encryption Client specification, client.md, "Multipart upload"; API reference of each operation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from s3ec.client.calls.handlers import Heard, heard_with
from s3ec.client.calls.wire import Wire
from s3ec.client.server_side import rules as server_side
from s3ec.crypto.content import ContentCipher
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.s3 import multipart
from s3ec.s3.flow import work
from s3ec.s3.instruction_writes import InstructionFileWrite, written_with_object
from s3ec.s3.objects import EncryptedObject, describe, speak_plaintext
from s3ec.s3.requests import (
    refuse_write_suffix,
)

__all__ = [
    "LAST_PART_NUMBER",
    "MAXIMUM_PART_LENGTH",
    "MINIMUM_PART_LENGTH",
    "EncryptedUpload",
    "create_upload",
    "recorded_part",
    "with_server_side_mode_of",
    "without_checksums",
]

LAST_PART_NUMBER = 10_000
"""The highest part number of S3."""

MINIMUM_PART_LENGTH = 5 * 1024 * 1024
"""Bytes below which S3 takes a part only as the last one."""

MAXIMUM_PART_LENGTH = 5 * 1024**3
"""Bytes of the largest part that S3 takes."""


@dataclass(frozen=True, slots=True)
class EncryptedUpload:
    """One multipart upload: what every request of it needs.

    Attributes:
        wire: plain calls, whose default server-side mode is that of the creating request.
        upload_id: S3's name for the upload.
        request: the creating request, without what is not S3's; its SSE-C key goes with every later request.
        content_metadata: what is stored beside the content.
        cipher: for the one plaintext of the upload.
        instruction_file: body of the instruction file, or None where the object's metadata holds everything.
        created: S3's answer to the creating request; an empty map where another process has it.
    """

    wire: Wire
    upload_id: str
    request: Mapping[str, Any] = field(repr=False)
    content_metadata: ContentMetadata
    cipher: ContentCipher
    instruction_file: bytes | None = field(default=None, repr=False)
    created: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def location(self) -> MetadataLocation:
        """Where the encrypted data key is, or will be."""
        return MetadataLocation.OBJECT_METADATA if self.instruction_file is None else MetadataLocation.INSTRUCTION_FILE

    def parameters(self, operation_name: str, given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """A request about this upload: the caller's own parameters over those that the creating request implies."""
        carried = self.wire.companion(operation_name, self.request, UploadId=self.upload_id)
        if any(name.startswith("SSECustomer") for name in given):
            carried = {name: value for name, value in carried.items() if not name.startswith("SSECustomer")}
        return {**carried, **given, **more}

    def through(self, wire: Wire) -> EncryptedUpload:
        """Return the same upload, sent by another client of the session with its credentials and handlers."""
        return dataclasses.replace(
            self,
            wire=wire.with_options(self.wire.options),
        )

    def answer(self, etag: str) -> dict[str, Any]:
        """What S3 would answer to a part that it gets later: its ETag, and the upload's server-side encryption."""
        shape = self.wire.service_model.operation_model("UploadPart").output_shape
        known = {**self.request, **self.created}
        members = {} if shape is None else {name: member for name, member in shape.members.items() if name in known}
        stated = {name: known[name] for name in members if not name.startswith("Checksum")}
        headers = {members[name].serialization["name"].lower(): _as_header(value) for name, value in stated.items()}
        return {
            "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"etag": etag, **headers}, "RetryAttempts": 0},
            "ETag": etag,
            **stated,
        }

    def send(self, part_number: int, body: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Send one part of ciphertext and return S3's answer.

        A part without the checksum algorithm of its upload is refused by S3, so it is named where the caller did not.
        """
        algorithm = self.request.get("ChecksumAlgorithm")
        named = {"ChecksumAlgorithm": algorithm} if algorithm is not None else {}
        request = self.parameters("UploadPart", {**named, **given}, PartNumber=part_number, Body=body)
        return self.wire.store("UploadPart", request, heard=heard_with(given))

    def complete(
        self, parts: Iterable[Mapping[str, Any]], given: Mapping[str, Any], *, again: bool = False
    ) -> dict[str, Any]:
        """Make the object of its parts, with its instruction file where it has one.

        The file is written here and not when the upload is created: an aborted upload leaves none. Since then its name
        may have been taken by another writer, so it is looked at again.

        Args:
            parts: in order, each with the ETag and the checksums that S3 answered for the ciphertext.
            given: the caller's own parameters, without those that describe plaintext.
            again: True if the object was made before: its instruction file stands, whatever S3 answers this time.
        """
        # Checksums of an algorithm that the upload was not created with make S3 say that there is no such part.
        wanted = ("PartNumber", "ETag", f"Checksum{self.request.get('ChecksumAlgorithm')}")
        listed = [{name: part[name] for name in wanted if name in part} for part in parts]
        request = self.parameters("CompleteMultipartUpload", given, MultipartUpload={"Parts": listed})
        send = partial(self._call, "CompleteMultipartUpload", request, heard_with(given))
        if self.instruction_file is None or again:
            response = send()
        else:
            file = InstructionFileWrite(self.instruction_file, self.content_metadata)
            response = self.wire.run(written_with_object(self.wire, self.request, file, lambda: work(send)))
        found = EncryptedObject(self.content_metadata, self.location)
        speak_plaintext(response, describe(found, authenticated=True))
        return response

    def list_parts(self) -> Iterator[dict[str, Any]]:
        """The parts that S3 has, each as `recorded_part`, with the ``Size`` of its ciphertext."""
        for part in self.wire.run(multipart.list_parts(self.parameters("ListParts", {}))):
            yield {**recorded_part(part["PartNumber"], part), "Size": part["Size"]}

    def abort(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the upload up."""
        return self.wire.call("AbortMultipartUpload", self.parameters("AbortMultipartUpload", given))

    def _call(self, operation_name: str, request: Mapping[str, Any], heard: Heard | None) -> dict[str, Any]:
        wire = self.wire if heard is None else self.wire.after(heard)
        return wire.call(operation_name, request)


def create_upload(wire: Wire, parameters: dict[str, Any]) -> tuple[EncryptedUpload, dict[str, Any]]:
    """Get a data key and create an upload.

    Args:
        wire: plain calls.
        parameters: those of ``create_multipart_upload``, with ``EncryptionContext``; they are taken apart.

    Returns:
        The upload, and S3's own answer.

    Raises:
        ConfigurationError, UnsupportedOperationError: before any key is touched.
        KeyringError: no data key could be obtained; nothing was created.
        botocore.exceptions.ClientError: as S3 answers.
    """
    refuse_write_suffix(parameters)
    context = parameters.pop("EncryptionContext", None)
    wire.validate("CreateMultipartUpload", parameters)
    own_wire = with_server_side_mode_of(wire, parameters)
    write, response = own_wire.run(multipart.create_upload(own_wire, parameters, context))
    file = write.placement.instruction_file
    upload = EncryptedUpload(
        wire=own_wire,
        upload_id=response["UploadId"],
        request=parameters,
        content_metadata=write.content_metadata,
        cipher=write.cipher,
        instruction_file=None if file is None else file.body,
        created={name: value for name, value in response.items() if name != "ResponseMetadata"},
    )
    return upload, response


def _as_header(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_server_side_mode_of(wire: Wire, parameters: Mapping[str, Any]) -> Wire:
    """The wire for an upload: a mode that the creating request names holds for its parts, whatever the default is."""
    if not any(name.startswith(("SSE", "ServerSide", "BucketKey")) for name in parameters):
        return wire
    mode = server_side.requested_mode(parameters)
    return wire.with_options(dataclasses.replace(wire.options, server_side_encryption=mode))


def without_checksums(response: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of S3 without its checksums, which are those of ciphertext; its headers as well."""
    kept = {name: value for name, value in response.items() if not name.startswith("Checksum")}
    headers = kept.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    for name in [name for name in headers if name.startswith("x-amz-checksum-")]:
        del headers[name]
    return kept


def recorded_part(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What ``complete_multipart_upload`` must say about a part: ETag and checksums that S3 gave its ciphertext."""
    checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": answer["ETag"], **checksums}
