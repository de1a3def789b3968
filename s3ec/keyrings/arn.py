"""Amazon Resource Names of KMS keys."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KeyArn", "names_the_key", "parse_arn"]


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


def names_the_key(answered: object, asked: str) -> bool:
    """Whether the key that KMS names in an answer can be the one that it was asked for.

    A key ARN is answered by itself, and a key ID by an ARN that ends with it. Of a multi-Region key every replica has
    the same ID and key material, so its Region may be another. An alias may stand for any key of its own account and
    Region, which its ARN names; of an alias name nothing can be compared, nor of an answer that names no key, as
    imitations of KMS give it. Who forges answers can name the right key: this stops a KMS that was mixed up.
    Source: AWS Encryption SDK specification, aws-kms-keyring.md, where the key ID of a response must be the
    configured one; AWS KMS developer guide, "Key identifiers" and "Multi-Region keys".

    Args:
        answered: ``KeyId`` of the answer.
        asked: key ID, key ARN, alias name or alias ARN.
    """
    if answered is None or answered == asked or asked.startswith("alias/"):
        return True
    if not isinstance(answered, str):
        return False
    wanted, found = parse_arn(asked), parse_arn(answered)
    if wanted is None:
        return answered.endswith(f":key/{asked}")
    if ":alias/" in asked:
        return not found or (found == wanted and ":key/" in answered)
    if not found:
        return asked.endswith(f":key/{answered}")
    replica = asked.replace(f":{wanted.region}:", f":{found.region}:", 1)
    return ":key/mrk-" in asked and answered == replica
