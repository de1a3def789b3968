"""Lengths in bytes: of the values of content metadata, and of the plaintext as its writer noted it."""

from __future__ import annotations

from s3ec.algorithms import (
    BLOCK_LENGTH,
    COMMITMENT_LENGTH,
    GCM_IV_LENGTH,
    GCM_TAG_LENGTH,
    MESSAGE_ID_LENGTH,
    AlgorithmSuite,
    WrappingAlgorithm,
)
from s3ec.formats.metadata import ContentMetadata

__all__ = ["length_fault", "noted_length"]


def noted_length(metadata: ContentMetadata, stored: int) -> int | None:
    """Return the plaintext bytes as the writer of CBC content noted them; None if it did not, or padding forbids it.

    The note may lie by less than a block, which nothing but decrypting could tell.
    """
    noted = metadata.stored_plaintext_length
    return noted if noted is not None and metadata.algorithm_suite.ciphertext_length(noted) == stored else None


def length_fault(content_metadata: ContentMetadata) -> str | None:
    """Describe a value whose length its format does not have, or that was never initialised."""
    for name, value, length in _expected_lengths(content_metadata):
        if value is None or len(value) != length:
            return f"the {name} has {len(value or b'')} bytes; {content_metadata.content_algorithm} has {length}"
        if not any(value):
            # A generator that failed: one key and IV for two plaintexts would give both away.
            return f"the {name} is all zero: whatever wrote the object never initialised it"
    return _encrypted_data_key_fault(content_metadata)


def _expected_lengths(content_metadata: ContentMetadata) -> list[tuple[str, bytes | None, int]]:
    if content_metadata.algorithm_suite.commits:
        return [
            ("message ID", content_metadata.message_id, MESSAGE_ID_LENGTH),
            ("key commitment", content_metadata.commitment, COMMITMENT_LENGTH),
        ]
    return [("IV", content_metadata.iv, content_metadata.algorithm_suite.iv_length)]


def _encrypted_data_key_fault(content_metadata: ContentMetadata) -> str | None:
    algorithm = content_metadata.encrypted_data_key.wrapping_algorithm
    length = len(content_metadata.encrypted_data_key.ciphertext)
    if length not in _encrypted_lengths(algorithm, content_metadata.algorithm_suite):
        return f"the encrypted data key has {length} bytes, which {algorithm.label} never gives"
    return None


def _encrypted_lengths(algorithm: WrappingAlgorithm, suite: AlgorithmSuite) -> frozenset[int] | range:
    """Return the lengths in bytes that an encrypted data key can have."""
    if algorithm.family == "kms":
        return range(1, 6144 + 1)  # CiphertextBlob in the KMS API reference
    if algorithm.family == "rsa":
        return range(64, 2048 + 1)  # moduli of 512 to 16384 bits
    if algorithm is WrappingAlgorithm.AES_ECB:
        return frozenset((length // BLOCK_LENGTH + 1) * BLOCK_LENGTH for length in suite.key_lengths)
    overhead = 8 if algorithm is WrappingAlgorithm.AES_WRAP else GCM_IV_LENGTH + GCM_TAG_LENGTH
    return frozenset(length + overhead for length in suite.key_lengths)
