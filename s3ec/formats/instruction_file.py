"""Instruction files: the encrypted data key in an object of its own, beside the encrypted one.

Anyone who may write that second object could swap the data key. V3 stops this, because the commitment stays in the
encrypted object; so its keys are never believed from a file, and file and object must be of one format.
Source: S3 Encryption Client specification, data-format/metadata-strategy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from s3ec.algorithms import AlgorithmSuite
from s3ec.errors import ConflictingMetadataError, InstructionFileError, MetadataError, SecurityError
from s3ec.formats import codec, keys, v1, v2, v3
from s3ec.formats.detection import Detection, classify, object_fields, require
from s3ec.formats.metadata import ContentMetadata, MetadataLocation

__all__ = [
    "INSTRUCTION_FILE_MAX_LENGTH",
    "INSTRUCTION_FILE_SUFFIX",
    "LEGACY_DOTNET_SUFFIX",
    "is_instruction_file_body",
    "judge_instruction_file",
    "parse_instruction_file",
    "render_body",
]

INSTRUCTION_FILE_SUFFIX = ".instruction"
LEGACY_DOTNET_SUFFIX = "INSTRUCTION_SUFFIX"
"""What the first .NET clients appended to the key, without a dot; readers try it after `INSTRUCTION_FILE_SUFFIX`."""

INSTRUCTION_FILE_MAX_LENGTH = 256 * 1024
"""Bytes; far above any real file, so that a reader need not swallow whatever lies under the name."""

_NAME = "the instruction file"
_PREFIX = "x-amz-"
_LENGTHS = frozenset({keys.UNENCRYPTED_LENGTH, keys.UNENCRYPTED_MD5})
_ALLOWED = keys.KEYS_V1_V2 | keys.KEYS_V3 | _LENGTHS
_NUMBERS = _LENGTHS | {keys.TAG_LENGTH}
_WRAPPING_V3 = keys.KEYS_V3 - keys.CONTENT_KEYS_V3
_TELLING = tuple(
    f'"{name}"'.encode() for name in sorted(keys.KEYS_V1_V2 | keys.KEYS_V3 | {keys.LEGACY_DOTNET_ENCRYPTED_KEY})
)


def parse_instruction_file(body: bytes, object_metadata: Mapping[str, str]) -> ContentMetadata:
    """Read an object's content metadata with the help of its instruction file.

    Args:
        body: the file, whole.
        object_metadata: user metadata of the encrypted object, without ``x-amz-meta-``.

    Raises:
        InstructionFileError: the file is not an instruction file.
        ConflictingMetadataError: file and object do not belong together, or V3's commitment lies in the file.
        MalformedMetadataError: a value cannot be read.
    """
    file_fields = _fields(body)
    own_fields = object_fields(object_metadata)
    detection = classify(own_fields)
    if _WRAPPING_V3 & file_fields.keys():
        return replace(_parse_v3(file_fields, own_fields, detection), location=MetadataLocation.INSTRUCTION_FILE)
    if detection in (Detection.V3, Detection.V3_INSTRUCTION_FILE):
        raise ConflictingMetadataError("the object is V3, but its instruction file is V1 or V2: treat it as forged")
    content_metadata = _parse_v1_v2({**_lengths(own_fields), **file_fields})
    if detection is not Detection.NONE:
        _refuse_other_content(content_metadata, _parse_v1_v2(own_fields))
    return replace(content_metadata, location=MetadataLocation.INSTRUCTION_FILE)


def judge_instruction_file(
    body: bytes, object_metadata: Mapping[str, str], *, is_marked: bool = False
) -> ContentMetadata | None:
    """Return what an object without complete content metadata is, by what lies under its instruction file's name.

    The one rule of every reader, the survey and the migration:

    1. An object with V3's content keys asks for its file: what lies there must be that file.
    2. Beside any other object, a user's own object may have that name. What is neither marked as an instruction file
       nor holds a name of content metadata is not one, and says nothing of the object.
    3. A sound file of V3 beside an object that has no V3 keys belongs to no object as it stands: it was written for an
       object that is yet to come, or that was overwritten. V3 keeps its commitment in the object, so nothing is
       spoofed by calling that object not encrypted, which its writer could do without a file as well.
    4. A sound file of V1 or V2 makes the object encrypted: those formats have nothing in the object itself.
    5. Anything else, and what is too large to be looked at, may be a damaged or forged file. The object beside it may
       be ciphertext, so this is an error, and never "not encrypted".

    Args:
        body: what lies under the name, whole.
        object_metadata: user metadata of the object, without ``x-amz-meta-``.
        is_marked: True if the file's own metadata marks it as an instruction file.

    Returns:
        The content metadata, or None where the file says nothing of the object.

    Raises:
        MetadataError, ConflictingMetadataError: as `parse_instruction_file`.
    """
    if len(body) > INSTRUCTION_FILE_MAX_LENGTH:
        raise InstructionFileError(
            f"what lies under the instruction file's name is larger than {INSTRUCTION_FILE_MAX_LENGTH} bytes, and not "
            "read to its end"
        )
    asked_for = classify(object_fields(object_metadata)) is not Detection.NONE
    if not asked_for:
        if not is_marked and not _resembles(body):
            return None
        if _WRAPPING_V3 & _fields(body).keys() and is_instruction_file_body(body):
            return None
    return parse_instruction_file(body, object_metadata)


def _resembles(body: bytes) -> bool:
    """True if any name of content metadata stands in it, be it a JSON object or half of one."""
    return is_instruction_file_body(body) or any(name in body for name in _TELLING)


def is_instruction_file_body(body: bytes) -> bool:
    """True if bytes parse strictly as an instruction file of any format, apart from any object."""
    try:
        fields = _fields(body)
        if _WRAPPING_V3 & fields.keys():
            require(fields, keys.ENCRYPTED_KEY_V3, keys.V3_WRAPPING)
            v3.parse({**fields, **_ANY_CONTENT})
        else:
            _parse_v1_v2(fields)
    except (MetadataError, SecurityError):
        return False
    return True


def render_body(fields: Mapping[str, str]) -> bytes:
    r"""Write the file: strings only, ASCII, and no blank anywhere, because the C++ client stops reading at the first.

    Blanks inside nested JSON become ``\u0020``, which is the same text to a JSON parser.
    """
    return codec.dump_string_map({name: text.replace(" ", "\\u0020") for name, text in fields.items()}).encode("ascii")


# Stands in for the object's part where only the file is at hand.
_ANY_CONTENT = {
    keys.V3_ALGORITHM: AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY.content_algorithm,
    keys.V3_COMMITMENT: "",
    keys.V3_MESSAGE_ID: "",
}


def _fields(body: bytes) -> dict[str, str]:
    """Parse the file into fields; names are case-sensitive here, null and empty are absent."""
    if len(body) > INSTRUCTION_FILE_MAX_LENGTH:
        raise InstructionFileError(f"the instruction file has {len(body)} bytes; no client writes such files")
    try:
        stored = codec.load_object(body.decode("utf-8"), _NAME)
    except (UnicodeDecodeError, MetadataError):
        raise InstructionFileError("the instruction file is not the JSON object that it should be") from None
    fields: dict[str, str] = {}
    for name, value in _dotnet_names(stored).items():
        if not _known(name) or value is None or value == "":
            continue
        if not isinstance(value, str) or (isinstance(value, codec.JsonNumber) and name not in _NUMBERS):
            raise InstructionFileError(f"the instruction file holds something other than text under {name}")
        fields[name] = str(value)
    _refuse_content_keys(fields)
    return fields


def _known(name: str) -> bool:
    if name not in _ALLOWED and name.lower().startswith(_PREFIX):
        raise InstructionFileError(
            f"the instruction file holds {codec.shown(name)}, which no S3 encryption client writes there"
        )
    return name in _ALLOWED


def _dotnet_names(stored: dict[str, object]) -> dict[str, object]:
    """Bring the first .NET clients' names to those of V1, which they mean."""
    if keys.LEGACY_DOTNET_ENCRYPTED_KEY not in stored:
        return stored
    if any(name.lower().startswith(_PREFIX) for name in stored):
        raise ConflictingMetadataError("the instruction file mixes the names of two formats: treat it as forged")
    return {
        keys.ENCRYPTED_KEY_V1: stored[keys.LEGACY_DOTNET_ENCRYPTED_KEY],
        keys.IV: stored.get(keys.LEGACY_DOTNET_IV),
    }


