"""Encryption contexts: what a writer may give, what a reader gave, what is stored, and where they differ.

Nothing here touches a key; the gates ask before any keyring is.
Source: S3 Encryption Client specification, materials/s3-kms-keyring.md; Amazon S3 user guide, "Using server-side
encryption with AWS KMS", for the form of the pair ``aws:s3:arn``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from s3ec.algorithms import WrappingAlgorithm
from s3ec.formats import ContentMetadata
from s3ec.formats.codec import shown
from s3ec.formats.metadata import OBJECT_ARN_PAIR, RESERVED_CONTEXT_NAMES
from s3ec.materials import STORED_CONTEXT, KeyringCapabilities, StoredContext, is_text_map

__all__ = ["context_difference", "context_fault", "place_difference", "written_context_fault"]

_MOST_NAMES_SHOWN = 20
# ARNs of an object in a bucket, or behind an access point; other shapes belong to other services.
_OBJECT_ARN = re.compile(r"arn:[^:/]+:s3:(::[^/]+/|[^/]+:accesspoint/[^/]+/object/).+", re.DOTALL)


def context_fault(given: Mapping[str, str] | StoredContext | None, keyring: KeyringCapabilities) -> str | None:
    """Explain why no object at all could be read with this encryption context."""
    if not given or given is STORED_CONTEXT:
        return None
    if not is_text_map(given):
        return "EncryptionContext must map text to text, or be s3ec.STORED_CONTEXT"
    if not keyring.binds_encryption_context:
        return "an EncryptionContext was given, but this keyring binds none; leave it out"
    return None


def written_context_fault(given: Mapping[str, str], keyring: KeyringCapabilities) -> str | None:
    """Explain why no object may be written with this encryption context."""
    if not is_text_map(given):
        return "EncryptionContext must map text to text"
    if taken := sorted(RESERVED_CONTEXT_NAMES & given.keys()):
        return f"EncryptionContext must not hold {', '.join(taken)}: the clients' own names"
    if given and not keyring.binds_encryption_context:
        return "an EncryptionContext was given, but this keyring binds none; use its material_description, or KMS"
    return None


def context_difference(
    content_metadata: ContentMetadata,
    given: Mapping[str, str] | StoredContext | None,
    bound: Mapping[str, str],
    object_arn: str | None,
) -> str | None:
    """Describe how the caller's encryption context differs from the stored one, by names: values may be private."""
    algorithm = content_metadata.encrypted_data_key.wrapping_algorithm
    stored = content_metadata.description if algorithm.family == "kms" else {}
    for name, value in bound.items():
        if stored.get(name) != value:
            return (
                f"the object is not bound to its place: the stored encryption context has {_names(stored)}, and "
                f"{shown(name)} must be there with the value of this object"
            )
    # Clients of the time of ``kms`` bound the key ID and asked for nothing on reads.
    if given is STORED_CONTEXT or (given is None and algorithm is WrappingAlgorithm.KMS):
        return place_difference(stored.get(OBJECT_ARN_PAIR), object_arn)
    expected = {
        name: value for name, value in stored.items() if name not in RESERVED_CONTEXT_NAMES and name not in bound
    }
    actual = {name: value for name, value in (given or {}).items() if bound.get(name) != value}
    if actual == expected:
        return None
    if actual.keys() == expected.keys():
        differing = {name: "" for name, value in actual.items() if value != expected[name]}
        found = (
            f"the value{'s' if len(differing) > 1 else ''} of {_names(differing)} differ{'s' * (len(differing) == 1)}"
        )
    else:
        found = f"given {_names(actual)}, stored {_names(expected)}"
    return (
        f"the EncryptionContext is not the one that the object was written with: {found}; give exactly the stored "
        "pairs, or s3ec.STORED_CONTEXT to take them as they are"
    )


def place_difference(stored: str | None, object_arn: str | None) -> str | None:
    """Describe where a context that was not stated names another object: bucket writers can swap objects.

    Args:
        stored: the pair ``aws:s3:arn`` of the context, or None.
        object_arn: ARN of the place that the object was read from; see `check`.

    Only ARNs of objects are compared, without their partition, which the client leaves at ``aws``.
    """
    if stored is None or object_arn is None or not _OBJECT_ARN.fullmatch(stored):
        return None
    if stored.split(":", 2)[2] == object_arn.partition(":")[2].partition(":")[2]:
        return None
    place = f"it was read as {shown(object_arn)}" if object_arn else "Bucket and Key, to compare with, were not given"
    return (
        f"the stored encryption context binds the object to {shown(stored)}, but {place}: was it swapped? To read an "
        f"object that was moved on purpose, give its pairs as EncryptionContext, {OBJECT_ARN_PAIR} among them"
    )


def _names(pairs: Mapping[str, str]) -> str:
    listed = [shown(name) for name in itertools.islice(pairs, _MOST_NAMES_SHOWN)]
    if len(pairs) > _MOST_NAMES_SHOWN:
        listed.append(f"{len(pairs) - _MOST_NAMES_SHOWN} more")
    return ", ".join(listed) or "no names"
