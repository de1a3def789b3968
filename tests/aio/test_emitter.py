"""Events in a shorter way: the same handlers, in the same order, with the same answers as aiobotocore's own emitter."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.hooks import AioHierarchicalEmitter
from hypothesis import given
from hypothesis import strategies as st

from s3ec.aio.emitter import _Emitter, emit_quickly

from support.loops import on_loop

Handler = Callable[..., Any]


def _plain(value: object, seen: list[object]) -> Handler:
    def handler(**keywords: Any) -> object:
        seen.append((value, sorted(keywords.items())))
        return value

    return handler


def _coroutine(value: object, seen: list[object]) -> Handler:
    async def handler(**keywords: Any) -> object:
        await asyncio.sleep(0)
        seen.append((value, sorted(keywords.items())))
        return value

    return handler


def _future(value: object, seen: list[object]) -> Handler:
    def handler(**keywords: Any) -> object:
        seen.append((value, sorted(keywords.items())))
        future = asyncio.get_running_loop().create_future()
        future.set_result(value)
        return future

    return handler


def _failing(value: object, seen: list[object]) -> Handler:
    def handler(**_: Any) -> object:
        seen.append("failed")
        raise LookupError(value)

    return handler


MAKERS = [_plain, _plain, _coroutine, _future, _failing]
EVENTS = ["a", "a.s3", "a.s3.Get", "a.*.Get", "b"]
registered = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from(MAKERS), st.sampled_from([None, None, 0, "x", {}])), max_size=6
)


async def _outcome(emitter: Any, handlers: Any, event: str, *, until_response: bool) -> list[object]:
    """What is called with what, and what comes of it, the first time and the second."""
    seen: list[object] = []
    made = [make(value, seen) for _, make, value in handlers]
    numbers = {id(handler): number for number, handler in enumerate(made)}
    for (name, _, _), handler in zip(handlers, made, strict=True):
        emitter.register(name, handler)
    for _ in range(2):
        try:
            if until_response:
                handler, answer = await emitter.emit_until_response(event, a=1)
                seen.append((numbers.get(id(handler)), answer))
            else:
                seen.append([(numbers[id(handler)], answer) for handler, answer in await emitter.emit(event, a=1)])
        except LookupError as error:
            seen.append(str(error))
    return seen


@given(registered, st.sampled_from(EVENTS), st.booleans(), st.sampled_from([logging.DEBUG, logging.INFO]))
def test_it_calls_the_same_handlers(handlers: list[Any], event: str, until_response: bool, level: int) -> None:
    """One after the other, until one fails or answers; whoever logs sees what aiobotocore logs."""
    log = logging.getLogger("botocore.hooks")
    former = log.level
    log.setLevel(level)
    try:
        found, expected = (
            asyncio.run(_outcome(kind(), list(handlers), event, until_response=until_response))
            for kind in (_Emitter, AioHierarchicalEmitter)
        )
    finally:
        log.setLevel(former)
    assert found == expected


@on_loop
async def test_a_client_of_ours_has_it(connect: Callable[..., Any], aio_session: Any, server: Any) -> None:
    """Plain ones of the same session have not; what is registered later is called; a copy is one too."""
    async with connect() as s3, aio_session.create_client("s3", **server.arguments()) as plain:
        assert type(s3.meta.events._emitter) is _Emitter
        assert type(plain.meta.events._emitter) is AioHierarchicalEmitter
        seen: list[str] = []
        await s3.put_object(Bucket="b", Key="k", Body=b"x")
        for name in ("before-send.s3", "of-nobody-else"):
            s3.meta.events.register(name, lambda event_name, **_: seen.append(event_name))
        other = copy.copy(s3.meta.events)
        await s3.put_object(Bucket="b", Key="k", Body=b"x")
        assert seen == ["before-send.s3.PutObject"]
        await other.emit("of-nobody-else.s3")
        assert seen[1:] == ["of-nobody-else.s3"]


def test_somebody_elses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of its own, or a patch of aiobotocore's."""

    class Own(AioHierarchicalEmitter):  # type: ignore[misc]  # aiobotocore has no types
        pass

    emitters = [Own(), AioHierarchicalEmitter(), object()]
    monkeypatch.setattr(AioHierarchicalEmitter, "_emit", lambda *_: None)
    for emitter in emitters:
        kind = type(emitter)
        emit_quickly(SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace(_emitter=emitter))))
        assert type(emitter) is kind
    emit_quickly(SimpleNamespace(meta=SimpleNamespace(events=object())))
