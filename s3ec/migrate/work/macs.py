"""What is said of a plaintext wherever something is written down: MACs, and nothing that a guess could be tried on.

The digest of a short content tells its readers which of their guesses is right (CVE-2022-2582), and the ETag of an
object that was put in one request is such a digest: its MD5. What is stored, sent to an engine or told to a listener
therefore names contents and listed objects by HMAC-SHA-256 under the key that lies beside the journal.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from s3ec.migrate.model import Outcome, Task

__all__ = ["content_mac", "etag_mac", "hide_digests", "is_etag_mac", "shows"]

_PREFIX = "hmac-sha256:"
_OF_CIPHERTEXT = frozenset({"V1", "V2", "V3"})


def content_mac(mac_key: bytes | None, sha256: str | None) -> str | None:
    """The MAC of a content, by its SHA-256 (both in hex); None without a key or a content."""
    if mac_key is None or sha256 is None:
        return None
    return hmac.digest(mac_key, bytes.fromhex(sha256), "sha256").hex()


def etag_mac(mac_key: bytes | None, task: Task, etag: str | None) -> str | None:
    """What stands for an ETag of the task's object; None without a key. What is such a MAC already stays as it is.

    Bucket and key are part of it, so that not even equal contents look alike.
    """
    if mac_key is None or etag is None:
        return None
    if is_etag_mac(etag):
        return etag
    said = hashlib.sha256("\0".join(("etag", task.bucket, task.key, etag)).encode()).digest()
    return _PREFIX + hmac.digest(mac_key, said, "sha256").hex()


def is_etag_mac(etag: str | None) -> bool:
    """True for what `etag_mac` gives. S3's own ETags stand in quotes."""
    return etag is not None and etag.startswith(_PREFIX)


def shows(task: Task, etag: str, mac_key: bytes | None) -> bool | None:
    """Whether an object with this ETag is the one that was listed; None where that cannot be known."""
    if task.etag is None or (is_etag_mac(task.etag) and mac_key is None):
        return None
    seen = etag_mac(mac_key, task, etag) if is_etag_mac(task.etag) else etag
    return seen == task.etag


def hide_digests(outcome: Outcome, mac_key: bytes | None) -> Outcome:
    """The outcome with no ETag that may be the MD5 of a plaintext; those of ciphertext stay, as evidence."""
    task = outcome.task
    etag_in = outcome.etag_in if outcome.format_before in _OF_CIPHERTEXT else etag_mac(mac_key, task, outcome.etag_in)
    listed = etag_mac(mac_key, task, task.etag)
    if (listed, etag_in) == (task.etag, outcome.etag_in):
        return outcome
    return replace(outcome, task=replace(task, etag=listed), etag_in=etag_in)
