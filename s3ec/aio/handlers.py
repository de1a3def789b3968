"""The caller's event handlers on an asynchronous client; see `s3ec.client.calls.handlers`. They may be coroutines."""

from __future__ import annotations

from typing import Any

from botocore.client import BaseClient
from botocore.hooks import first_non_none_response

from s3ec.client.calls.handlers import BUILD, PROVIDE, EventsOfCall, Heard, sending_view
from s3ec.client.calls.seals import Seal

__all__ = ["AsyncEventsOfCall", "AsyncHeard", "send_after_handlers"]


class AsyncHeard(Heard):
    """What the caller's handlers made of one request."""

    __slots__ = ()

    def __init__(self) -> None:
        """Made by `ask`."""

    @classmethod
    async def ask(
        cls, client: BaseClient, operation_name: str, parameters: dict[str, Any], **context: Any
    ) -> AsyncHeard:
        """Ask the handlers of a client; see `Heard`."""
        heard = cls()
        event, arguments = heard._begin(client, operation_name, context)
        given_body = parameters.get("Body")
        answers = await heard._events.emit(f"{PROVIDE}{event}", params=parameters, **arguments)
        parameters = first_non_none_response(answers, default=parameters)
        await heard._events.emit(f"{BUILD}{event}", params=parameters, **arguments)
        heard._end(parameters, given_body)
        return heard

    async def answered(self, response: dict[str, Any]) -> dict[str, Any]:
        """Show handlers the answer that the caller gets, if its event was kept."""
        if self._kept is not None:
            event_name, arguments = self._kept
            await self._events.emit(event_name, **{**arguments, "parsed": response})
        return response


class AsyncEventsOfCall(EventsOfCall):
    """A client's emitter as one call sees it."""

    __slots__ = ()

    async def emit(self, event_name: str, **arguments: Any) -> Any:
        """Ask handlers, as aiobotocore's emitter does."""
        asked = self.asked(event_name, arguments)
        answers = [] if asked is None else await self._events.emit(event_name, **asked)
        return self.answer(event_name, arguments, answers)


async def send_after_handlers(
    client: BaseClient,
    sender: type,
    operation_name: str,
    parameters: dict[str, Any],
    heard: AsyncHeard | None,
    seal: Seal | None,
) -> dict[str, Any]:
    """Send a request whose parameters the caller's handlers do not change any more."""
    view = sending_view(client, sender, heard, seal, AsyncEventsOfCall)
    response: dict[str, Any] = await sender._make_api_call(view, operation_name, parameters)  # type: ignore[attr-defined]
    return response
