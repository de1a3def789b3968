"""The tables, and the values that pass between gates and keyrings."""

from __future__ import annotations

import pytest

from s3ec import STORED_CONTEXT
from s3ec.algorithms import AlgorithmSuite, FormatVersion, WrappingAlgorithm

CBC = AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
GCM = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY


@pytest.mark.parametrize(
    ("suite", "lengths"),
    [
        (CBC, {0: 16, 1: 16, 15: 16, 16: 32, 17: 32}),
        (GCM, {0: 16, 1: 17, 16: 32}),
        (COMMITTING, {0: 16, 1: 17, 16: 32}),
    ],
)
def test_lengths_of_ciphertext(suite: AlgorithmSuite, lengths: dict[int, int]) -> None:
    """Padding fills a block of its own where the content ends with one; a tag is 16 bytes."""
    assert {length: suite.ciphertext_length(length) for length in lengths} == lengths


def test_wire_texts() -> None:
    """As the specification has them, and each in the layout that it belongs to."""
    assert [suite.content_algorithm for suite in (CBC, GCM, COMMITTING)] == [
        "AES/CBC/PKCS5Padding",
        "AES/GCM/NoPadding",
        "115",
    ]
    assert COMMITTING.content_algorithm == str(COMMITTING.suite_id)
    assert (GCM.format, COMMITTING.format) == (FormatVersion.V2, FormatVersion.V3)


def test_every_wrapping_has_a_label() -> None:
    """What messages call it, also where the wire has no name."""
    labels = {algorithm.label for algorithm in WrappingAlgorithm}
    assert len(labels) == len(WrappingAlgorithm)
    assert WrappingAlgorithm.AES_ECB.label == "AES"


def test_the_stored_context_is_shown_by_its_name() -> None:
    """As it is written in a call."""
    assert repr(STORED_CONTEXT) == "s3ec.STORED_CONTEXT"
