"""The scan of the whole suite finds a key wherever one may be left."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support import secret_plugin
from support.secret_scan import Drawn, Lines, in_files, in_text, pattern

KEY = bytes(range(100, 132))


def scan(folder: Path, *, lines: tuple[str, ...] = (), errors: tuple[BaseException, ...] = ()) -> list[str]:
    """What the scan says of a test that drew one key."""
    drawn, seen = Drawn(), secret_plugin._Errors()
    drawn.keys.append(KEY)
    seen.seen += errors
    return list(secret_plugin._left_behind(drawn, list(lines), seen, [folder]))


@pytest.mark.parametrize(
    "written", [lambda key: key.hex(), lambda key: key.hex().upper(), lambda key: base64.b64encode(key).decode(), repr]
)
def test_it_finds_a_key(tmp_path: Path, written: Callable[[bytes], str]) -> None:
    """In a line, in the text of an error, and in a file, in every form; and nothing where there is none."""
    text = written(KEY)
    assert scan(tmp_path, lines=("nothing",), errors=(ValueError("nothing"),)) == []
    assert len(scan(tmp_path, lines=(f"key={text}",))) == 1
    assert scan(tmp_path, errors=(ValueError(text),)) != []
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "journal").write_bytes(b"\0" + (KEY if written is repr else text.encode()))
    assert len(scan(tmp_path)) == 1


def test_it_finds_a_key_in_the_frames_of_a_chained_error(tmp_path: Path) -> None:
    """Also where only a variable of the first error of a chain holds it."""
    source = "def fail(value):\n try:\n  raise ValueError('x')\n except ValueError:\n  raise KeyError('y')\n"
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - frames that are not of a test
    with pytest.raises(KeyError) as caught:
        names["fail"](SimpleNamespace(key=KEY))
    assert scan(tmp_path, errors=(caught.value,)) != []


def test_what_is_noted() -> None:
    """Random bytes as long as a key; IVs and message IDs are public."""
    drawn = Drawn()
    assert len({drawn.urandom(32), drawn.urandom(32)}) == 2
    assert len(drawn.urandom(12)) == 12
    assert len(drawn.keys) == 2
    assert pattern([]) is None


def test_lines_are_kept_as_they_are_written() -> None:
    """With their arguments."""
    lines = Lines()
    lines.handle(logging.LogRecord("s3ec", logging.DEBUG, __file__, 1, "key %s", (KEY.hex(),), None))
    needles = pattern([KEY])
    assert needles is not None
    assert in_text(needles, lines.lines[0])


def test_large_files_and_links_are_left_alone(tmp_path: Path) -> None:
    """A link may lead anywhere."""
    needles = pattern([KEY])
    assert needles is not None
    outside = tmp_path / "outside"
    outside.write_bytes(KEY)
    folder = tmp_path / "folder"
    folder.mkdir()
    os.symlink(outside, folder / "link")
    assert list(in_files(needles, folder)) == []
