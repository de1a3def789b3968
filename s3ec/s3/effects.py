"""Effects of flows: what a rule needs of the world, as a value that it yields; and what is thrown in where it fails.

See `s3ec.s3.flow`, whose helpers give each answer its type.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from s3ec.crypto.content import ContentCipher
from s3ec.decryption import Checked
from s3ec.materials import EncryptionMaterialsRequest, MaterialsManager
from s3ec.s3.contents import Content

__all__ = [
    "After",
    "Call",
    "CloseBody",
    "Deliver",
    "Effect",
    "Encrypt",
    "Engine",
    "Enter",
    "FailedCallError",
    "Flow",
    "Gate",
    "Hear",
    "HeardRequest",
    "Leave",
    "Monitor",
    "NewDataKey",
    "ReadBody",
    "RefusedError",
    "Step",
    "Store",
    "TakeIn",
    "ToTheEnd",
    "Together",
    "Transfer",
    "UnreachableError",
    "Unwrap",
    "Wait",
    "Work",
]

T = TypeVar("T")


class FailedCallError(Exception):
    """A call to S3 that failed, as it is thrown into a flow; what leaves the flow is the error itself.

    Attributes:
        error: as the library that made the call raised it.
    """

    def __init__(self, error: Exception) -> None:
        """Take the error."""
        super().__init__(str(error))
        self.error = error


class RefusedError(FailedCallError):
    """S3 answered, with an error.

    Attributes:
        response: its answer, as botocore parsed it.
    """

    def __init__(self, error: Exception, response: Mapping[str, Any]) -> None:
        """Take the error and the answer."""
        super().__init__(error)
        self.response = response

    @property
    def status(self) -> int | None:
        """The HTTP status, or None for an answer that was put together without one."""
        status = self.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None

    @property
    def code(self) -> str | None:
        """S3's code of the error."""
        code = self.response.get("Error", {}).get("Code")
        return code if isinstance(code, str) else None

    def of(self, operation_name: str) -> Exception:
        """The same error as that of another operation, which it is the answer to as well."""
        error: Exception = type(self.error)(self.response, operation_name)
        return error


class UnreachableError(FailedCallError):
    """No answer, or only a part of one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to S3, as the caller's handlers may see it; answered with the parsed response.

    Attributes:
        operation: as botocore spells it.
        parameters: of the operation.
    """

    operation: str
    parameters: Mapping[str, Any] = field(repr=False)  # an SSE-C key may be among them


@dataclass(frozen=True, slots=True)
class Store:
    """A request that stores what was encrypted here, or belongs to it: as it is, or not at all.

    Answered with the parsed response.

    Attributes:
        operation: as botocore spells it.
        parameters: of the operation; the body is bytes, or what `Encrypt` was answered with.
        own: True for a request of our own, such as that of an instruction file; False for the caller's.
    """

    operation: str
    parameters: Mapping[str, Any] = field(repr=False)
    own: bool


class HeardRequest(Protocol):
    """What the caller's handlers made of a request. Made by those who drive flows.

    Attributes:
        parameters: the request as they left it.
    """

    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hear:
    """Asks the caller's handlers about a request before it is sent; answered with a `HeardRequest`.

    Attributes:
        operation: as botocore spells it.
        parameters: of the operation, in a dict that handlers may change.
        presigned: True for a request that is signed here, and sent by somebody else.
    """

    operation: str
    parameters: dict[str, Any] = field(repr=False)
    presigned: bool = False


