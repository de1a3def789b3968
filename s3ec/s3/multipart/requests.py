"""The requests of one multipart upload, each as S3 wants it: created, sent in parts, completed or aborted.

Content metadata is fixed when an upload is created, so the data key is asked for then; the parts are pieces of one
AES-GCM stream, and their concatenation is what a single put would have stored.
Source: S3 Encryption Client specification, client.md, "Multipart upload"; API reference of each operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec.crypto.content import ContentCipher
from s3ec.errors import AuthenticationError
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.s3.flow import Flow, call, store
from s3ec.s3.instruction_writes import InstructionFileWrite, written_with_object
from s3ec.s3.objects import EncryptedObject, describe, speak_plaintext
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.writing import begin_write

__all__ = [
    "LAST_PART_NUMBER",
    "MAXIMUM_PART_LENGTH",
    "MINIMUM_PART_LENGTH",
    "EncryptedUpload",
    "abort_named",
    "abort_upload",
    "complete_upload",
    "create_upload",
    "list_parts",
    "recorded_part",
    "send_part",
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
        upload_id: S3's name for the upload.
        request: the creating request, without what is not S3's; its SSE-C key goes with every later request.
        content_metadata: what is stored beside the content.
        cipher: for the one plaintext of the upload.
        instruction_file: body of the instruction file, or None where the object's metadata holds everything.
        created: S3's answer to the creating request; an empty map where another process has it.
    """

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

    def parameters(
        self, s3: Surroundings, operation_name: str, given: Mapping[str, Any], **more: Any
    ) -> dict[str, Any]:
        """A request about this upload: the caller's own parameters over those that the creating request implies."""
        carried = s3.companion(operation_name, self.request, UploadId=self.upload_id)
        if any(name.startswith("SSECustomer") for name in given):
            carried = {name: value for name, value in carried.items() if not name.startswith("SSECustomer")}
        return {**carried, **given, **more}


def create_upload(
    s3: Surroundings, parameters: dict[str, Any], context: object
) -> Flow[tuple[EncryptedUpload, dict[str, Any]]]:
    """Get a data key and create an upload.

    Args:
        s3: the client.
        parameters: those of ``create_multipart_upload``, validated, without our own.
        context: the caller's ``EncryptionContext``, or None.

    Returns:
        The upload, and S3's own answer.

    Raises:
        ConfigurationError: before any key is touched.
        KeyringError: no data key could be obtained; nothing was created.
        RefusedError: S3's own errors.
    """
    write = yield from begin_write(s3, parameters, context)
    request = {**parameters, "Metadata": write.placement.metadata}
    response = yield from store("CreateMultipartUpload", request, own=False)
    file = write.placement.instruction_file
    upload = EncryptedUpload(
        upload_id=response["UploadId"],
        request=parameters,
        content_metadata=write.content_metadata,
        cipher=write.cipher,
        instruction_file=None if file is None else file.body,
        created={name: value for name, value in response.items() if name != "ResponseMetadata"},
    )
    return upload, response


def send_part(
    s3: Surroundings, upload: EncryptedUpload, number: int, body: object, given: Mapping[str, Any], *, own: bool
) -> Flow[dict[str, Any]]:
    """Send one part of ciphertext and return S3's answer.

    A part without the checksum algorithm of its upload is refused by S3, so it is named where the caller did not.

    Args:
        s3: the client.
        upload: the upload.
        number: the part's.
        body: its ciphertext.
        given: the caller's own parameters.
        own: True for a request that the caller did not make.

    Raises:
        RefusedError, UnreachableError: as from a plain client; the part may be sent again.
    """
    algorithm = upload.request.get("ChecksumAlgorithm")
    named = {"ChecksumAlgorithm": algorithm} if algorithm is not None else {}
    request = upload.parameters(s3, "UploadPart", {**named, **given}, PartNumber=number, Body=body)
    return store("UploadPart", request, own=own)


def complete_upload(
    s3: Surroundings,
    upload: EncryptedUpload,
    parts: Iterable[Mapping[str, Any]],
    given: Mapping[str, Any],
    *,
    again: bool = False,
) -> Flow[dict[str, Any]]:
    """Make the object of its parts, with its instruction file where it has one.

    The file is written here and not when the upload is created: an aborted upload leaves none. Since then its name may
    have been taken by another writer, so it is looked at again.

    Args:
        s3: the client.
        upload: the upload.
        parts: in order, each with the ETag and the checksums that S3 answered for the ciphertext.
        given: the caller's own parameters, without those that describe plaintext.
        again: True if the object was made before: its instruction file stands, whatever S3 answers this time.

    Raises:
        RefusedError, UnreachableError: as from a plain client; it may be called again.
    """
    # Checksums of an algorithm that the upload was not created with make S3 say that there is no such part.
    wanted = ("PartNumber", "ETag", f"Checksum{upload.request.get('ChecksumAlgorithm')}")
    listed = [{name: part[name] for name in wanted if name in part} for part in parts]
    request = upload.parameters(s3, "CompleteMultipartUpload", given, MultipartUpload={"Parts": listed})
    if upload.instruction_file is None or again:
        response = yield from call("CompleteMultipartUpload", request)
    else:
        file = InstructionFileWrite(upload.instruction_file, upload.content_metadata)
        response = yield from written_with_object(
            s3, upload.request, file, lambda: call("CompleteMultipartUpload", request)
        )
    found = EncryptedObject(upload.content_metadata, upload.location)
    speak_plaintext(response, describe(found, authenticated=True))
    return response


def abort_upload(s3: Surroundings, upload: EncryptedUpload) -> Flow[dict[str, Any]]:
    """Give an upload up; S3 drops what was sent.

    Raises:
        RefusedError, UnreachableError: as from a plain client.
    """
    return abort_named(s3, upload.request, upload.upload_id)


def abort_named(s3: Surroundings, request: Mapping[str, Any], upload_id: str) -> Flow[dict[str, Any]]:
    """Give an upload up of which no more is known.

    Args:
        s3: the client.
        request: parameters of the request that created it.
        upload_id: S3's name for it.

    Raises:
        RefusedError, UnreachableError: as from a plain client.
    """
    return call("AbortMultipartUpload", s3.companion("AbortMultipartUpload", request, UploadId=upload_id))


def list_parts(parameters: Mapping[str, Any]) -> Flow[list[dict[str, Any]]]:
    """Return the parts that S3 has of an upload, from all pages of its list.

    Args:
        parameters: those of ``list_parts``.

    Raises:
        AuthenticationError: the list goes in circles.
        RefusedError: S3's own errors.
    """
    parts: list[dict[str, Any]] = []
    marker: dict[str, Any] = {}
    last = -1
    while True:
        page = yield from call("ListParts", {**parameters, **marker})
        parts += page.get("Parts", [])
        if not page.get("IsTruncated"):
            return parts
        behind = page.get("NextPartNumberMarker")
        # There are ten thousand numbers: a list whose every page has a new one comes to an end.
        new = [part for part in page.get("Parts", []) if last < part.get("PartNumber", 0) <= LAST_PART_NUMBER]
        if not isinstance(behind, int) or behind <= last or not new:
            raise AuthenticationError("S3's list of the upload's parts goes in circles")
        last, marker = behind, {"PartNumberMarker": behind}


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
