"""What one column of the table is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from boto3.s3.transfer import TransferConfig

from .world import AGAIN, PROFILES, World

__all__ = ["BOTH", "COPIED", "IN_PARTS", "LARGE", "PAGES", "WORD", "Call"]

BOTH = ("V3, AES", "V3, KMS, bound")
COPIED = ("V3, AES", "V3, AES, instruction file")
IN_PARTS = TransferConfig(multipart_threshold=1024, multipart_chunksize=1024, max_concurrency=3)
LARGE = (AGAIN * (6 * 1024 * 1024 // len(AGAIN) + 1))[: 5 * 1024 * 1024 + 100]
PAGES = 20  # paginators go on as long as there are new tokens; who calls them may stop

WORD = "word"
"""Verdict on an answer that nothing protects, such as a list or a header: it is what S3 says, and no content."""


@dataclass(frozen=True)
class Call:
    """One column.

    Attributes:
        group: the table in which the page has it.
        name: its name there.
        act: does it, and gives the verdict on what came of it.
        prepare: what must have gone before, honestly.
        profiles: those of `PROFILES` with which it is called.
        writes: what may stand under the keys that it writes, beside what stood there before.
        writes_of_older: the same where S3 gave an older version of what is built upon.
        writes_of_other: the same where S3 gave another object, and nothing can tell them apart.
        deletes: keys that may be gone afterwards.
        is_made_by_s3: keys of copies that S3 makes on its own: whether they can be read is its word.
        needs: the package of an extra, without which it cannot be made.
        is_lied_to_about_plaintext: it reads objects that are not encrypted, so that what S3 says is all there is.
    """

    group: str
    name: str
    act: Callable[[World], str]
    prepare: Callable[[World], None] | None = None
    profiles: tuple[str, ...] = tuple(profile.name for profile in PROFILES)
    writes: tuple[bytes, ...] = ()
    writes_of_older: tuple[bytes, ...] = ()
    writes_of_other: tuple[bytes, ...] = ()
    deletes: tuple[str, ...] = ()
    is_lied_to_about_plaintext: bool = False
    is_made_by_s3: tuple[str, ...] = ()
    needs: str = ""

    @property
    def can_be_made(self) -> bool:
        """True if what it needs is installed."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None
