"""The fixture behind ``--scan-secrets``; `tests/conftest.py` takes it in."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.secret_scan import Drawn, Gone, Lines, Printed, in_files, in_text, pattern
from support.walking import chain, is_in, leaks

__all__ = ["no_secret_is_left_behind", "pytest_addoption"]

_CHILDREN = Path(__file__).with_name("secret_children")
_SHOWN = 5
_ERRORS_LOOKED_AT = 40


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option; CI uses it wherever it runs tests of a kind for the first time."""
    parser.addoption(
        "--scan-secrets",
        action="store_true",
        help="look for every key that s3ec drew in each test's log lines, errors, printed text and files",
    )


@pytest.fixture(autouse=True)
def no_secret_is_left_behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With the option: nothing that a test leaves behind holds a key that s3ec drew during it."""
    if not request.config.getoption("--scan-secrets"):
        yield
        return
    import s3ec.crypto.random

    folder = request.getfixturevalue("tmp_path")
    # Folders of their own: some tests look at everything that is in theirs.
    make_folder = request.getfixturevalue("tmp_path_factory").mktemp
    temporary, children = make_folder("temporary"), make_folder("children")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    drawn, lines, errors, gone, printed = Drawn(children), Lines(), _Errors(), Gone(), Printed()
    monkeypatch.setattr(s3ec.crypto.random, "os", drawn)
    _watch_content(drawn, monkeypatch)
    _watch_children(children, temporary, monkeypatch)
    monkeypatch.setattr(tempfile, "TemporaryFile", gone.watching_files(tempfile.TemporaryFile))
    cleanup = tempfile.TemporaryDirectory.cleanup
    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", gone.watching_folders(cleanup))
    for kind, name in ((pytest.CaptureFixture, "readouterr"), (subprocess.Popen, "communicate")):
        monkeypatch.setattr(kind, name, printed.watching(getattr(kind, name)))
    # The class of `pytest.raises` has had two names.
    raises = getattr(pytest, "RaisesExc", None) or importlib.import_module("_pytest.python_api").RaisesContext
    monkeypatch.setattr(raises, "__exit__", errors.watching(raises.__exit__))
    logger = logging.getLogger("s3ec")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
    drawn.gather()
    shown = [content for _, _, content in request.node._report_sections]
    found = list(_left_behind(drawn, [*lines.lines, *shown], errors, (folder, temporary)))
    found += _in_what_went(drawn.keys, printed.texts, "what was printed, and read by the test")
    found += _in_what_went(drawn.keys, [*gone.files, *gone.folders], "a temporary file that is gone")
    assert found == [], f"a key that s3ec drew is in {found[:_SHOWN]}"
    found = list(_content_left_behind(drawn, lines.lines, errors, temporary))
    found += _in_what_went(drawn.contents, gone.files, "a temporary file that is gone")
    assert found == [], f"content that s3ec encrypted is in {found[:_SHOWN]}"


def _watch_children(told: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each Python that is started tell its keys, and have its temporary files where they are looked at."""
    monkeypatch.setenv("SCANNED_KEYS_OF_CHILDREN", str(told))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(_CHILDREN), os.environ.get("PYTHONPATH")])))


def _in_what_went(secrets: Iterable[bytes], texts: Iterable[bytes], name: str) -> Iterator[str]:
    needles = pattern(secrets)
    return iter(()) if needles is None else (f"{name}: {text[:40]!r}" for text in texts if is_in(needles, text))


def _watch_content(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note whatever is given to a cipher to be encrypted."""
    from s3ec.crypto import content

    admit, encrypt = content._Stream._admit, content.ContentCipher.encrypt

    def admitting(stream: Any, data: Any) -> memoryview:
        view = admit(stream, data)
        if isinstance(stream, (content.ContentEncryptor, content.CtrEncryptor)):
            drawn.note_content(view)
        return view

    def encrypting(cipher: Any, plaintext: Any) -> Any:
        drawn.note_content(plaintext)
        return encrypt(cipher, plaintext)

    monkeypatch.setattr(content._Stream, "_admit", admitting)
    monkeypatch.setattr(content.ContentCipher, "encrypt", encrypting)


class _Errors:
    """Every error that a test expects."""

    def __init__(self) -> None:
        self.seen: list[BaseException] = []

    def watching(self, leave: Any) -> Any:
        """Stand before the end of `pytest.raises`."""

        def leaving(this: Any, kind: Any, error: Any, trace: Any) -> Any:
            if error is not None and len(self.seen) < _ERRORS_LOOKED_AT:
                self.seen.append(error)
            return leave(this, kind, error, trace)

        return leaving


def _left_behind(drawn: Drawn, lines: list[str], errors: _Errors, folders: Iterable[Path]) -> Iterator[str]:
    needles = pattern(drawn.keys)
    if needles is None:
        return
    yield from (f"the log or what was printed: {line[:40]}" for line in lines if in_text(needles, line))
    yield from (f"the file {name}" for folder in folders for name in in_files(needles, folder))
    for error in errors.seen:
        for one in chain(error):
            if in_text(needles, f"{one} {one!r}"):
                yield f"the text of {type(one).__name__}"
        yield from (f"{type(error).__name__}: {place}" for place in leaks(error, needles))


def _content_left_behind(drawn: Drawn, lines: list[str], errors: _Errors, temporary: Path) -> Iterator[str]:
    """Content in the log, in the text of an error, or in a temporary file; a test's own files are its own affair."""
    needles = pattern(drawn.contents)
    if needles is None:
        return
    yield from (f"the log: {line[:40]}" for line in lines if in_text(needles, line))
    yield from (f"the temporary file {name}" for name in in_files(needles, temporary))
    for error in errors.seen:
        yield from (f"the text of {type(one).__name__}" for one in chain(error) if in_text(needles, f"{one} {one!r}"))
