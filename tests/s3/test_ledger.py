"""The ledger of an upload by itself: what is entered, what is refused, and what a caller's list of parts may say."""

from __future__ import annotations

from typing import Any

import pytest

from s3ec.algorithms import GCM_MAX_PLAINTEXT_LENGTH
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import ConfigurationError, MultipartStateError, ObjectTooLargeError
from s3ec.s3.multipart.ledger import Ledger, PartListError, PartMac, PartRecord, without_quotes
from s3ec.secrets import Secret

MAC = b"m" * 16
OTHER = b"o" * 16


@pytest.fixture
def ledger() -> Ledger:
    """Parts 2 and 5, given in the other order and known to S3."""
    made = Ledger()
    for number in (5, 2):
        record, _ = made.enter(number, 10 * number, MAC)
        record.record({"ETag": f'"etag{number}"', "PartNumber": number, "ChecksumCRC32": f"crc{number}"})
    return made


def listed(*numbers: int, **changes: Any) -> list[dict[str, Any]]:
    """A list of parts as a caller makes it."""
    return [{"PartNumber": number, "ETag": f'"etag{number}"', **changes} for number in numbers]


def test_the_mac_of_a_part() -> None:
    """Each chunk and the whole have an index of their own, which also a resumed upload finds again."""
    key = bytes(range(32))
    mac = ChunkMac(key)
    part = PartMac(ChunkMac(key), 3)
    tags = []
    for number, chunk in enumerate((b"one", b"two", b""), start=1):
        part.update(memoryview(chunk))
        tags.append(mac.of((3 << 32) + number, chunk))
    assert part.digest() == mac.of(3 << 32, b"".join(tags))
    assert PartMac(ChunkMac(key), 3).digest() == mac.of(3 << 32, b"")


def test_a_ledger_has_a_key_of_its_own_or_an_earlier_one() -> None:
    """And makes the MACs of its parts under it."""
    first = Ledger()
    again = Ledger(first.mac_key)
    assert again.mac_key is first.mac_key
    assert Ledger().mac_key != first.mac_key
    assert (first.length, first.sealed, list(first)) == (0, False, [])
    key = Secret(bytes(32))
    assert Ledger(key).mac_for(4).digest() == ChunkMac(key).of(4 << 32, b"")


def test_a_record_does_not_show_its_mac() -> None:
    """A digest of the plaintext, to whoever has the key."""
    record = PartRecord(1, 5, MAC)
    assert "mac" not in repr(record)
    assert (record.has_tag, record.sending, record.etags, record.checksums) == (False, False, set(), {})
    assert record != PartRecord(1, 5, MAC)


@pytest.mark.parametrize("offset", [None, 0, 16])
@pytest.mark.parametrize("content", [None, "kept"])
def test_a_part_waits_while_it_is_kept_and_not_encrypted(offset: int | None, content: Any) -> None:
    """Neither before it is kept nor once it has its place."""
    record = PartRecord(1, 5, MAC, offset=offset, content=content)
    assert record.waits is (offset is None and content is not None)


def test_etags_of_a_part() -> None:
    """One that stands in for S3's, and S3's own: the caller may list either."""
    record = PartRecord(1, 5, MAC)
    first, second = record.stand_in_etag(), record.stand_in_etag()
    assert first != second
    assert len(first) == 34
    assert first[0] == first[-1] == '"'
    part = {"ETag": '"real"'}
    record.record(part)
    assert record.sent is part
    assert record.etags == {first.strip('"'), second.strip('"'), "real"}
    assert without_quotes('"x"') == without_quotes("x") == "x"


def test_parts_are_entered_once(ledger: Ledger) -> None:
    """The same bytes again are the same record, whatever else has happened."""
    assert [record.number for record in ledger] == [2, 5]
    assert ledger.length == 70
    known, new = ledger.enter(2, 20, MAC)
    assert (known, new) == (ledger.get(2), False)
    record, new = ledger.enter(3, 30, MAC)
    assert (record, new) == (ledger.get(3), True)
    assert (record.number, record.length, record.mac, ledger.length) == (3, 30, MAC, 100)
    ledger.drop(record)
    assert (ledger.get(3), ledger.length) == (None, 70)


@pytest.mark.parametrize(("length", "mac"), [(20, OTHER), (21, MAC), (19, MAC), (21, OTHER)])
def test_other_bytes_are_refused(ledger: Ledger, length: int, mac: bytes) -> None:
    """Another length or another MAC, each by itself."""
    with pytest.raises(MultipartStateError, match="part 2 was given before with other bytes"):
        ledger.enter(2, length, mac)
    assert ledger.length == 70


