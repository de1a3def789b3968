"""Amazon Resource Names of KMS keys."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KeyArn", "parse_arn"]


class KeyArn(NamedTuple):
    """The account and the Region of a key."""

    region: str
    account: str


def parse_arn(text: str) -> KeyArn | None:
    """Region and account of ``arn:partition:kms:region:account:key/…`` or ``…:alias/…``; None for anything else."""
    parts = text.split(":", 5)
    if len(parts) == 6 and parts[0] == "arn" and parts[2] == "kms" and all(parts):
        return KeyArn(parts[3], parts[4])
    return None
