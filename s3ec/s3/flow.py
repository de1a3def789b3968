"""Flows and their effects: what a rule needs of the world is a value that it yields.

A flow is a generator. It yields an effect, is sent the answer, or gets the error thrown in; what it returns is the
result. The helpers here give each answer its type, and are used with ``yield from``::

    def size_of(bucket: str, key: str) -> Flow[int]:
        response = yield from call("HeadObject", {"Bucket": bucket, "Key": key})
        return length_of(response)

A flow is driven by `s3ec.client.calls.driver.run` or `s3ec.aio.driver.run`, and by a test that answers by hand. A
driver throws every error of an effect into the flow, those that end a program among them, and never closes a flow: what
stands in a ``finally`` may yield.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from s3ec.crypto.content import ContentCipher
from s3ec.decryption import Checked
from s3ec.errors import KeyUnwrapError
from s3ec.materials import DecryptionMaterials, EncryptionMaterials, EncryptionMaterialsRequest, MaterialsManager
from s3ec.s3.effects import (
    After,
    Call,
    CloseBody,
    Deliver,
    Effect,
    Encrypt,
    Engine,
    Enter,
    FailedCallError,
    Flow,
    Gate,
    Hear,
    HeardRequest,
    Leave,
    Monitor,
    NewDataKey,
    ReadBody,
    RefusedError,
    Step,
    Store,
    TakeIn,
    Together,
    ToTheEnd,
    Transfer,
    UnreachableError,
    Unwrap,
    Wait,
    Work,
)
from s3ec.secrets import Secret

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
    "after",
    "call",
    "close_body",
    "encrypt",
    "enter",
    "hear",
    "leave",
    "new_data_key",
    "open_cipher",
    "read_body",
    "step",
    "store",
    "take_in",
    "to_the_end",
    "together",
    "transfer",
    "work",
]

T = TypeVar("T")
Response: TypeAlias = "dict[str, Any]"


def call(operation: str, parameters: Mapping[str, Any]) -> Flow[Response]:
    """Make a request to S3.

    Raises:
        RefusedError: S3 answered with an error.
        UnreachableError: it did not answer.
    """
    response: Response = yield Call(operation, parameters)
    return response


def store(operation: str, parameters: Mapping[str, Any], *, own: bool) -> Flow[Response]:
    """Make a request that stores what was encrypted here, or belongs to it.

    Args:
        operation: as botocore spells it.
        parameters: of the operation.
        own: True for a request of our own, False for the caller's.

    Raises:
        UnsupportedOperationError: a handler changed the request on its way; nothing was sent.
        RefusedError: S3 answered with an error.
        UnreachableError: it did not answer.
    """
    response: Response = yield Store(operation, parameters, own)
    return response


def hear(operation: str, parameters: dict[str, Any], *, presigned: bool = False) -> Flow[HeardRequest]:
    """Ask the caller's handlers what they make of a request."""
    heard: HeardRequest = yield Hear(operation, parameters, presigned)
    return heard


def after(heard: HeardRequest, flow: Flow[T]) -> Flow[T]:
    """Carry out what is left of a call whose request the caller's handlers have seen.

    Raises:
        RefusedError, UnreachableError: of a call that failed.
        whatever else leaves the flow.
    """
    result: T = yield After(heard, flow)
    return result


def new_data_key(manager: MaterialsManager, request: EncryptionMaterialsRequest) -> Flow[Secret[EncryptionMaterials]]:
    """Have a data key made.

    Raises:
        KeyringError: it could not be.
    """
    materials: Secret[EncryptionMaterials] = yield NewDataKey(manager, request)
    return materials


def encrypt(source: object, cipher: ContentCipher, claims: object) -> Flow[Any]:
    """Make a body of ciphertext: bytes, or an object that is to be closed.

    Raises:
        SourceChangedError: a small body is not what the caller says about it.
    """
    body: Any = yield Encrypt(source, cipher, claims)
    return body


def work(function: Callable[[], T], size: int | None = None) -> Flow[T]:
    """Do something that takes its time; with a number of bytes, as much as these take."""
    result: T = yield Work(function, size)
    return result


def open_cipher(checked: Checked) -> Flow[ContentCipher]:
    """Have a data key opened, and return the cipher of the content.

    Raises:
        KeyringError, CommitmentMismatchError: as `s3ec.decryption.Checked.open`.
    """
    materials: Secret[DecryptionMaterials] | None = None
    try:
        materials = yield Unwrap(checked)
    except KeyUnwrapError as error:
        checked.pass_on(error)
    return checked.cipher(None if materials is None else materials.reveal())


def read_body(body: Any, size: int, *, has_tag: bool = True) -> Flow[bytes]:
    """Read ``size`` bytes of a body, fewer only at its verified end.

    Raises:
        UnreachableError: the connection was cut.
    """
    data: bytes = yield ReadBody(body, size, has_tag)
    return data


def close_body(body: Any) -> Flow[None]:
    """End a response's body, read or not."""
    yield CloseBody(body)


def enter(gate: Gate) -> Flow[None]:
    """Wait until no other flow is in a gate."""
    yield Enter(gate)


def leave(gate: Gate) -> Flow[None]:
    """Let the next flow into a gate."""
    yield Leave(gate)


def step(monitor: Monitor, function: Callable[[], T | Wait]) -> Flow[T]:
    """Take a step of a state, as soon as it can be taken.

    Raises:
        whatever the step raises, which has changed nothing then.
    """
    result: T = yield Step(monitor, function)
    return result


def take_in(
    room: object, source: object, *, observe: Callable[[memoryview], None], check: Callable[[], None]
) -> Flow[Any]:
    """Read all of a caller's body, and keep it.

    Raises:
        SourceChangedError: the body gave fewer bytes, or more, than it has.
        whatever ``observe`` and ``check`` raise; nothing is kept then.
    """
    content: Any = yield TakeIn(room, source, observe, check)
    return content


def together(flows: Sequence[Flow[object]], *, at_once: int) -> Flow[None]:
    """Carry out several flows, some at a time.

    Raises:
        whatever leaves the first flow that any leaves.
    """
    yield Together(flows, at_once)


def transfer(engine: Engine, plan: object) -> Flow[None]:
    """Have all bytes of a transfer moved.

    Raises:
        whatever ends the transfer; none of it is on its way then.
    """
    yield Transfer(engine, plan)


def to_the_end(flow: Flow[T]) -> Flow[T]:
    """Carry out what undoes something, even where the driver is told to stop meanwhile."""
    result: T = yield ToTheEnd(flow)
    return result
