"""The plain calls beneath the asynchronous client, and how the effects of flows are carried out on it.

See `s3ec.client.calls.wire`, which is the same for boto3.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from s3ec.aio import driver, keys
from s3ec.aio.ciphertext import StoredCiphertext, encrypted_body
from s3ec.aio.handlers import AsyncHeard
from s3ec.aio.monitors import TaskMonitor
from s3ec.aio.plaintext import DecryptedBody
from s3ec.aio.reader import AsyncReader
from s3ec.aio.releases import opened
from s3ec.aio.work import off_loop, several, work_on
from s3ec.client.calls.around import Around
from s3ec.client.calls.seals import Seal, SealedBytes
from s3ec.client.calls.wire import OwnErrorFirst, context_of
from s3ec.client.server_side import rules as server_side
from s3ec.errors import S3ECError
from s3ec.s3.contents import WholeContent
from s3ec.s3.flow import (
    After,
    Call,
    CloseBody,
    Deliver,
    Effect,
    Encrypt,
    Enter,
    Flow,
    Hear,
    Leave,
    NewDataKey,
    ReadBody,
    Step,
    Store,
    TakeIn,
    Together,
    ToTheEnd,
    Transfer,
    UnreachableError,
    Unwrap,
    Work,
)
from s3ec.s3.multipart.requests import abort_named

__all__ = ["AsyncWire"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AsyncWire(Around):
    """Plain S3 calls, with the options of the client that makes them.

    Attributes:
        send: the generated class's own ``_make_api_call``, bound to the client; the caller's handlers change the
            request.
        send_as_it_is: the same for parameters that they do not change any more, with what they made of them where they
            were asked, and with the seal of what must not change afterwards.
        hear: asks the caller's handlers what they make of an operation's parameters.
        heard: what the handlers made of the caller's request, whose call this wire belongs to; or None.
    """

    send: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
    send_as_it_is: Callable[[str, dict[str, Any], AsyncHeard | None, Seal | None], Awaitable[dict[str, Any]]]
    hear: Callable[..., Awaitable[AsyncHeard]]
    heard: AsyncHeard | None = None

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow of this client's to its end.

        Raises:
            botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: of a call that failed.
            S3ECError: as the flow raises it.
        """
        return await driver.run(flow, self.perform)

    async def perform(self, effect: Effect) -> object:
        """Carry out an effect of a flow, and return the answer."""
        return await _PERFORM[type(effect)](self, effect)

    def after(self, heard: AsyncHeard) -> AsyncWire:
        """The wire of one call, whose parameters the handlers have seen."""
        return AsyncWire(
            self.options,
            self.service_model,
            self.secure,
            self.exceptions,
            self.reading,
            self.writing,
            self.send,
            self.send_as_it_is,
            self.hear,
            heard,
        )

    async def call(self, operation_name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request as a plain client does; server-side defaults are added and checked first."""
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        if self.heard is None:
            with OwnErrorFirst(ready.get("Body")):
                response = await self.send(operation_name, ready)
        else:
            heard = self.heard if self.heard.operation_name == operation_name and not self.heard.used else None
            response = await self._send_as_it_is(operation_name, ready, heard, None)
        server_side.warn_unless_confirmed(operation_name, ready, response)
        return response

    async def store(
        self, operation_name: str, parameters: Mapping[str, Any], heard: AsyncHeard | None
    ) -> dict[str, Any]:
        """Send what was encrypted here, or belongs to it: as it is, or not at all.

        Raises:
            UnsupportedOperationError: a handler changed the request afterwards; nothing was sent.
        """
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        response = await self._send_as_it_is(operation_name, ready, heard, Seal(operation_name, ready))
        server_side.warn_unless_confirmed(operation_name, ready, response)
        return response

    async def _send_as_it_is(
        self, operation_name: str, ready: dict[str, Any], heard: AsyncHeard | None, seal: Seal | None
    ) -> dict[str, Any]:
        if heard is not None:
            heard.used = True
        with OwnErrorFirst(ready.get("Body")):
            return await self.send_as_it_is(operation_name, ready, heard, seal)


async def _call(wire: AsyncWire, effect: Call) -> object:
    return await wire.call(effect.operation, effect.parameters)


async def _store(wire: AsyncWire, effect: Store) -> object:
    parameters = effect.parameters
    if isinstance(parameters.get("Body"), bytes):
        parameters = {**parameters, "Body": SealedBytes(parameters["Body"])}
    storing = wire.store(effect.operation, parameters, None if effect.own else wire.heard)
    if effect.operation == "CreateMultipartUpload":
        return await _created(wire, parameters, storing)
    return await storing


async def _created(
    wire: AsyncWire, parameters: Mapping[str, Any], creating: Coroutine[Any, Any, dict[str, Any]]
) -> object:
    """Create an upload; one whose creation is cancelled is aborted, since nobody would know its name."""
    created = asyncio.ensure_future(creating)
    try:
        return await asyncio.shield(created)
    except asyncio.CancelledError:
        with contextlib.suppress(ClientError, BotoCoreError, S3ECError):  # then there is none
            await driver.to_the_end(_abort(wire, parameters, created))
        raise


async def _abort(wire: AsyncWire, parameters: Mapping[str, Any], created: Awaitable[dict[str, Any]]) -> None:
    upload_id = (await created)["UploadId"]
    await wire.run(abort_named(wire, parameters, upload_id))


async def _unwrap(_: AsyncWire, effect: Unwrap) -> object:
    return await keys.unwrapped(effect.checked)


async def _new_data_key(_: AsyncWire, effect: NewDataKey) -> object:
    return await keys.new_data_key(effect.manager, effect.request)


async def _encrypt(wire: AsyncWire, effect: Encrypt) -> bytes | StoredCiphertext:
    return await encrypted_body(
        effect.source,
        effect.cipher,
        effect.claims,
        buffer_size=wire.options.buffer_size,
        spool_directory=wire.options.spool_directory,
    )


async def _read_body(_: AsyncWire, effect: ReadBody) -> object:
    try:
        return await AsyncReader(effect.body, has_tag=effect.has_tag).read(effect.size)
    except aiohttp.ClientError as cut_off:
        raise UnreachableError(cut_off) from cut_off


async def _close_body(_: AsyncWire, effect: CloseBody) -> None:
    closing = effect.body.close()
    if inspect.isawaitable(closing):
        await closing


async def _deliver(wire: AsyncWire, effect: Deliver) -> DecryptedBody:
    content = effect.content
    tagged = not (isinstance(content, WholeContent) and content.cipher.suite.is_legacy)
    reader = AsyncReader(effect.body, has_tag=tagged)
    # By the options alone: the wire leads to the answer, and that to this body, which would wait for the garbage.
    opener = partial(opened, wire.options, effect, reader)
    return DecryptedBody(reader, opener, effect.length, effect.location)


async def _enter(_: AsyncWire, effect: Enter) -> None:
    gate: Any = effect.gate
    await gate.acquire()


async def _leave(_: AsyncWire, effect: Leave) -> None:
    gate: Any = effect.gate
    gate.release()


async def _hear(wire: AsyncWire, effect: Hear) -> object:
    return await wire.hear(effect.operation, effect.parameters, **context_of(effect))


async def _after(wire: AsyncWire, effect: After) -> object:
    heard: Any = effect.heard
    return await wire.after(heard).run(effect.flow)


async def _together(wire: AsyncWire, effect: Together) -> None:
    await several([partial(wire.run, flow) for flow in effect.flows], effect.at_once)


async def _step(_: AsyncWire, effect: Step) -> object:
    monitor: Any = effect.monitor
    if isinstance(monitor, TaskMonitor):
        return await monitor.take(effect.function)
    return await off_loop(partial(monitor.take, effect.function))  # of a client whose uploads threads share


async def _take_in(_: AsyncWire, effect: TakeIn) -> object:
    return await effect.room.take_in_whole(effect.source, effect.observe, effect.check)


async def _transfer(_: AsyncWire, effect: Transfer) -> object:
    engine: Any = effect.engine
    return await engine.move(effect.plan)


async def _to_the_end(wire: AsyncWire, effect: ToTheEnd) -> object:
    return await driver.to_the_end(wire.run(effect.flow))


async def _work(_: AsyncWire, effect: Work) -> object:
    if effect.size is not None:
        return await work_on(effect.size, effect.function)
    result = await off_loop(effect.function)
    return await result if inspect.iscoroutine(result) else result


_PERFORM: dict[type, Callable[[AsyncWire, Any], Awaitable[object]]] = {
    Call: _call,
    Store: _store,
    Unwrap: _unwrap,
    NewDataKey: _new_data_key,
    Encrypt: _encrypt,
    ReadBody: _read_body,
    CloseBody: _close_body,
    Deliver: _deliver,
    Enter: _enter,
    Hear: _hear,
    After: _after,
    Leave: _leave,
    Step: _step,
    TakeIn: _take_in,
    Together: _together,
    Transfer: _transfer,
    ToTheEnd: _to_the_end,
    Work: _work,
}
