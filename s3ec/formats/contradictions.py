"""Where content metadata contradicts itself: no writer does, but an object that was downgraded or relabelled does."""

from __future__ import annotations

from s3ec.algorithms import CONTEXT_CONTENT_ALGORITHM, FormatVersion, WrappingAlgorithm
from s3ec.formats.metadata import ContentMetadata

__all__ = ["contradiction_in"]


def contradiction_in(content_metadata: ContentMetadata) -> str | None:
    """Describe where the metadata contradicts itself in a way that no writer's does."""
    algorithm = content_metadata.encrypted_data_key.wrapping_algorithm
    bound = content_metadata.description.get(CONTEXT_CONTENT_ALGORITHM)
    if not _belongs(content_metadata):
        return f"{content_metadata.format.value} knows no {content_metadata.content_algorithm} under {algorithm.label}"
    if algorithm is WrappingAlgorithm.KMS_CONTEXT and bound != content_metadata.content_algorithm:
        return (
            f"the content is said to be {content_metadata.content_algorithm}, but the stored encryption context has "
            f"{'none' if bound is None else 'another'} under {CONTEXT_CONTENT_ALGORITHM}"
        )
    if algorithm is WrappingAlgorithm.KMS and bound is not None:
        # Relabelling kms+context as kms keeps the data key openable and would skip the comparison of contexts.
        return f"the wrapping is said to be kms, but the stored encryption context has {CONTEXT_CONTENT_ALGORITHM}"
    return None


def _belongs(content_metadata: ContentMetadata) -> bool:
    """True if a format has such content under such a wrapping: a committing object never has a legacy one."""
    suite = content_metadata.algorithm_suite
    if content_metadata.format is FormatVersion.V3:
        return suite.commits and content_metadata.encrypted_data_key.wrapping_algorithm.v3_code is not None
    return suite.is_legacy or (content_metadata.format is FormatVersion.V2 and not suite.commits)