@dataclass(frozen=True, slots=True)
class After:
    """What is left of a call, once handlers have seen its request; answered as it ends.

    The request is sent as they left it, under what they keep about it. Of all others they hear, and change nothing.

    Attributes:
        heard: as `Hear` was answered.
        flow: it was not started.
    """

    heard: HeardRequest = field(repr=False)
    flow: Flow[object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewDataKey:
    """A data key to be made; answered with the materials.

    Attributes:
        manager: makes it.
        request: as `s3ec.encryption.prepare` gave it.
    """

    manager: MaterialsManager = field(repr=False)
    request: EncryptionMaterialsRequest


@dataclass(frozen=True, slots=True)
class Encrypt:
    """A body to be sent, of the caller's plaintext; answered with bytes, or with what `CloseBody` is to be asked for.

    Attributes:
        source: the plaintext, as those have opened it who drive the flow.
        cipher: for exactly this plaintext.
        claims: what the caller says about it, to be checked while it is encrypted.
    """

    source: Any = field(repr=False)
    cipher: ContentCipher = field(repr=False)
    claims: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Work:
    """Something that takes its time, and is not this layer's; answered with what it returns.

    Attributes:
        function: it.
        size: bytes that it works on; None where something else takes the time.
    """

    function: Callable[[], object] = field(repr=False)
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Unwrap:
    """A data key to be opened, of an object that has passed the gate; answered with the materials.

    Attributes:
        checked: the request, and the materials manager that it is for.
    """

    checked: Checked


@dataclass(frozen=True, slots=True)
class ReadBody:
    """A piece of a response's body; answered with ``size`` bytes, fewer only at the verified end.

    Attributes:
        body: as it stands in the response.
        size: bytes.
        has_tag: True if something stronger than a checksum covers the bytes.
    """

    body: Any = field(repr=False)
    size: int
    has_tag: bool = True


@dataclass(frozen=True, slots=True)
class CloseBody:
    """The end of a response's body; the answer is None.

    Attributes:
        body: as it stands in the response.
    """

    body: Any = field(repr=False)


class Gate(Protocol):
    """What one flow at a time can be in. Made by those who drive flows, of whatever they wait with."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Waits until no other flow is in a gate; the answer is None.

    Attributes:
        gate: the gate; to be left in any case.
    """

    gate: Gate = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leave:
    """Lets the next flow into a gate; the answer is None. Nothing is waited for.

    Attributes:
        gate: the gate.
    """

    gate: Gate = field(repr=False)


class Monitor(Protocol):
    """Guards a state that several flows change. Made by those who drive flows, of whatever they wait with."""

    def now(self) -> float:
        """Seconds on a clock that only goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Wait:
    """What a step answers that cannot be taken yet; it has changed nothing.

    Attributes:
        seconds: when to try it again, even if nothing has changed; None for only then.
    """

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a state, taken while no other flow takes one of it; answered with its result.

    One that answers `Wait` is taken again after another flow's step, or after that time. It never waits itself, so that
    a flow which is cancelled has taken a step or has not.

    Attributes:
        monitor: guards the state.
        function: takes the step.
    """

    monitor: Monitor = field(repr=False)
    function: Callable[[], object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TakeIn:
    """All of a caller's body, to be kept until it is encrypted and sent; answered with what it is kept in.

    Attributes:
        room: where it is kept.
        source: the plaintext, as those have opened it who drive the flow.
        observe: sees each piece of it, in order.
        check: called at the end; what it raises drops the bytes again.
    """

    room: Any = field(repr=False)
    source: Any = field(repr=False)
    observe: Callable[[memoryview], None] = field(repr=False)
    check: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deliver:
    """A body for the caller, made of a response's; answered with it. Nothing is read before the caller reads.

    Attributes:
        body: as it stands in the response.
        content: what the body's bytes are, and what of them is handed out.
        length: bytes of plaintext, or None where they are known at the end only.
        location: the object, for the text of errors.
        answer: the ``ResponseMetadata`` of S3's answer.
    """

    body: Any = field(repr=False)
    content: Content
    length: int | None
    location: str | None = None
    answer: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Together:
    """Several flows, carried out at the same time where that can be; answered with None when all have ended.

    Attributes:
        flows: none of them was started; they share nothing.
        at_once: how many at a time.
    """

    flows: Sequence[Flow[object]] = field(repr=False)
    at_once: int


class Engine(Protocol):
    """Moves the bytes of a transfer: many requests at a time, and in between what has to be done in order.

    Made by those who drive flows, of whatever they wait with; it decides nothing about the object.
    """

    def now(self) -> float:
        """Seconds on a clock that only goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Transfer:
    """All bytes of a transfer, moved by an engine; the answer is None.

    Attributes:
        engine: moves them.
        plan: what is to be moved.
    """

    engine: Engine = field(repr=False)
    plan: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToTheEnd:
    """A flow that undoes something, carried out to its end even where its driver is told to stop; answered as it ends.

    Attributes:
        flow: it was not started.
    """

    flow: Flow[object] = field(repr=False)


Effect: TypeAlias = (
    After
    | Call
    | Store
    | Unwrap
    | NewDataKey
    | Encrypt
    | ReadBody
    | CloseBody
    | Deliver
    | Enter
    | Hear
    | Leave
    | Step
    | TakeIn
    | Together
    | ToTheEnd
    | Transfer
    | Work
)
Flow: TypeAlias = Generator[Effect, Any, T]
