"""The scan of the whole suite finds a key wherever one may be left."""

from __future__ import annotations

import base64
import ctypes
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto.content import ContentCipher

from support import secret_plugin
from support.forking import forks
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


def test_it_finds_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cipher was given, at once or in a stream: in a line, in the text of an error, in a temporary file."""
    # With quotes of which a repr escapes one, and a backslash.
    at_once, streamed = (b"'\"\\" + os.urandom(97) for _ in range(2))
    drawn, cipher = Drawn(), ContentCipher(AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF, KEY, bytes(12))
    secret_plugin._watch_content(drawn, monkeypatch)
    cipher.encrypt(at_once)
    cipher.encryptor().update(streamed)
    cipher.decryptor().update(b"ciphertext is nobody's affair: " * 3)
    cipher.encrypt(b"\0" * 100)
    for content in (at_once, streamed):
        seen = secret_plugin._Errors()
        assert list(secret_plugin._content_left_behind(drawn, ["nothing"], seen, tmp_path)) == []
        seen.seen.append(ValueError(content))
        assert len(list(secret_plugin._content_left_behind(drawn, [f"sends {content!r}"], seen, tmp_path))) == 2
        (tmp_path / "spool").write_bytes(b"before " + content)
        seen.seen.clear()
        assert len(list(secret_plugin._content_left_behind(drawn, [], seen, tmp_path))) == 1
        (tmp_path / "spool").unlink()
    assert len(drawn.contents) == 2


LEAKS = """
import logging, os, subprocess, sys, tempfile
from s3ec.algorithms import AlgorithmSuite
from s3ec.crypto import content, random

SUITE = AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
DRAW = "from s3ec.crypto import random; key = random.data_key().hex(); "
OURS = {"__name__": "s3ec.somewhere", "tempfile": tempfile}
exec("def spool(data):\\n with tempfile.TemporaryFile() as file: file.write(data)", OURS)
exec("def folder(text):\\n with tempfile.TemporaryDirectory() as name: open(name + '/left', 'w').write(text)", OURS)

def seal():
    data, key = os.urandom(64), random.data_key()
    content.ContentCipher(SUITE, key, bytes(12)).encrypt(data)
    return key, data

def start(code, **options):
    return subprocess.run([sys.executable, "-c", DRAW + code], check=True, **options)

def test_key(): logging.getLogger("s3ec").debug("key %s", seal()[0].hex())
def test_content(): logging.getLogger("s3ec").debug("body %r", seal()[1])
def test_key_that_was_printed(capsys): print(seal()[0].hex()); capsys.readouterr()
def test_key_that_a_child_left(tmp_path): start("open('left', 'w').write(key)", cwd=tmp_path)
def test_key_that_a_child_left_in_its_temporary_folder():
    start("import os, tempfile; os.write(tempfile.mkstemp()[0], key.encode())")
def test_key_that_a_child_printed(): start("print(key)", stdout=subprocess.PIPE)
def test_key_in_a_fork(tmp_path):
    child = os.fork()
    if not child:
        (tmp_path / "left").write_bytes(random.data_key())
        os._exit(0)
    os.waitpid(child, 0)
def test_key_in_a_temporary_folder(): OURS["folder"](seal()[0].hex())
def test_content_in_a_temporary_file(): OURS["spool"](seal()[1])

def test_none(tmp_path, capsys):
    _, data = seal()
    print("nothing"); capsys.readouterr()
    start("print('nothing'); open('left', 'w').write('nothing')", cwd=tmp_path, stdout=subprocess.PIPE)
    OURS["spool"](b"ciphertext"); OURS["folder"]("nothing")
    with tempfile.TemporaryFile() as file: file.write(data)
"""


@forks
@pytest.mark.slow
@pytest.mark.parametrize("option", ["--scan-secrets", "--no-header"])
def test_the_option_fails_a_test_that_leaks(tmp_path: Path, option: str) -> None:
    """A run with the option is red for each test that leaves a data key, or what it encrypts, and for no other."""
    (tmp_path / "conftest.py").write_text("from support.secret_plugin import *\n")
    (tmp_path / "test_leaks.py").write_text(LEAKS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", option, "-rA", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    expected = set(re.findall(r"def (test_(?:key|content)\w*)", LEAKS)) if option == "--scan-secrets" else set()
    found = dict(re.findall(r"ERROR test_leaks.py::(\w+) - AssertionError: a?\s*(key|content)", run.stdout))
    assert found == {name: name.split("_")[1] for name in expected}, run.stdout
    assert ("10 passed, 9 errors" if expected else "10 passed in") in run.stdout


def test_it_finds_a_key_in_the_frames_of_a_chained_error(tmp_path: Path) -> None:
    """Also where only a variable of the first error of a chain holds it."""
    source = "def fail(value):\n try:\n  raise ValueError('x')\n except ValueError:\n  raise KeyError('y')\n"
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - frames that are not of a test
    with pytest.raises(KeyError) as caught:
        names["fail"](SimpleNamespace(key=KEY))
    assert scan(tmp_path, errors=(caught.value,)) != []


@pytest.mark.parametrize("count", [1, 60, 1000])
def test_it_finds_one_of_many(count: int) -> None:
    """Whatever stands around it, and however many it looks for."""
    keys = [os.urandom(32) for _ in range(count)]
    needles = pattern(keys)
    assert needles is not None
    for text in (keys[-1].hex(), repr([str(keys[0])]), base64.b64encode(keys[count // 2]).decode()):
        assert in_text(needles, f"before {text} after")
    assert not in_text(needles, f"{os.urandom(100).hex()} {os.urandom(100)!r} {keys[0][:-1].hex()[1:]}")


def test_it_reads_no_memory_of_others(tmp_path: Path) -> None:
    """A native library's view of its own memory outlives that memory in a frame: what is there now is anybody's."""
    left = ctypes.create_string_buffer(KEY, len(KEY))
    view_of = ctypes.pythonapi.PyMemoryView_FromMemory
    view_of.restype, view_of.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
    source = "def fail(view):\n raise ValueError('x')\n"
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - frames that are not of a test
    found = []
    for view in (view_of(ctypes.addressof(left), len(KEY), 0x100), memoryview(KEY)):
        with pytest.raises(ValueError, match="x") as caught:
            names["fail"](view)
        found.append(scan(tmp_path, errors=(caught.value,)) != [])
    assert found == [False, True]


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
