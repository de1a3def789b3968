"""Flows without a network: answered by hand, or written down as they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from s3ec import CommitmentPolicy
from s3ec.materials import MaterialsManager
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
    RefusedError,
    Step,
    Store,
    TakeIn,
    Together,
    ToTheEnd,
    Transfer,
    Unwrap,
    Work,
)
from s3ec.s3.surroundings import ReadRules, WriteRules


class Surroundings:
    """What a flow knows of a client that there is none of.

    Attributes:
        reading: the default options for reads.
        writing: the default options for writes.
    """

    def __init__(self, manager: MaterialsManager, **options: Any) -> None:
        policy = options.get("commitment_policy", CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
        self.reading = ReadRules(
            materials_manager=manager,
            commitment_policy=policy,
            enable_legacy_unauthenticated_modes=options.get("enable_legacy_unauthenticated_modes", False),
            enable_delayed_authentication=options.get("enable_delayed_authentication", False),
            enable_unauthenticated_ranges=options.get("enable_unauthenticated_ranges", False),
            verified_range_limit=options.get("verified_range_limit", 2**30),
            unencrypted_objects=options.get("unencrypted_objects", "refuse"),
            instruction_file_reads=options.get("instruction_file_reads", True),
            bind_object=options.get("bind_object", False),
        )
        self.writing = WriteRules(
            materials_manager=manager,
            commitment_policy=policy,
            algorithm_suite=None,
            instruction_file_writes=options.get("instruction_file_writes", False),
            bind_object=options.get("bind_object", False),
        )

    def members(self, operation_name: str) -> tuple[str, ...]:
        """The parameters that the tests use."""
        return ("Bucket", "Key", "VersionId", "IfMatch", "Range", "RequestPayer", "ExpectedBucketOwner")

    def companion(self, operation_name: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Bucket, key, and who pays."""
        named = {name: parameters[name] for name in ("Bucket", "Key", "RequestPayer") if name in parameters}
        return {**named, **more}

    def source_companion(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def validate(self, operation_name: str, parameters: Mapping[str, Any]) -> None:
        """Everything is right."""

    def refusal(self, operation_name: str, status: int, code: str, message: str, **details: str) -> Exception:
        """An error that S3 would answer with."""
        return client_error(status, code, operation_name)


def client_error(status: int, code: str, operation_name: str = "GetObject") -> ClientError:
    """An error as botocore makes it of S3's answer."""
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation_name)


def refused(status: int, code: str) -> RefusedError:
    """The same, as a driver throws it into a flow."""
    error = client_error(status, code)
    return RefusedError(error, error.response)


class ByHand:
    """A flow whose effects a test answers.

    Attributes:
        asked: the effect that waits for an answer; None at the end.
        result: what the flow returned.
    """

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self.asked: Effect | None = None
        self.result: Any = None
        self._go_on(lambda: next(flow))

    def answer(self, value: object = None) -> Effect | None:
        """Answer, and return what is asked next."""
        return self._go_on(lambda: self._flow.send(value))

    def fail(self, error: BaseException) -> Effect | None:
        """Throw an error in, and return what is asked next."""
        return self._go_on(lambda: self._flow.throw(error))

    def _go_on(self, step: Callable[[], Effect]) -> Effect | None:
        self.asked = None
        try:
            self.asked = step()
        except StopIteration as end:
            self.result = end.value
        return self.asked


class Shelf:
    """The file that a download goes to, in memory.

    Attributes:
        done: what was done with it.
        content: of the file under its name, or of what is special; None for none.
    """

    def __init__(self, *, special: bool = False) -> None:
        self.done: list[str] = []
        self.content: bytes | None = None
        self._special = special
        self._file = bytearray()

    def is_special(self) -> bool:
        """As it was made."""
        return self._special

    def open_special(self) -> Any:
        """What is written may be seen at once."""
        self.done.append("open")
        self._file.clear()
        return self

    def create(self) -> Any:
        """A file that nobody sees."""
        self.done.append("create")
        self._file.clear()
        return self

    def write(self, piece: bytes | memoryview) -> int:
        """To the file that was opened or created last."""
        self._file += piece
        return len(piece)

    def close(self) -> None:
        """End the file."""
        self.done.append("close")
        if self._special:
            self.content = bytes(self._file)

    def give_name(self) -> None:
        """Now it is seen."""
        self.done.append("give name")
        self.content = bytes(self._file)

    def discard(self) -> None:
        """It never was."""
        self.done.append("discard")


_SHOWN = ("Key", "Range", "IfMatch", "PartNumber", "VersionId", "CopySource", "CopySourceIfMatch", "Metadata")


def written_down(effect: Effect) -> str:
    """An effect as text that is the same in each run, of keys that are new each time."""
    if isinstance(effect, (Call, Hear, Store)):
        shown = {name: effect.parameters[name] for name in _SHOWN if name in effect.parameters}
        shown.update({name: "of the object" for name in shown if name.endswith("IfMatch")})
        if "Metadata" in shown:
            shown["Metadata"] = sorted(shown["Metadata"])
        return f"{type(effect).__name__} {effect.operation} {shown}"
    describe = _DESCRIBED.get(type(effect))
    assert describe is not None or isinstance(effect, (After, CloseBody, Enter, Leave, ToTheEnd))
    return " ".join([type(effect).__name__, *map(str, describe(effect) if describe else ())])


_DESCRIBED: dict[type, Callable[[Any], tuple[object, ...]]] = {
    Unwrap: lambda effect: (effect.checked.content_metadata.format.value,),
    ReadBody: lambda effect: (effect.size, effect.has_tag),
    Deliver: lambda effect: (type(effect.content).__name__, effect.length, getattr(effect.content, "span", None)),
    NewDataKey: lambda effect: (effect.request,),
    Encrypt: lambda effect: (effect.source.length,),
    Step: lambda effect: (getattr(effect.function, "__name__", ""),),
    TakeIn: lambda effect: (effect.source.length,),
    Together: lambda effect: (len(effect.flows), effect.at_once),
    Transfer: lambda effect: (type(effect.plan).__name__,),
    Work: lambda effect: (effect.size,),
}
