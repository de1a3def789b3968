"""What `sync` finds different: plaintext compared with plaintext, by listings alone wherever that is enough.

A listing gives stored sizes. AES-GCM, which everything of today is encrypted with, adds the 16 bytes of its tag and
nothing else, so that no object needs a HEAD to be compared with a file. CBC of older clients pads by 1 to 16 bytes, and
objects that are not encrypted have no overhead: only where one of these is possible is the object itself looked at.

Source of the rules: the documentation of ``aws s3 sync`` and its behaviour.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3ec.cli.urls import S3Url

__all__ = ["Comparison", "Direction", "Item", "Look", "name_order", "pair"]

TAG = 16
BLOCK = 16


class Direction(enum.Enum):
    """Which side is local and which is S3."""

    UP = "up"
    DOWN = "down"
    ACROSS = "across"


@dataclass(frozen=True, slots=True)
class Item:
    """A file or an object under one of the two folders.

    Attributes:
        name: relative to its folder, with slashes.
        place: where it lies.
        size: bytes of a file, stored bytes of an object.
        modified: seconds since the epoch.
    """

    name: str
    place: S3Url | Path
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Look:
    """What an object's headers say.

    Attributes:
        is_encrypted: False for plaintext.
        plaintext_size: bytes; None if only reading would tell.
    """

    is_encrypted: bool
    plaintext_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Decides for each pair whether the source is to be transferred.

    Attributes:
        direction: from where to where.
        look: asks for an object's headers; called as rarely as possible.
        size_only: let times decide nothing.
        exact_timestamps: downloads only: equal sizes are the same only with equal times.
        allow_unencrypted: objects may be plaintext, so that a download's size alone proves nothing.
    """

    direction: Direction
    look: Callable[[S3Url], Look]
    size_only: bool = False
    exact_timestamps: bool = False
    allow_unencrypted: bool = False

    def differs(self, source: Item, target: Item) -> bool:
        """True if the target has to be written again.

        Raises:
            botocore.exceptions.ClientError: an object's headers are needed and cannot be read.
        """
        if not self.size_only and not self._same_time(source, target):
            return True
        return not self._same_size(source, target)

    def _same_time(self, source: Item, target: Item) -> bool:
        # S3 keeps whole seconds: a file written in the second in which it was uploaded is not newer.
        before, after = int(source.modified), int(target.modified)
        if self.direction is not Direction.DOWN:
            return after >= before
        # A download gets its object's time. As `aws s3 sync` has it, an older file is not a reason to download again.
        return after == before if self.exact_timestamps else after <= before

    def _same_size(self, source: Item, target: Item) -> bool:
        if isinstance(source.place, S3Url) and isinstance(target.place, S3Url):
            return self._same_objects(source.place, source.size, target.place, target.size)
        stored, file = (source, target) if isinstance(source.place, S3Url) else (target, source)
        assert isinstance(stored.place, S3Url)  # noqa: S101 - narrows the type; one end is an object
        return self._same_as_file(stored.place, stored.size, file.size)

    def _same_as_file(self, url: S3Url, stored: int, length: int) -> bool:
        overhead = stored - length
        may_be_plaintext = self.direction is Direction.DOWN and self.allow_unencrypted
        if overhead == TAG and not may_be_plaintext:
            return True
        if overhead == BLOCK - length % BLOCK or overhead == TAG:
            found = self.look(url)
            # Padding of an unknown length fits: what CBC hides cannot be known without reading it.
            return found.is_encrypted and found.plaintext_size in (None, length)
        if overhead == 0 and may_be_plaintext:
            return not self.look(url).is_encrypted
        # An upload over plaintext of the same size is not a repetition: it replaces plaintext with ciphertext.
        return False

    def _same_objects(self, source: S3Url, source_size: int, target: S3Url, target_size: int) -> bool:
        if source_size == target_size:
            return True
        if abs(source_size - target_size) > BLOCK:
            return False
        # The same content in another format: copying would undo a re-encryption.
        sizes = {self.look(url).plaintext_size for url in (source, target)}
        return len(sizes) == 1 and None not in sizes


def name_order(name: str) -> bytes:
    """Return the sort key of S3's listings: the bytes of the name's UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def pair(sources: Iterable[Item], targets: Iterable[Item]) -> Iterator[tuple[Item | None, Item | None]]:
    """Pair up what has the same name; both sides come in `name_order`, and neither is held in memory."""
    left, right = iter(sources), iter(targets)
    source, target = next(left, None), next(right, None)
    while source is not None or target is not None:
        if target is None or (source is not None and name_order(source.name) < name_order(target.name)):
            yield source, None
            source = next(left, None)
        elif source is None or name_order(source.name) > name_order(target.name):
            yield None, target
            target = next(right, None)
        else:
            yield source, target
            source, target = next(left, None), next(right, None)
