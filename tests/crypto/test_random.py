from __future__ import annotations

from collections.abc import Callable

import pytest

from s3ec.crypto import random

MAKERS = [(random.data_key, 32), (random.iv, 12), (random.message_id, 28)]


@pytest.mark.parametrize(("make", "length"), MAKERS)
def test_values_have_their_length_and_differ(make: Callable[[], bytes], length: int) -> None:
    """Each kind of random value has its format's length, and no two are the same."""
    values = {make() for _ in range(100)}
    assert len(values) == 100
    assert {len(value) for value in values} == {length}


@pytest.mark.parametrize(("make", "length"), MAKERS)
def test_an_all_zero_value_is_never_given(
    make: Callable[[], bytes], length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator that answers zeros is asked again: readers refuse zero as never initialised."""
    answers = [bytes(length), bytes(length), b"\x07" * length]
    monkeypatch.setattr("os.urandom", lambda count: answers.pop(0))
    assert make() == b"\x07" * length
