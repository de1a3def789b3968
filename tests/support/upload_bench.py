"""The state of an upload with flows that are carried out by hand: each goes as far as a test lets it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from s3ec.client.bodies.sources import BytesSource
from s3ec.client.multipart.storage import PartRoom
from s3ec.crypto.content import ContentCipher
from s3ec.formats import ContentMetadata
from s3ec.s3.flow import Call, Effect, Flow, Step, Store, TakeIn, Together, Wait, Work
from s3ec.s3.multipart.requests import EncryptedUpload
from s3ec.s3.multipart.state import UploadState

from support.flows import ByHand, Surroundings
from support.keyrings import GCM, write_request
from support.materials import FixedKeys

__all__ = ["CIPHER", "Bench", "Claims", "Clock", "Running", "anything", "is_a"]

WRITES = write_request(GCM)
CIPHER = ContentCipher(GCM, bytes(range(32)), bytes(range(1, 13)))


class Clock:
    """A monitor whose time a test moves, for one thread: what waits is tried again by hand."""

    time = 1000.0

    def now(self) -> float:
        """Seconds."""
        return self.time


class Claims:
    """What a caller says about a part, or about the whole: it is noted, and refused on demand.

    Attributes:
        seen: the plaintext.
        refusal: what `check`, `check_claims` and `compare` raise.
    """

    def __init__(self) -> None:
        """Nothing is seen yet."""
        self.seen = b""
        self.refusal: dict[str, Exception] = {}

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self.seen += data

    observe = update

    def check(self) -> None:
        """Refuse at the end of a part."""
        self._refuse("check")

    def checksums(self) -> dict[str, str]:
        """Of all that passed."""
        return {"ChecksumOfTest": str(len(self.seen))}

    def check_claims(self, claims: Mapping[str, str]) -> None:
        """Refuse before anything is sealed."""
        self._refuse("check_claims")

    def compare(self, claims: Mapping[str, str]) -> None:
        """Refuse when everything is encrypted."""
        self._refuse("compare")

    def _refuse(self, name: str) -> None:
        if name in self.refusal:
            raise self.refusal[name]


def anything(effect: Effect) -> bool:
    """Any effect."""
    return True


def is_a(kind: Any, operation: str | None = None) -> Callable[[Effect], bool]:
    """Say of an effect whether it is of a kind, and a request of that name."""
    return lambda effect: isinstance(effect, kind) and operation in (None, getattr(effect, "operation", None))


class Running(ByHand):
    """A flow that goes on until it is told to stop, or has to wait.

    Attributes:
        waits: what it waits for; None while it need not.
        done: kinds of the effects that were carried out.
    """

    def __init__(self, bench: Bench, flow: Flow[Any]) -> None:
        """Stand before the first effect."""
        self._bench = bench
        self.waits: Wait | None = None
        self.done: list[type] = []
        super().__init__(flow)

    def go(self, until: Callable[[Effect], bool] = lambda effect: False) -> Running:
        """Carry effects out until one of that kind is asked for, or one has to wait, or the end."""
        self.waits = None
        while self.asked is not None and not until(self.asked):
            self.step()
            if self.waits is not None:
                break
        return self

    def step(self) -> Running:
        """Carry one effect out."""
        assert self.asked is not None
        try:
            answer = self._bench.perform(self.asked)
        except BaseException as error:
            self.done.append(type(self.asked))
            self.fail(error)
            return self
        if isinstance(answer, Wait):
            self.waits = answer
        else:
            self.done.append(type(self.asked))
            self.answer(answer)
        return self


class Bench:
    """The state of one upload, and an S3 that notes what it gets.

    Attributes:
        sent: parts in the order in which they left, each with whether the request was the caller's.
        listed: the parts of each request that makes the object.
        refusals: what the next requests of a name are answered with instead.
        most: how many flows were carried out at once, at most, for each time that several were.
    """

    def __init__(self, memory: int = 2**20, snapshot: Any = None) -> None:
        """Create it, with so many bytes of memory for parts."""
        self.clock, self.checksum = Clock(), Claims()
        self.room = PartRoom(self.clock, memory, None)
        metadata = ContentMetadata.of(FixedKeys().get_encryption_materials(WRITES), iv=bytes(range(1, 13)))
        upload = EncryptedUpload("u", {"Bucket": "b", "Key": "k"}, metadata, CIPHER)
        self.state = UploadState(upload, self.room, self.checksum, snapshot)
        self.sent: list[tuple[int, bytes, bool]] = []
        self.listed: list[list[int]] = []
        self.refusals: dict[str, list[Exception]] = {}
        self.most: list[int] = []
        self._s3 = Surroundings(FixedKeys())
        self._flows: list[Running] = []
        self._etags: dict[int, str] = {}

    def part(self, number: int, data: bytes | Any, **given: Any) -> Running:
        """Give a part: bytes, or a source of them."""
        source = BytesSource(data) if isinstance(data, bytes) else data
        return self.begin(self.state.upload_part(self._s3, number, source, Claims(), given))

    def complete(self, *numbers: int, length: int | None = None) -> Running:
        """Make the object of these parts, by the ETags that were answered."""
        parts = [{"PartNumber": number, "ETag": self.etag(number)} for number in numbers]
        return self.begin(self.state.complete(self._s3, parts, {}, length, {}))

    def etag(self, number: int) -> str:
        """The ETag that the caller was given for a part when it was asked for first."""
        record = self.state._ledger.get(number)
        if record is not None and record.etags:
            self._etags.setdefault(number, min(record.etags))
        return self._etags.get(number, "none")

    def run(self, flow: Flow[Any]) -> Any:
        """Carry a flow out, which does not wait."""
        running = self.begin(flow).go()
        assert running.asked is None
        return running.result

    def end(self) -> None:
        """End the flows that stand somewhere: drivers never close one."""
        for flow in self._flows:
            while flow.asked is not None:
                with contextlib.suppress(KeyboardInterrupt, Exception):
                    flow.fail(KeyboardInterrupt())
                with contextlib.suppress(KeyboardInterrupt, Exception):
                    flow.go()

    def begin(self, flow: Flow[Any]) -> Running:
        """Any other flow of this upload."""
        self._flows.append(Running(self, flow))
        return self._flows[-1]

    def stored(self) -> bytes:
        """The body of the object: what came last of each part that was listed last."""
        latest = {number: data for number, data, _ in self.sent}
        return b"".join(latest[number] for number in self.listed[-1])

    def perform(self, effect: Effect) -> object:
        """Carry an effect out, where it needs no waiting."""
        if isinstance(effect, Step):
            return effect.function()
        if isinstance(effect, TakeIn):
            return effect.room.take_in(effect.source, effect.observe, effect.check)
        if isinstance(effect, Work):
            return effect.function()
        if isinstance(effect, Together):
            self.most.append(effect.at_once)
            for flow in effect.flows:
                self.run(flow)
            return None
        assert isinstance(effect, (Call, Store))
        return self._answer(effect)

    def _answer(self, request: Call | Store) -> dict[str, Any]:
        if self.refusals.get(request.operation):
            raise self.refusals[request.operation].pop(0)
        if isinstance(request, Store):
            number, body = request.parameters["PartNumber"], request.parameters["Body"]
            self.sent.append((number, body.read(), request.own))
            return {
                "ETag": f'"{number}-{len(self.sent)}"',
                "ChecksumCRC32": "of the ciphertext",
                "ResponseMetadata": {},
            }
        self.listed.append([part["PartNumber"] for part in request.parameters["MultipartUpload"]["Parts"]])
        return {"ETag": '"whole"', "ResponseMetadata": {}}
