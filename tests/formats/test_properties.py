"""Whatever an object says of itself, parsing ends in content metadata or in an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3ec import formats
from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm
from s3ec.errors import S3ECError
from s3ec.formats import ContentMetadata, keys
from s3ec.formats.metadata import CBC_NAMES
from s3ec.materials import EncryptedDataKey

from support import headers

REAL_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ANY_TEXT = st.text(st.characters(), max_size=40)  # lone halves of characters included
BASE64 = st.binary(max_size=64).map(headers.b64)
WIRE_VALUES = st.one_of(
    ANY_TEXT,
    BASE64,
    st.sampled_from(["115", "02", "12", "22", "01", "128", "0", "", "null", "{}", headers.GCM, headers.CBC]),
    st.sampled_from([algorithm.wire_name or "" for algorithm in WrappingAlgorithm]),
    st.dictionaries(REAL_TEXT, REAL_TEXT, max_size=3).map(json.dumps),
)
NAMES = st.one_of(
    st.sampled_from(sorted(keys.RESERVED)), st.sampled_from(sorted(keys.RESERVED)).map(str.title), ANY_TEXT
)
WHOLE = st.sampled_from([headers.v1(), headers.v2(), headers.v2_cbc(), headers.v3(), headers.v3_kms(), {}])
MAPS = st.builds(lambda whole, changes: {**whole, **changes}, WHOLE, st.dictionaries(NAMES, WIRE_VALUES, max_size=6))
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WIRE_VALUES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda whole, changes: json.dumps({**whole, **changes}).encode(),
        WHOLE,
        st.dictionaries(NAMES, JSON_VALUES, max_size=4),
    ),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(MAPS)
@example({"x-amz-key": "\ud800", "x-amz-iv": "\ud800"})
@example({"x-amz-key-v2": "QQ==", "x-amz-iv": "QQ==", "x-amz-matdesc": "=?utf-8?b?7aCA?="})
@example({"x-amz-key-v2": "QQ==", "x-amz-iv": "QQ==", "x-amz-matdesc": "[" * 50_000})
@example({"x-amz-\u212aey": "QQ=="})  # lower-cases to x-amz-key
def test_any_object_metadata_parses_or_is_refused(metadata: dict[str, str]) -> None:
    """No map of text makes the parser fail in any other way, and what it makes of one survives being written."""
    try:
        formats.detect(metadata)
        content_metadata = formats.parse_object(metadata)
    except S3ECError:
        return
    assert formats.parse_object(formats.render_object(content_metadata)) == content_metadata


@pytest.mark.slow
@settings(max_examples=400)
@given(FILES, MAPS)
@example(b"[" * 50_000, {})
@example(b'{"x-amz-tag-len":' + b"9" * 10_000 + b"}", {})
def test_any_instruction_file_parses_or_is_refused(body: bytes, metadata: dict[str, str]) -> None:
    """No file beside no object makes the parser fail in any other way; a file that parses looks like one."""
    alone = formats.is_instruction_file_body(body)
    try:
        content_metadata = formats.parse_instruction_file(body, metadata)
    except S3ECError:
        return
    assert alone or content_metadata.format is FormatVersion.V3
    stays, again = formats.render_instruction_file(content_metadata)
    assert formats.parse_instruction_file(again, stays) == content_metadata


def content_metadata(format_version: FormatVersion, algorithm: WrappingAlgorithm, draw: Any) -> ContentMetadata:
    """Any content metadata that a client could have written in that format."""
    common = {
        "format": format_version,
        "encrypted_data_key": EncryptedDataKey(draw(st.binary(min_size=1, max_size=48)), algorithm),
        "description": draw(st.dictionaries(REAL_TEXT, REAL_TEXT, max_size=4)),
    }
    if algorithm.wire_name is None:  # the length alone tells these two apart
        length = 48 if algorithm is WrappingAlgorithm.AES_ECB else 256
        common["encrypted_data_key"] = EncryptedDataKey(draw(st.binary(min_size=length, max_size=length)), algorithm)
    if format_version is FormatVersion.V3:
        return ContentMetadata(
            algorithm_suite=AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
            content_algorithm="115",
            message_id=draw(st.binary(min_size=28, max_size=28)),
            commitment=draw(st.binary(min_size=28, max_size=28)),
            **common,
        )
    gcm = format_version is FormatVersion.V2 and draw(st.booleans())
    cbc_names = sorted(CBC_NAMES) if format_version is FormatVersion.V2 else [headers.CBC]
    return ContentMetadata(
        algorithm_suite=AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
        if gcm
        else AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF,
        content_algorithm=headers.GCM if gcm else draw(st.sampled_from(cbc_names)),
        iv=draw(st.binary(min_size=12, max_size=16)),
        tag_length_bits=128 if gcm else 0,
        stored_plaintext_length=draw(st.none() | st.integers(0, 10**19 - 1)),
        **common,
    )


WRITABLE = (
    [(FormatVersion.V1, algorithm) for algorithm in WrappingAlgorithm if algorithm.wire_name is None]
    + [(FormatVersion.V2, algorithm) for algorithm in WrappingAlgorithm]
    + [(FormatVersion.V3, algorithm) for algorithm in WrappingAlgorithm if algorithm.v3_code]
)


@pytest.mark.parametrize(("format_version", "algorithm"), WRITABLE, ids=lambda value: value.name)
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_rendered_parses_to_the_same(
    format_version: FormatVersion, algorithm: WrappingAlgorithm, data: st.DataObject
) -> None:
    """Rendering and parsing are inverse, in the object and in a file, with the order of pairs kept."""
    original = content_metadata(format_version, algorithm, data.draw)
    rendered = formats.render_object(original)
    parsed = formats.parse_object(rendered)
    assert parsed == original
    assert list(parsed.description) == list(original.description)
    assert all(formats.is_content_metadata_key(name) for name in rendered)
    assert all(value.isascii() and value.isprintable() for value in rendered.values())
    stays, body = formats.render_instruction_file(original)
    assert formats.parse_instruction_file(body, stays) == original
    assert formats.is_instruction_file_body(body)
    assert formats.is_instruction_file_body(json.dumps(rendered).encode()) is (format_version is not FormatVersion.V3)
