"""The turnstile by itself: who waits, for how long, and what is kept of whom; its flows are carried out by hand."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from s3ec.errors import MultipartStateError
from s3ec.s3.flow import TakeIn, Wait, Work
from s3ec.s3.multipart.ledger import PartRecord
from s3ec.s3.multipart.requests import MINIMUM_PART_LENGTH

from support.upload_bench import CIPHER, Bench, Running, is_a


def let_wait(bench: Bench, number: int, data: bytes) -> Running:
    """Give a part behind a gap, and let its time go by."""
    part = bench.part(number, data).go()
    assert part.waits is not None
    assert part.waits.seconds is not None
    bench.clock.time += part.waits.seconds
    part.go()
    assert part.result.answer is None
    return part


def record_of(bench: Bench, number: int) -> PartRecord:
    """What is known of a part that was given."""
    record = bench.state._ledger.get(number)
    assert record is not None
    return record


def test_how_long_a_part_waits(bench: Bench) -> None:
    """Half a second for one that may come, and each time that it was in vain half as long: in all a second at most."""
    waited = []
    for number in (9, 7, 5, 3):
        part = bench.part(number, b"x").go()
        assert part.waits is not None
        waited.append(part.waits.seconds)
        for _ in range(3):
            bench.clock.time += (waited[-1] or 0) / 4
            part.go()
        assert part.waits == Wait((waited[-1] or 0) / 4)
        bench.clock.time += (waited[-1] or 0) / 4
        part.go()
        assert part.result.answer is None
    assert waited == [0.5, 0.25, 0.125, 0.0625]


def test_the_time_begins_again(bench: Bench) -> None:
    """Where the part before was announced meanwhile, and did not come."""
    waiting = bench.part(2, b"two").go()
    assert waiting.waits == Wait(0.5)
    first = bench.part(1, b"one").go(is_a(TakeIn))
    bench.clock.time += 10
    assert waiting.go().waits == Wait()
    first.fail(OSError("it cannot be read"))
    with pytest.raises(OSError, match="cannot be read"):
        first.go()
    assert waiting.go().waits == Wait(0.5)
    bench.part(1, b"one").go()
    waiting.go()
    bench.complete(1, 2).go()
    assert bench.stored() == CIPHER.encrypt(b"onetwo")


def test_a_number_that_is_announced_twice(bench: Bench) -> None:
    """It is on its way until both are here."""
    turnstile = bench.state._turnstile
    for _ in range(2):
        turnstile.arrive(1)
    turnstile.arrived(1)
    second = bench.part(2, b"two").go()
    assert second.waits == Wait()
    turnstile.arrived(1)
    assert second.go().waits == Wait(0.5)


def test_nothing_is_announced_after_the_end(bench: Bench) -> None:
    """The first reason stays."""
    turnstile = bench.state._turnstile
    turnstile.close("the first")
    turnstile.close("the second")
    for step in (lambda: turnstile.arrive(1), lambda: turnstile.settled(PartRecord(1, 0, b""))):
        with pytest.raises(MultipartStateError, match="the first"):
            step()


def test_where_a_part_stands(bench: Bench) -> None:
    """Settled when it is encrypted or kept; to be waited for while it is in hand; given up when it was dropped."""
    settled = bench.state._turnstile.settled
    bench.part(1, b"one").go()
    assert settled(record_of(bench, 1)) is True
    let_wait(bench, 5, b"five")
    assert record_of(bench, 5).waits
    assert settled(record_of(bench, 5)) is True
    bench.part(2, b"two").go(is_a(Work))
    in_hand = record_of(bench, 2)
    assert settled(in_hand) == Wait()
    assert settled(PartRecord(2, 3, in_hand.mac)) is False
    assert bench.state._turnstile.passed == 1


def test_a_part_in_hand_is_waited_for(bench: Bench) -> None:
    """Given twice at once it is encrypted once; where the first is given up, the second takes its place."""
    first = bench.part(1, b"one").go(is_a(Work))
    second = bench.part(1, b"one").go()
    assert second.waits == Wait()
    first.go()
    second.go()
    third = bench.part(2, b"two").go(is_a(Work))
    fourth = bench.part(2, b"two").go()
    assert fourth.waits == Wait()
    third.fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        third.go()
    fourth.go()
    bench.complete(1, 2).go()
    assert bench.stored() == CIPHER.encrypt(b"onetwo")


def test_one_is_encrypted_at_a_time(bench: Bench) -> None:
    """The next part, the end of the stream, and who looks at it have to wait."""
    turnstile = bench.state._turnstile
    first = bench.part(1, b"one").go(is_a(Work))
    second = bench.part(2, b"two").go()
    others = [bench.begin(flow).go() for flow in (turnstile.encrypt_rest(), turnstile.finish())]
    looks = bench.begin(bench.state.hand_over()).go()
    assert [flow.waits for flow in (second, *others, looks)] == [Wait()] * 4
    first.go()
    second.go()
    assert others[0].go().asked is None
    assert others[1].go().result == CIPHER.encrypt(b"onetwo")[-16:]
    assert turnstile.tag == others[1].result
    assert looks.go().result.stream.position == 6


def test_while_the_rest_is_encrypted_nothing_else_is(bench: Bench) -> None:
    """A part whose turn it would be waits, and so does who looks at the stream."""
    let_wait(bench, 3, b"three")
    rest = bench.begin(bench.state._turnstile.encrypt_rest()).go(is_a(Work))
    part = bench.part(1, b"one").go()
    looks = bench.begin(bench.state.hand_over()).go()
    assert (part.waits, looks.waits) == (Wait(), Wait())
    rest.go()
    assert looks.go().result.stream.position == 5


def test_a_part_that_comes_while_its_turn_comes(bench: Bench) -> None:
    """Where the gap is closed while it is put aside, it is encrypted at once, and counts as kept no longer."""
    part = bench.part(2, b"two").go()
    bench.clock.time += 0.5
    part.go(is_a(Work))
    bench.part(1, b"").go()
    part.step()
    assert bench.room._memory._used >= 3
    part.go()
    assert record_of(bench, 2).offset == 0
    bench.complete(1, 2).go()
    assert bench.stored() == CIPHER.encrypt(b"two")


def test_memory_is_counted(make: Callable[..., Bench]) -> None:
    """What waits counts; a part whose turn came while it was put aside does not count for that any more."""
    bench = make(memory=100)
    let_wait(bench, 3, b"x" * 60)
    assert bench.room._memory._used == 60
    part = bench.part(2, b"y" * 40).go()
    bench.clock.time += 0.25
    part.go(is_a(Work)).step()
    assert bench.room._memory._used == 100
    bench.state._turnstile._next = 2
    part.go(is_a(Work))
    assert bench.room._memory._used == 60
    part.go()
    bench.complete(2, 3).go()
    assert bench.stored() == CIPHER.encrypt(b"y" * 40 + b"x" * 60)


def test_what_waits_on_disk_is_sealed(make: Callable[..., Bench]) -> None:
    """Where memory is full: no plaintext is written."""
    bench, data = make(memory=100), [os.urandom(60) for _ in range(3)]
    for number in (4, 3, 2):
        let_wait(bench, number, data[number - 2])
    file = bench.room.spool._file
    assert file is not None
    file.seek(0)
    written = file.read()
    assert len(written) > 120
    assert not any(piece[start : start + 8] in written for piece in data for start in range(52))
    bench.part(1, b"").go()
    bench.complete(1, 2, 3, 4).go()
    assert bench.stored() == CIPHER.encrypt(b"".join(data))


def test_the_one_that_closes_the_gap_takes_along_who_waits(bench: Bench) -> None:
    """Up to the next gap, in the order of their numbers."""
    for number in (6, 5, 3, 2):
        let_wait(bench, number, bytes([number]) * number)
    bench.part(1, b"\1").go()
    assert bench.state._turnstile.passed == 3
    assert [record_of(bench, number).offset for number in (1, 2, 3, 5, 6)] == [0, 1, 3, None, None]
    bench.complete(1, 2, 3, 5, 6).go()
    assert bench.stored() == CIPHER.encrypt(b"".join(bytes([number]) * number for number in (1, 2, 3, 5, 6)))


def test_a_failure_before_the_stream_is_touched(bench: Bench) -> None:
    """Ends the part and not the upload; one within the stream ends the upload."""
    part = bench.part(1, b"one").go(is_a(Work))
    part.fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        part.go()
    bench.part(1, b"one").go()

    def broken(data: memoryview) -> None:
        raise ZeroDivisionError

    bench.state._turnstile._observe = broken
    with pytest.raises(ZeroDivisionError):
        bench.part(2, b"two").go()
    with pytest.raises(MultipartStateError, match="unknown how far the stream came"):
        bench.part(3, b"three").go()
    with pytest.raises(MultipartStateError, match="unknown how far the stream came"):
        bench.complete(1).go()


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 40])
def test_the_state_of_the_stream(make: Callable[..., Bench], length: int) -> None:
    """Before the tag is made, after it was asked for, and after it was made: of all that is encrypted, anywhere."""
    bench = make()
    turnstile = bench.state._turnstile
    for number, size in ((1, length), (2, 3)):
        bench.part(number, bytes([number]) * size).go()
    states = [turnstile.state() for _ in range(2)]
    assert turnstile.tag is None
    tag = bench.run(turnstile.finish())
    states.append(turnstile.state())
    assert tag == bench.run(turnstile.finish()) == CIPHER.encrypt(b"\1" * length + b"\2" * 3)[-16:]
    assert states[0] == states[1] == states[2]
    assert {state.position for state in states} == {length + 3}
    whole = CIPHER.encrypt(b"\1" * length + b"\2" * 3)[:-16]
    assert {state.tail for state in states} == {whole[(length + 3) // 16 * 16 :]}
    other = make(snapshot=bench.run(bench.state.hand_over()))
    assert other.state._turnstile.passed == 2
    other.part(3, b"three").go()
    state = other.state._turnstile.state()
    whole = CIPHER.encrypt(b"\1" * length + b"\2" * 3 + b"three")[:-16]
    assert (state.position, state.tail) == (len(whole), whole[len(whole) // 16 * 16 :])
    for number in (1, 2):
        other.part(number, bytes([number]) * (length if number == 1 else 3)).go()
    other.complete(1, 2, 3).go()
    assert other.stored() == CIPHER.encrypt(b"\1" * length + b"\2" * 3 + b"three")


@pytest.mark.parametrize("length", [5, 16, 40])
def test_a_stream_that_goes_on_elsewhere_knows_where_it_is(make: Callable[..., Bench], length: int) -> None:
    """A part that is given again there lies where it lay, and the state behind the tag is that of the whole."""
    bench, data = make(), os.urandom(MINIMUM_PART_LENGTH)
    bench.part(1, b"1" * length).go()
    other = make(snapshot=bench.run(bench.state.hand_over()))
    for number, piece in ((2, data), (2, data), (3, b"3")):
        other.part(number, piece).go()
    whole = CIPHER.encrypt(b"1" * length + data + b"3")
    assert {body for _, body, _ in other.sent} == {whole[length : length + len(data)]}
    assert bench.run(other.state._turnstile.finish()) == whole[-16:]
    state = other.state._turnstile.state()
    assert state.position == length + len(data) + 1
    assert state.tail == whole[state.position // 16 * 16 : state.position]
    third = make(snapshot=other.run(other.state.hand_over()))
    assert third.run(third.state._turnstile.finish()) == whole[-16:]


@pytest.mark.parametrize("length", [3, 16, 29])
def test_the_last_bytes_of_a_stream_that_goes_on(make: Callable[..., Bench], length: int) -> None:
    """Where a few more follow there, the block that is not full yet began here."""
    bench = make()
    bench.part(1, b"1" * length).go()
    other = make(snapshot=bench.run(bench.state.hand_over()))
    other.part(2, b"22").go()
    whole = CIPHER.encrypt(b"1" * length + b"22")
    other.run(other.state._turnstile.finish())
    state = other.state._turnstile.state()
    assert (state.position, state.tail) == (length + 2, whole[(length + 2) // 16 * 16 : length + 2])
