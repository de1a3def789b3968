"""The S3 that lies: a sample every day, every kind for every call where all tests run, and defences that are missed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from lies import cells, page, run
from lies.alterations import alterations
from lies.calls import CALLS, Call
from lies.generator import ROWS
from lies.honest import Answer

import s3ec.client.encryption_client
from s3ec.crypto.content import ContentCipher, ContentDecryptor, ContentEncryptor
from s3ec.errors import S3ECError

# A call that failed leaves the connection of its answer to the collector, as boto3 does; pytest would hear of it here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
EVERYDAY = ("get_object", "get_object, range", "download_file, in parts", "put_object", "upload_part")


@pytest.fixture(scope="module")
def laboratory() -> Iterator[cells.Laboratory]:
    """A server that lies."""
    with cells.laboratory() as here:
        yield here


@pytest.fixture
def fresh_laboratory() -> Iterator[cells.Laboratory]:
    """One whose objects a sabotaged client may store."""
    with cells.laboratory() as here:
        yield here


def _faults(laboratory: cells.Laboratory, call: str, *rows: str, each: int = 8) -> list[str]:
    """The faults that lies of some kinds find with a call."""
    told = [cell for cell in laboratory.cells(cells.call_named(call), each) if cell.lie.row in rows]
    assert told
    verdicts = [laboratory.verdict(cell) for cell in told]
    return [verdict.text for verdict in verdicts if not verdict.is_good]


def test_a_sample(laboratory: cells.Laboratory) -> None:
    """Every second kind of lie, told once to the calls that matter most."""
    broken, count = [], 0
    for shift, name in enumerate(EVERYDAY):
        for number, cell in enumerate(laboratory.cells(cells.call_named(name), 1)):
            if (number + shift) % 2 == 0 and not cell.lie.stalls:
                count += 1
                verdict = laboratory.verdict(cell)
                broken += [f"{cell}: {verdict.text}"] if not verdict.is_good else []
    assert count > 80
    assert not broken, "\n".join(broken)


def _column(call: Call) -> Any:
    missing = pytest.mark.skipif(not call.can_be_made, reason=f"{call.needs} is not installed")
    return pytest.param(call, id=call.name, marks=missing)


@pytest.mark.slow
@pytest.mark.parametrize("call", [_column(call) for call in CALLS if call.group != "Buckets"])
def test_every_kind(laboratory: cells.Laboratory, call: Call) -> None:
    """Every kind of lie, once to every call; `run.py --all` tells more of each, and lies to bucket jobs too."""
    broken = [(str(cell), laboratory.verdict(cell)) for cell in laboratory.cells(call, 1)]
    assert broken
    found = [f"{cell}: {verdict.text}" for cell, verdict in broken if not verdict.is_good]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("first", [b"<", b"{"])
def test_ciphertext_is_not_taken_for_a_document(first: bytes) -> None:
    """One key in a hundred makes it begin as one does, and a run would tell other lies than the last."""
    answer = Answer(200, [("Content-Length", "102")], first + bytes(range(100, 200)) + b"x")
    assert not [row for row, _, _ in alterations(answer, Random(1)) if row.startswith("document")]


def test_the_same_lies_each_time() -> None:
    """What a run finds can be told again: the cells do not depend on keys, which are drawn each time."""
    names = []
    for _ in range(2):
        with cells.laboratory() as here:
            told = here.cells(cells.call_named("get_object"), 2)
            names.append([(cell.profile.name, cell.lie.row, cell.lie.kind, cell.lie.nth) for cell in told])
    assert names[0] == names[1]
    assert len(names[0]) > 80


class TestMissedDefences:
    """Without a defence the table has faults: it can fail."""

    @pytest.fixture
    def no_tags(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Content that is decrypted without a look at its tag."""

        def decrypt(self: ContentCipher, ciphertext: Any) -> bytes:
            return self.decryptor().update(memoryview(ciphertext)[:-16])

        monkeypatch.setattr(ContentDecryptor, "verify", lambda self, tag: None)
        monkeypatch.setattr(ContentCipher, "decrypt", decrypt)

    @pytest.mark.usefixtures("no_tags")
    @pytest.mark.parametrize(
        "call",
        [
            "get_object",
            pytest.param("download_file", marks=pytest.mark.slow),
        ],
    )
    def test_without_tags(self, laboratory: cells.Laboratory, call: str) -> None:
        """A flipped bit comes out as other plaintext."""
        faults = _faults(laboratory, call, "body: a bit flipped", each=20)
        assert any(fault.startswith("WRONG BYTES") for fault in faults), faults

    @pytest.mark.slow
    def test_without_sound_answers(self, laboratory: cells.Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        """A document that is none ends in whatever somebody's code runs into."""
        monkeypatch.setattr(s3ec.client.encryption_client, "make_sound", lambda client: None)
        faults = _faults(laboratory, "create_multipart_upload", "document: none", "document: element absent")
        assert any(fault.startswith("FOREIGN ERROR") for fault in faults), faults

    def test_without_encryption(self, fresh_laboratory: cells.Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        """Plaintext is seen in the requests, whatever the call says."""

        def update_into(self: Any, data: Any, buffer: Any) -> int:
            buffer[: len(data)] = bytes(data)
            return len(data)

        monkeypatch.setattr(ContentEncryptor, "update_into", update_into)
        monkeypatch.setattr(ContentEncryptor, "update", lambda self, data: bytes(data))
        monkeypatch.setattr(ContentCipher, "encrypt", lambda self, plaintext: bytes(plaintext) + bytes(16))
        faults = _faults(fresh_laboratory, "put_object", "status: 500 after it was done", each=2)
        assert faults
        assert all(fault == "PLAINTEXT SENT" for fault in faults)

    def test_a_call_that_hangs(self, laboratory: cells.Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call that never ends is left behind, and the cell is a fault."""
        told = [
            cell for cell in laboratory.cells(cells.call_named("get_object"), 1) if cell.lie.row == "body: all zeros"
        ]
        decrypt, ends = ContentCipher.decrypt, threading.Event()

        def wait_for_ever(self: ContentCipher, ciphertext: Any) -> Any:
            try:
                return decrypt(self, ciphertext)
            except S3ECError:
                ends.wait()
                raise

        monkeypatch.setattr(ContentCipher, "decrypt", wait_for_ever)
        monkeypatch.setattr(laboratory, "patience", 1.0)
        try:
            assert [laboratory.verdict(cell).text for cell in told] == ["HANG"]
        finally:
            ends.set()

    def test_a_file_that_is_left(self, laboratory: cells.Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever lies in the folder, and is not the file, is seen."""
        _leave_something(monkeypatch, "download_file")
        faults = _faults(laboratory, "download_file", "body: a bit flipped", each=1)
        assert faults == ["LEFT FILE: file.part, 4 bytes"]


def _leave_something(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    call = cells.call_named(name)
    act: Callable[[Any], str] = call.act

    def leave(world: Any) -> str:
        (world.folder / "file.part").write_bytes(b"part")
        return act(world)

    changed = Call(**{**{field: getattr(call, field) for field in Call.__dataclass_fields__}, "act": leave})
    monkeypatch.setattr(cells, "CALLS", [changed])


class TestPage:
    """The page is of this generator."""

    def test_calls_and_kinds(self) -> None:
        """Every call has its column, every kind its row, and nothing else has."""
        text = page.PAGE.read_text()
        assert page.columns_of(text) == [call.name for call in CALLS]
        assert page.rows_of(text) == set(ROWS)
        assert "FAULT" not in text.partition("## The tables")[2]

    def test_what_a_run_writes(self) -> None:
        """Cells replace cells; what a run did not tell stays, and so does the text around the tables."""
        tally = {"get_object": {ROWS[0]: run.Counter({"right": 2, "our error": 1})}}
        before = page.PAGE.read_text()
        after = page.page(before, tally)
        assert f"| {ROWS[0]} | 2r 1e |" in after
        assert after.startswith(before[: before.index("<!-- written")])
        assert after.endswith(before[before.index("<!-- until here") :])
        kept = page.tallies_of(before)
        kept["get_object"] = {**kept.get("get_object", {}), **tally["get_object"]}
        assert page.tallies_of(after) == kept

    def test_the_tables_are_full(self) -> None:
        """Every call was told lies of most kinds, every kind was told, and the sum is that of the cells."""
        text = page.PAGE.read_text()
        tallies = page.tallies_of(text)
        assert tallies.keys() == {call.name for call in CALLS}
        assert set().union(*tallies.values()) == set(ROWS)
        assert {name: len(tally) for name, tally in tallies.items() if len(tally) < 15} == {}
        assert page.summary(tallies) in text