def _refuse_content_keys(fields: Mapping[str, str]) -> None:
    misplaced = sorted(keys.CONTENT_KEYS_V3 & fields.keys())
    if misplaced:
        raise ConflictingMetadataError(
            f"the instruction file holds {', '.join(misplaced)}, which only the object itself may hold: treat it as "
            "forged"
        )
    if keys.KEYS_V3 & fields.keys() and keys.KEYS_V1_V2 & fields.keys():
        raise ConflictingMetadataError("the instruction file mixes format V3 with V1 or V2: treat it as forged")


def _parse_v3(file_fields: dict[str, str], own_fields: dict[str, str], detection: Detection) -> ContentMetadata:
    if detection not in (Detection.V3, Detection.V3_INSTRUCTION_FILE):
        raise ConflictingMetadataError("the instruction file is V3, but the object itself is not: treat it as forged")
    require(file_fields, keys.ENCRYPTED_KEY_V3, keys.V3_WRAPPING)
    content = {name: own_fields[name] for name in keys.CONTENT_KEYS_V3}
    return v3.parse({**file_fields, **content})


def _parse_v1_v2(fields: dict[str, str]) -> ContentMetadata:
    detection = classify(fields)
    if detection is Detection.V1:
        return v1.parse(fields)
    if detection is Detection.V2:
        return v2.parse(fields)
    raise InstructionFileError("the instruction file holds no encrypted data key")


def _lengths(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in _LENGTHS & fields.keys()}


def _refuse_other_content(content_metadata: ContentMetadata, own: ContentMetadata) -> None:
    """Refuse a V1 or V2 file that says other things of the content than the object itself does.

    Normally the object says nothing. Only a file asked for by its own suffix may stand beside complete metadata, as a
    second wrapping of the same data key; it may not bring another IV or another cipher along.
    """
    if (own.iv, own.content_algorithm) != (content_metadata.iv, content_metadata.content_algorithm):
        raise ConflictingMetadataError("the instruction file describes other content than the object itself does")
