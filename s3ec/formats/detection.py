"""Which format an object's metadata is in, decided by all of its keys and never by one of them.

A forger can add keys to an object's metadata, or move keys to where they do not belong; what no writer produces is
therefore refused here, before any policy is asked.
Source: S3 Encryption Client specification, data-format/content-metadata.md, "Determining S3EC Object Status".
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from s3ec.errors import ConflictingMetadataError, MalformedMetadataError
from s3ec.formats import keys
from s3ec.formats.double_encoding import repair

__all__ = ["Detection", "classify", "detect", "object_fields", "refuse_remnants", "require"]

# Only descriptions can hold text beyond ASCII.
_TEXTS = frozenset({keys.MATERIAL_DESCRIPTION, keys.MATERIAL_DESCRIPTION_V3, keys.ENCRYPTION_CONTEXT_V3})
_ENCRYPTED_KEYS = (keys.ENCRYPTED_KEY_V1, keys.ENCRYPTED_KEY_V2, keys.ENCRYPTED_KEY_V3)


class Detection(enum.Enum):
    """What an object's own metadata amounts to."""

    V1 = "V1, complete in the object"
    V2 = "V2, complete in the object"
    V3 = "V3, complete in the object"
    V3_INSTRUCTION_FILE = "V3, the encrypted data key lies in an instruction file"
    NONE = "no encrypted data key: in an instruction file, or the object is not encrypted"


def object_fields(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the content metadata of an object: lower-case names, values free of S3's double encoding.

    An empty value is as good as an absent one: one client writes them, and some servers and SDKs drop them.

    Args:
        metadata: user metadata as boto3 gives it, without ``x-amz-meta-``.

    Raises:
        ConflictingMetadataError: one name stated twice in different case, which readers would resolve differently.
    """
    fields: dict[str, str] = {}
    for name, value in metadata.items():
        lowered = name.lower()
        if not value or lowered not in keys.RESERVED:
            continue
        if lowered in fields:
            raise ConflictingMetadataError(f"the object's metadata states {lowered} more than once")
        fields[lowered] = repair(value) if lowered in _TEXTS else value
    return fields


def detect(metadata: Mapping[str, str]) -> Detection:
    """Return what an object's own metadata amounts to.

    Raises:
        ConflictingMetadataError: keys of several formats, or of one format twice.
        MalformedMetadataError: a format of which only a part is there.
    """
    return classify(object_fields(metadata))


def classify(fields: Mapping[str, str]) -> Detection:
    """`detect` for fields that are normalised already."""
    v3 = keys.KEYS_V3 & fields.keys()
    v1_v2 = keys.KEYS_V1_V2 & fields.keys()
    if v3 and v1_v2:
        raise ConflictingMetadataError(
            f"the object mixes format V3 ({_listed(v3)}) with V1 or V2 ({_listed(v1_v2)}); no client writes that: "
            "treat the object as forged"
        )
    stated = [name for name in _ENCRYPTED_KEYS if name in fields]
    if len(stated) > 1:
        raise ConflictingMetadataError(
            f"the object states its data key twice ({_listed(stated)}); no client writes that: treat it as forged"
        )
    if v3:
        return _classify_v3(fields)
    if not stated and not v1_v2:
        return Detection.NONE
    if not stated:
        # Never "not encrypted": callers who allow plain objects would be handed ciphertext.
        raise MalformedMetadataError(f"the content metadata has {_listed(v1_v2)}, but no encrypted data key")
    require(fields, keys.IV)
    return Detection.V1 if stated == [keys.ENCRYPTED_KEY_V1] else Detection.V2


def _classify_v3(fields: Mapping[str, str]) -> Detection:
    if keys.KEYS_V3 & fields.keys() == keys.CONTENT_KEYS_V3:
        return Detection.V3_INSTRUCTION_FILE
    # A few V3 keys beside an instruction file of another format are a spoof: half a format is not a format.
    require(fields, *sorted(keys.CONTENT_KEYS_V3), keys.ENCRYPTED_KEY_V3, keys.V3_WRAPPING)
    return Detection.V3


def refuse_remnants(metadata: Mapping[str, str], *, may_be_instruction_file: bool = False) -> None:
    """Refuse to call plaintext what has no data key anywhere, and yet a name that only encrypting clients write.

    The length alone stands beside each instruction file of the older clients. Where the file was lost, the object is
    ciphertext all the same: handed out, it would pass for content, and encrypted again it would be hidden forever.

    Args:
        metadata: user metadata of an object without content metadata, and without an instruction file.
        may_be_instruction_file: let the mark of an instruction file pass, which is not ciphertext.

    Raises:
        MalformedMetadataError: such a name is there.
    """
    passes = {keys.INSTRUCTION_FILE_MARKER} if may_be_instruction_file else set()
    names = {name.lower() for name in metadata if keys.is_content_metadata_key(name)} - passes
    if names:
        raise MalformedMetadataError(
            f"it has a part of content metadata ({_listed(names)}), so that it may be encrypted; no file has the rest"
        )


def require(fields: Mapping[str, str], *names: str) -> None:
    """Refuse metadata that lacks one of ``names``.

    Raises:
        MalformedMetadataError: something is missing; the text names it.
    """
    missing = [name for name in names if name not in fields]
    if missing:
        raise MalformedMetadataError(
            f"the content metadata lacks {_listed(missing)}; was the object copied without all of its metadata?"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
