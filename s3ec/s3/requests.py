"""What the caller's request says about encryption and about the plaintext, taken out before S3 sees the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3ec import formats
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.formats.metadata import OBJECT_ARN_PAIR
from s3ec.materials import STORED_CONTEXT, StoredContext
from s3ec.s3.names import bound_context
from s3ec.s3.surroundings import WriteRules

__all__ = [
    "OBJECT_ARN_PAIR",
    "GRANTS",
    "USER_METADATA_LIMIT",
    "check_metadata_size",
    "check_user_metadata",
    "refuse_write_suffix",
    "take_read_context",
    "write_context",
    "grantee_of",
]

GRANTS = {
    "FULL_CONTROL": "GrantFullControl",
    "READ": "GrantRead",
    "READ_ACP": "GrantReadACP",
    "WRITE_ACP": "GrantWriteACP",
}
"""Permissions of an access control list, as members of a request that makes an object."""

USER_METADATA_LIMIT = 2048
"""Bytes that S3 allows for names and values of user metadata (S3 user guide, "Working with object metadata")."""


def write_context(context: object, parameters: Mapping[str, Any], rules: WriteRules) -> dict[str, str]:
    """The ``EncryptionContext`` of a write, with the object's ARN added where the client binds objects.

    Raises:
        ConfigurationError: the context is not a map of strings.
    """
    if context is STORED_CONTEXT:
        raise ConfigurationError("STORED_CONTEXT is for reads; a write has no stored context yet")
    pairs = _checked_context(context) or {}
    bound = bound_context(parameters, rules)
    if bound:
        if OBJECT_ARN_PAIR in pairs:
            raise ConfigurationError(f"with bind_object=True the pair {OBJECT_ARN_PAIR} is the client's own")
        pairs = {**pairs, **bound}
    return pairs


def take_read_context(parameters: dict[str, Any]) -> Mapping[str, str] | StoredContext | None:
    """Take ``EncryptionContext`` out of a read.

    Raises:
        ConfigurationError: it is neither a map of strings nor `STORED_CONTEXT`.
    """
    context = parameters.pop("EncryptionContext", None)
    return context if isinstance(context, StoredContext) else _checked_context(context)


def _checked_context(context: object) -> dict[str, str] | None:
    if context is None:
        return None
    if not isinstance(context, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in context.items()
    ):
        raise ConfigurationError("EncryptionContext must map strings to strings")
    return dict(context)


def refuse_write_suffix(parameters: Mapping[str, Any]) -> None:
    """Ordinary writes know the default suffix alone, as the specification has it."""
    if "InstructionFileSuffix" in parameters:
        raise UnsupportedOperationError(
            "InstructionFileSuffix is for reads: an ordinary write uses the default suffix, other suffixes come from "
            "re-wrapping an object for another key"
        )


def check_user_metadata(metadata: object) -> None:
    """Refuse content-metadata keys of any format version in the caller's own metadata.

    Merged, they would make an object of mixed formats, which every strict reader takes for a forgery.

    Raises:
        ConfigurationError: naming the keys.
    """
    if not isinstance(metadata, Mapping):
        return
    reserved = sorted(name for name in metadata if isinstance(name, str) and formats.is_content_metadata_key(name))
    if reserved:
        raise ConfigurationError(
            f"Metadata holds keys that are reserved for content metadata: {', '.join(reserved)}; "
            "drop them (get_object and head_object of this client do not show them)"
        )


def check_metadata_size(metadata: Mapping[str, str], *, own: int) -> None:
    """Refuse before the wire what S3 would answer with MetadataTooLarge.

    Args:
        metadata: the whole user metadata as it will be sent.
        own: how many of its bytes are the content metadata of s3ec.

    Raises:
        ConfigurationError: with the numbers and the way out.
    """
    size = metadata_size(metadata)
    if size > USER_METADATA_LIMIT:
        raise ConfigurationError(
            f"user metadata would be {size} bytes, of which content metadata takes {own}; S3 allows "
            f"{USER_METADATA_LIMIT}. Shorten Metadata or EncryptionContext, or keep content metadata in an "
            "instruction file (instruction_file_writes=True)"
        )


def metadata_size(metadata: Mapping[str, str]) -> int:
    """Bytes that S3 counts for user metadata: names and values in UTF-8."""
    return sum([len(name.encode()) + len(str(value).encode()) for name, value in metadata.items()])


def grantee_of(grant: Mapping[str, Any]) -> str:
    """Who has a grant of an access control list, as a request names them; MinIO's one grant names nobody."""
    grantee = grant["Grantee"]
    if grantee.get("URI"):
        return f'uri="{grantee["URI"]}"'
    if grantee.get("EmailAddress"):
        return f'emailAddress="{grantee["EmailAddress"]}"'
    return f'id="{grantee.get("ID", "")}"'
