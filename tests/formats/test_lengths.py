"""The length of the plaintext as its writer noted it, which may lie."""

from __future__ import annotations

import pytest

from s3ec.formats import parse_object
from s3ec.formats.lengths import noted_length

from support import headers


@pytest.mark.parametrize(
    ("noted", "stored", "length"),
    [
        ("17", 32, 17),
        ("16", 32, 16),
        ("31", 32, 31),
        ("15", 32, None),
        ("32", 32, None),
        ("17", 48, None),
        ("17", 17, None),
        (None, 32, None),
        ("seventeen", 32, None),
    ],
)
def test_what_padding_allows(noted: str | None, stored: int, length: int | None) -> None:
    """A note is taken where the ciphertext has the length that plaintext of that length is padded to."""
    fields = {} if noted is None else {"x-amz-unencrypted-content-length": noted}
    assert noted_length(parse_object(headers.v1(**fields)), stored) == length
