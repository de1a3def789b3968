"""What `sync` finds different, without a server: sizes as listings have them, times, and two folders side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3ec.cli.comparison import Comparison, Direction, Item, Look, name_order, pair
from s3ec.cli.urls import S3Url

URL = S3Url("bucket", "k")
FILE = Path("k")
NOW = 1_700_000_000.0


def differs(
    direction: Direction, source: tuple[int, float], target: tuple[int, float], **more: Any
) -> tuple[bool, int]:
    """The decision, and how many objects had to be looked at for it."""
    found: Look | None = more.pop("found", None)
    asked: list[S3Url] = []

    def look(url: S3Url) -> Look:
        asked.append(url)
        assert found is not None, "nothing had to be looked at"
        return found

    places: dict[Direction, tuple[Any, Any]] = {
        Direction.UP: (FILE, URL),
        Direction.DOWN: (URL, FILE),
        Direction.ACROSS: (URL, S3Url("other", "k")),
    }
    left, right = places[direction]
    comparison = Comparison(direction=direction, look=look, **more)
    return comparison.differs(Item("k", left, *source), Item("k", right, *target)), len(asked)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 5_000_000])
def test_gcm_is_compared_by_the_listing_alone(length: int):
    """The tag's 16 bytes are all that is added: equal content costs no request in any direction."""
    assert differs(Direction.UP, (length, NOW), (length + 16, NOW)) == (False, 0)
    assert differs(Direction.DOWN, (length + 16, NOW), (length, NOW)) == (False, 0)
    assert differs(Direction.ACROSS, (length + 16, NOW), (length + 16, NOW)) == (False, 0)
    assert differs(Direction.UP, (length, NOW), (length + 17 + 16, NOW)) == (True, 0)
    assert differs(Direction.DOWN, (length + 17 + 16, NOW), (length, NOW)) == (True, 0)


@pytest.mark.parametrize(("length", "stored"), [(0, 16), (1, 16), (15, 16), (16, 32), (30, 32)])
def test_padding_is_looked_at_where_it_is_possible(length: int, stored: int):
    """CBC pads to whole blocks; only the object itself tells that from another length of GCM."""
    cbc, gcm = Look(is_encrypted=True, plaintext_size=None), Look(is_encrypted=True, plaintext_size=stored - 16)
    noted = Look(is_encrypted=True, plaintext_size=length)
    asked = 0 if stored - length == 16 else 1
    assert differs(Direction.UP, (length, NOW), (stored, NOW), found=cbc) == (False, asked)
    assert differs(Direction.DOWN, (stored, NOW), (length, NOW), found=noted) == (False, asked)
    assert differs(Direction.UP, (length, NOW), (stored, NOW), found=gcm) == (stored - 16 != length, asked)


def test_plaintext_is_replaced_by_an_upload_and_known_by_a_download():
    """Plaintext of the same size at the target of an upload is not what was wanted there."""
    plain = Look(is_encrypted=False, plaintext_size=5)
    assert differs(Direction.UP, (5, NOW), (5, NOW)) == (True, 0)
    assert differs(Direction.DOWN, (5, NOW), (5, NOW)) == (True, 0)
    assert differs(Direction.DOWN, (5, NOW), (5, NOW), allow_unencrypted=True, found=plain) == (False, 1)
    longer = Look(is_encrypted=False, plaintext_size=21)
    assert differs(Direction.DOWN, (21, NOW), (5, NOW), allow_unencrypted=True, found=longer) == (True, 1)


def test_another_format_at_the_target_of_a_copy_is_not_undone():
    """Within 16 bytes the plaintext decides: a target that was re-encrypted meanwhile stays as it is."""
    same = Look(is_encrypted=True, plaintext_size=5)
    assert differs(Direction.ACROSS, (16, NOW), (21, NOW), found=same) == (False, 2)
    unknown = Look(is_encrypted=True, plaintext_size=None)
    assert differs(Direction.ACROSS, (16, NOW), (21, NOW), found=unknown) == (True, 2)
    assert differs(Direction.ACROSS, (16, NOW), (99, NOW)) == (True, 0)


@pytest.mark.parametrize("direction", [Direction.UP, Direction.ACROSS])
def test_a_newer_source_is_transferred(direction: Direction):
    """Whole seconds count: S3 keeps no others, and a file of the same second is not newer."""
    sizes = (5, 21) if direction is Direction.UP else (21, 21)
    for age, expected in ((0.0, False), (0.9, False), (1.0, True), (-5.0, False)):
        assert differs(direction, (sizes[0], NOW + age), (sizes[1], NOW)) == (expected, 0)
        assert differs(direction, (sizes[0], NOW + age), (sizes[1], NOW), size_only=True) == (False, 0)


def test_a_download_replaces_what_is_newer_and_with_exact_timestamps_what_is_older():
    """As `aws s3 sync` has it: a download is as old as its object, so a newer file was changed."""
    for age, default, exact in ((0.0, False, False), (0.9, False, False), (5.0, True, True), (-5.0, False, True)):
        assert differs(Direction.DOWN, (21, NOW), (5, NOW + age))[0] is default
        assert differs(Direction.DOWN, (21, NOW), (5, NOW + age), exact_timestamps=True)[0] is exact


names = st.sets(st.text(alphabet="a/.\u00e9\U0001f511\uff5e-", min_size=1, max_size=4))


@given(names, names)
def test_two_ordered_folders_are_brought_together_by_name(left: set[str], right: set[str]):
    """Each name comes once, with what either side has of it, in the order of the bytes of UTF-8."""

    def items(found: set[str]) -> list[Item]:
        return [Item(name, FILE, 0, NOW) for name in sorted(found, key=name_order)]

    pairs = list(pair(items(left), items(right)))
    seen = [(source or target).name for source, target in pairs]  # type: ignore[union-attr]  # one of them is there
    assert seen == sorted(left | right, key=lambda name: name.encode())
    assert {source.name for source, _ in pairs if source} == left
    assert {target.name for _, target in pairs if target} == right
