"""What a requirement of the S3 Encryption Client specification is in the table.

The specification is ``s3-encryption/`` of awslabs/aws-encryption-sdk-specification at the revision below; the labels
say in a few words which sentence is meant, in the order in which its sections state them.
"""

from __future__ import annotations

from dataclasses import dataclass

REVISION = "167041bb"
SOURCE = "https://github.com/awslabs/aws-encryption-sdk-specification/blob/master/s3-encryption"


@dataclass(frozen=True)
class Requirement:
    """One sentence of the specification.

    Attributes:
        level: ``"MUST"``, ``"MUST NOT"``, ``"SHOULD"`` or ``"SHOULD NOT"``.
        label: which sentence.
        tests: node ids below ``tests/`` that show it, without parameters.
        why_not: why no test shows it, or why it is not so; exactly one of this and ``tests``.
    """

    level: str
    label: str
    tests: tuple[str, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class Section:
    """A page of the specification and one of its headings."""

    page: str
    anchor: str
    title: str
    requirements: tuple[Requirement, ...]


def must(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A MUST."""
    return Requirement("MUST", label, tests, why_not)


def must_not(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A MUST NOT."""
    return Requirement("MUST NOT", label, tests, why_not)


def should(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A SHOULD."""
    return Requirement("SHOULD", label, tests, why_not)
