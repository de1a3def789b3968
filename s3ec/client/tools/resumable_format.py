"""What the exported state of an upload looks like: a header with its own data key's metadata, and the sealed state."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3ec import formats
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.own import sealing
from s3ec.crypto.own.ghash import GhashState
from s3ec.errors import MalformedMetadataError
from s3ec.formats import ContentMetadata
from s3ec.s3.multipart.snapshot import UploadSnapshot
from s3ec.secrets import Secret

__all__ = ["ExportedUpload", "Sealing", "parse", "read_header"]

_MAGIC = b"s3ec multipart upload 1\n"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class ExportedUpload:
    """An upload on its way from one process to another.

    Attributes:
        request: the creating request's plain values, without keys and user metadata.
        upload_id: S3's name for the upload.
        content_metadata: metadata of the object, with its data key wrapped.
        instruction_file: body of the instruction file to be written with the object, or None.
        customer_key: True if every request needs an SSE-C key, which is not in here.
        snapshot: parts and stream.
    """

    request: Mapping[str, Any]
    upload_id: str
    content_metadata: ContentMetadata
    instruction_file: bytes | None = field(repr=False)
    customer_key: bool
    snapshot: UploadSnapshot


class Sealing:
    """Seals states of one upload under one data key, each with a random nonce."""

    def __init__(self, content_metadata: ContentMetadata, cipher: ContentCipher) -> None:
        """Take a data key that was made for this; it encrypts no object."""
        header = json.dumps(formats.render_object(content_metadata), separators=(",", ":"), sort_keys=True).encode()
        self._header = _MAGIC + len(header).to_bytes(_LENGTH_BYTES, "big") + header
        self._cipher = cipher

    def seal(self, exported: ExportedUpload) -> bytes:
        """Header and sealed state.

        The header is bound as additional data. It begins with our own name, so that the ciphertext of an object, which
        may be anybody's, never passes for a state under the same keyring.
        """
        payload = json.dumps(_document(exported), separators=(",", ":")).encode()
        return self._header + sealing.seal(self._cipher.key, payload, self._header)


def read_header(blob: bytes) -> tuple[ContentMetadata, bytes, bytes]:
    """Take a state apart: metadata of its data key, what is sealed, and the header.

    Raises:
        MalformedMetadataError: it is not an exported state.
    """
    start = len(_MAGIC) + _LENGTH_BYTES
    if not blob.startswith(_MAGIC):
        raise MalformedMetadataError("this is not an exported upload, or one of a version that is not known here")
    end = start + int.from_bytes(blob[len(_MAGIC) : start], "big")
    try:
        metadata = json.loads(blob[start:end])
    except (ValueError, RecursionError):  # RecursionError: brackets nested deeply to exhaust the reader
        metadata = None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise MalformedMetadataError("the header of the exported upload cannot be read; was it cut short?")
    return formats.parse_object(metadata), blob[end:], blob[:end]


def parse(key: bytes | Secret[bytes], sealed: bytes, header: bytes) -> ExportedUpload:
    """Open a state.

    Raises:
        AuthenticationError: it was altered, cut short, or is not what was sealed under this key.
    """
    document = json.loads(sealing.open_sealed(key, sealed, header))
    snapshot = UploadSnapshot(
        parts=tuple((number, length, _bytes(mac)) for number, length, mac in document["parts"]),
        mac_key=Secret(_bytes(document["mac_key"])),
        stream=GhashState(document["position"], _bytes(document["accumulator"]), _bytes(document["tail"])),
        sealed=document["sealed"],
    )
    instruction_file = document["instruction_file"]
    return ExportedUpload(
        request=document["request"],
        upload_id=document["upload_id"],
        content_metadata=formats.parse_object(document["content_metadata"]),
        instruction_file=None if instruction_file is None else _bytes(instruction_file),
        customer_key=document["customer_key"],
        snapshot=snapshot,
    )


def _document(exported: ExportedUpload) -> dict[str, Any]:
    snapshot, file = exported.snapshot, exported.instruction_file
    return {
        "request": dict(exported.request),
        "upload_id": exported.upload_id,
        "content_metadata": formats.render_object(exported.content_metadata),
        "instruction_file": None if file is None else _text(file),
        "customer_key": exported.customer_key,
        "parts": [[number, length, _text(mac)] for number, length, mac in snapshot.parts],
        "mac_key": _text(snapshot.mac_key.reveal()),
        "position": snapshot.stream.position,
        "accumulator": _text(snapshot.stream.accumulator),
        "tail": _text(snapshot.stream.tail),
        "sealed": snapshot.sealed,
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