def test_after_the_end(ledger: Ledger) -> None:
    """No new part; a known one is found still."""
    ledger.sealed = True
    with pytest.raises(MultipartStateError, match="part 3 comes after"):
        ledger.enter(3, 30, MAC)
    assert ledger.enter(5, 50, MAC) == (ledger.get(5), False)
    assert ledger.get(3) is None


def test_the_room_of_one_stream(ledger: Ledger) -> None:
    """As many bytes as one key may encrypt, and not one more; a known part takes nothing more."""
    room = GCM_MAX_PLAINTEXT_LENGTH - 70
    ledger.check_room(9, room)
    with pytest.raises(ObjectTooLargeError, match=f"would have {GCM_MAX_PLAINTEXT_LENGTH + 1} bytes"):
        ledger.check_room(9, room + 1)
    with pytest.raises(ObjectTooLargeError):
        ledger.enter(9, room + 1, MAC)
    assert (ledger.get(9), ledger.length) == (None, 70)
    ledger.enter(9, room, MAC)
    ledger.check_room(9, room)
    ledger.check_room(2, 1)


def test_a_list_of_all_parts(ledger: Ledger) -> None:
    """With or without quotes, and with checksums that are known."""
    ledger.check_list(listed(2, 5))
    ledger.check_list([{"PartNumber": 2, "ETag": "etag2", "ChecksumCRC32": "crc2"}, *listed(5)])
    record = ledger.get(5)
    assert record is not None
    record.checksums["ChecksumSHA256"] = "verified"
    ledger.check_list([*listed(2), {**listed(5)[0], "ChecksumSHA256": "verified", "Size": 7}])


@pytest.mark.parametrize(
    ("parts", "code", "said"),
    [
        ([{"ETag": '"etag2"'}, *listed(5)], "MalformedXML", "no PartNumber"),
        ([{"ETag": '"etag2"', "PartNumber": None}], "MalformedXML", "no PartNumber"),
        (listed(5, 2), "InvalidPartOrder", "it has 5, 2$"),
        (listed(2, 2, 5), "InvalidPartOrder", "it has 2, 2, 5$"),
        (listed(2, 5, 5), "InvalidPartOrder", "it has 2, 5, 5$"),
        (listed(2, 3, 5), "InvalidPart", "part 3 was not given"),
        (listed(2, 5, ETag='"etag2"'), "InvalidPart", "the ETag listed for part 5"),
        ([{"PartNumber": 2}, *listed(5)], "InvalidPart", "the ETag listed for part 2"),
    ],
)
def test_lists_that_s3_would_not_take(ledger: Ledger, parts: list[dict[str, Any]], code: str, said: str) -> None:
    """S3's own code for each."""
    with pytest.raises(PartListError, match=said) as refused:
        ledger.check_list(parts)
    assert refused.value.code == code


@pytest.mark.parametrize(("numbers", "shown"), [((2,), "2"), ((5,), "5"), ((), "none")])
def test_lists_that_leave_a_part_out(ledger: Ledger, numbers: tuple[int, ...], shown: str) -> None:
    """The object would not open."""
    with pytest.raises(MultipartStateError, match=f"the list has the parts {shown}, and given were 2, 5;"):
        ledger.check_list(listed(*numbers))


def test_checksums_that_nobody_verified(ledger: Ledger) -> None:
    """Of another part, of another algorithm, or where S3 has not answered yet."""
    for change in ({"ChecksumCRC32": "crc5"}, {"ChecksumSHA1": "crc2"}, {"ChecksumSHA1": ""}):
        with pytest.raises(ConfigurationError, match=r"Checksum\w+ of part 2 was not given"):
            ledger.check_list([{**listed(2)[0], **change}, *listed(5)])
    record = ledger.get(2)
    assert record is not None
    record.sent = None
    with pytest.raises(ConfigurationError):
        ledger.check_list([{**listed(2)[0], "ChecksumCRC32": "crc2"}, *listed(5)])


def test_long_lists_are_shown_in_part() -> None:
    """Twenty numbers, and how many there are."""
    many = Ledger()
    for number in range(1, 22):
        many.enter(number, 1, MAC)
    twenty = ", ".join(map(str, range(1, 21)))
    with pytest.raises(MultipartStateError) as refused:
        many.check_list([])
    assert f"given were {twenty}, … (21);" in str(refused.value)
    last = many.get(21)
    assert last is not None
    many.drop(last)
    with pytest.raises(MultipartStateError) as refused:
        many.check_list([])
    assert f"given were {twenty};" in str(refused.value)


def test_the_error_of_a_list_has_s3s_code() -> None:
    """And its text."""
    error = PartListError("InvalidPart", "no such part")
    assert (error.code, str(error)) == ("InvalidPart", "no such part")


def test_a_part_does_not_show_its_mac() -> None:
    """Only what tells it from others."""
    assert repr(PartRecord(3, 5, MAC)).startswith("PartRecord(number=3, length=5, offset=None, content=None,")
