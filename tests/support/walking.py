"""What an error reporter may see: the local variables of every frame with an error, and what hangs on them."""

from __future__ import annotations

import base64
import functools
import traceback
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Needles", "chain", "forms", "is_in", "leaks"]

_TESTS = str(Path(__file__).resolve().parents[1])
_MACHINERY = ("botocore.", "boto3.", "s3transfer.", "urllib3.", "http.")
_START = 32
_STEP = _START // 2  # whatever is as long as a start has a piece of this length at one of the places that are looked at
_LITTLE, _FEW = 4096, 8
_LEAVES = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType, int, float)


def forms(secret: bytes) -> list[bytes]:
    """The ways in which a key may be written down."""
    shown = without_escapes(repr(secret)[2:-1].encode())
    return [secret, shown, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret).rstrip(b"=")]


def without_escapes(text: bytes) -> bytes:
    """Without any backslash: how many a repr of a repr has, and before which quote, depends on what is around."""
    return text.replace(b"\\", b"")


class Needles:
    """Secrets, to be looked for in all their forms: in much data as quickly for thousands of them as for ten."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Take the secrets."""
        written = {form[:_START] for secret in secrets for form in forms(secret)}
        self._starts = {form for form in written if len(form) == _START}
        self._short = written - self._starts
        self._known: dict[tuple[int, int], bool] = {}

    @functools.cached_property
    def _pieces(self) -> set[bytes]:
        return {start[place : place + _STEP] for start in self._starts for place in range(_STEP + 1)}

    def are_in(self, data: bytes) -> bool:
        """True if one of them begins in some bytes."""
        if len(data) <= _LITTLE:
            return self._look(data)
        # The same body is in many frames, and in many errors of one test.
        known = len(data), hash(data)
        if known not in self._known:
            self._known[known] = self._look(data)
        return self._known[known]

    def _look(self, data: bytes) -> bool:
        if any(form in data for form in self._short):
            return True
        if len(self._starts) <= _FEW:
            return any(start in data for start in self._starts)
        return any(
            data[place : place + _STEP] in self._pieces and self._begins_around(data, place)
            for place in range(0, len(data), _STEP)
        )

    def _begins_around(self, data: bytes, place: int) -> bool:
        return any(data[at : at + _START] in self._starts for at in range(max(place - _STEP, 0), place + 1))


def is_in(needles: Needles, data: bytes) -> bool:
    """True if a secret stands in some bytes, as it is or as a repr shows it."""
    return needles.are_in(data) or (b"\\" in data and needles.are_in(without_escapes(data)))


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error with all that it was raised from, and in place of."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]


def leaks(error: BaseException, secrets: Iterable[bytes] | Needles) -> list[str]:
    """Where in the frames of an error one of the secrets stands; frames of tests are their own affair."""
    needles = secrets if isinstance(secrets, Needles) else Needles(secrets)
    found = []
    for one in chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename.startswith(_TESTS):
                continue
            if any(is_in(needles, text.encode("utf-8", "replace")) for text in _shown(frame)):
                found.append(f"{frame.f_code.co_name} shows one")
            # The module copy holds what its caller, who has it anyway, gave it to be copied.
            if frame.f_globals.get("__name__") != "copy":
                # A dict of them: Python 3.13 gives a view, whose entries are no attributes of it.
                found += [f"{frame.f_code.co_name}: {path}" for path in _walk(dict(frame.f_locals), needles)]
        if is_in(needles, repr(one.args).encode()):
            found.append(f"args of {type(one).__name__}")
    return found


def _shown(frame: types.FrameType) -> Iterable[str]:
    """The variables of a frame as an error reporter writes them; bytes alone are found as what they are."""
    shown = {name: value for name, value in frame.f_locals.items() if not isinstance(value, (bytes, bytearray))}
    code = frame.f_code
    return (
        traceback.FrameSummary(code.co_filename, 0, code.co_name, lookup_line=False, locals=shown).locals or {}
    ).values()


def _walk(start: Any, needles: Needles) -> Iterator[str]:
    """Go through containers, attributes and slots, as far as they lead."""
    waiting: list[tuple[str, Any]] = [("", start)]
    seen = set[int]()
    keep = []
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _LEAVES) or _is_others(thing):
            continue
        seen.add(id(thing))
        keep.append(thing)  # so that no other object gets its id
        if isinstance(thing, memoryview) and thing.obj is None:
            # Memory of a native library, which may be somebody else's since: what stands there says nothing.
            continue
        if isinstance(thing, (str, bytes, bytearray, memoryview)):
            data = thing.encode("utf-8", "surrogatepass") if isinstance(thing, str) else bytes(thing)
            if is_in(needles, data):
                yield path
            continue
        waiting += [(f"{path}.{name}", value) for name, value in _parts(thing)]


def _is_others(thing: Any) -> bool:
    """Objects of tests, and those of boto3's own machinery that hold models and connections, not what passes by."""
    module = type(thing).__module__
    if module.startswith(_MACHINERY):
        return not module.startswith("botocore.awsrequest") and "_s3ec_wire" not in getattr(thing, "__dict__", {})
    # The oldest cryptography keeps a key as an attribute of its own objects, which their repr does not show.
    return module.partition(".")[0] in ("tests", "support", "_pytest", "pytest", "logging", "cryptography")


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        with_keys = list(thing.items())
        yield from ((f"[{name!r}]"[:60], value) for name, value in with_keys)
        yield from (("[key]", name) for name, _ in with_keys)
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((f"[{number}]", value) for number, value in enumerate(list(thing)))
    elif isinstance(thing, functools.partial):
        yield from (("partial", value) for value in (thing.func, thing.args, thing.keywords))
    elif isinstance(thing, types.MethodType):
        yield "__self__", thing.__self__
    yield from list(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                name = (
                    f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
                )
                if (value := getattr(thing, name, None)) is not None:
                    yield name, value
