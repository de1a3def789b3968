"""Which metadata is the clients', and which the caller's."""

from __future__ import annotations

import pytest

from s3ec import formats
from s3ec.formats import keys

EVERY_KEY = [
    "x-amz-key",
    "x-amz-key-v2",
    "x-amz-iv",
    "x-amz-matdesc",
    "x-amz-wrap-alg",
    "x-amz-cek-alg",
    "x-amz-tag-len",
    "x-amz-unencrypted-content-length",
    "x-amz-unencrypted-content-md5",
    "x-amz-crypto-instr-file",
    "x-amz-c",
    "x-amz-d",
    "x-amz-i",
    "x-amz-3",
    "x-amz-w",
    "x-amz-m",
    "x-amz-t",
]


@pytest.mark.parametrize("name", EVERY_KEY)
def test_content_metadata_keys_of_every_version_are_known_in_any_case(name: str) -> None:
    """Each key of each version is the clients' own, however a server spells it."""
    assert formats.is_content_metadata_key(name)
    assert formats.is_content_metadata_key(name.title())
    assert formats.is_content_metadata_key(name.upper())


def test_no_other_key_is_reserved() -> None:
    """The reserved names are exactly those of the formats."""
    assert set(EVERY_KEY) == keys.RESERVED
    for name in ("x-amz-key-v3", "x-amz-", "key", "iv", "x-amz-meta-x-amz-key", "x-amz-2", ""):
        assert not formats.is_content_metadata_key(name)


def test_strip_leaves_the_callers_own_metadata() -> None:
    """The caller gets their own names and values back as they came, and nothing of the clients'."""
    mixed = {"X-Amz-Key-V2": "a", "Team": "hr", "x-amz-t": "{}", "x-amz-crypto-instr-file": "", "empty": ""}
    assert formats.strip(mixed) == {"Team": "hr", "empty": ""}
    assert len(mixed) == 5
