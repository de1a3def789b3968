"""Managed downloads: what is looked at, when anything may be handed out, and when a file may have its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from s3ec.s3.answers import etag_of
from s3ec.s3.download import Downloadable, look_up, pass_gate
from s3ec.s3.flow import Engine, Flow, transfer, work
from s3ec.s3.objects import take_read_request
from s3ec.s3.pinning import ReplacedError
from s3ec.s3.surroundings import Surroundings
from s3ec.s3.transfers import Progress

__all__ = ["Download", "Target", "download", "to_file", "to_object"]


class Target(Protocol):
    """The file that a download goes to. Each method takes its time, as disks do."""

    def is_special(self) -> bool:
        """True for what is no file, such as a pipe or a device."""
        ...

    def open_special(self) -> IO[bytes]:
        """Open it to be written; every byte leaves at once."""
        ...

    def create(self) -> IO[bytes]:
        """Create a file of another name beside it, that only its owner may open."""
        ...

    def give_name(self) -> None:
        """Give the created file the name of the target, and the mode of other files."""
        ...

    def discard(self) -> None:
        """Remove the created file, if it is still there."""
        ...


@dataclass(slots=True)
class Download:
    """One object on its way down, for an engine to move.

    Attributes:
        wanted: the object, which has passed the gate.
        progress: is called with the number of bytes that arrived.
        answered_in: seconds that S3 took to answer the HEAD.
        into: what the plaintext is written to: a file that was opened, or the caller's object.
        delayed: True if plaintext is written before all of it has verified.
        is_file: True for a file that was opened here.
        is_private: True if nobody can see what is written before it has its name.
        has_begun: set by the engine before it writes anything.
    """

    wanted: Downloadable
    progress: Progress = field(repr=False)
    answered_in: float
    into: Any = field(default=None, repr=False)
    delayed: bool = False
    is_file: bool = False
    is_private: bool = False
    has_begun: bool = False


def download(
    s3: Surroundings,
    engine: Engine,
    parameters: Mapping[str, Any],
    deliver: Callable[[Download], Flow[None]],
    callback: Callable[[int], object] | None,
    *,
    plaintext_too: bool = True,
) -> Flow[str | None]:
    """Download an object, and begin again once where it was replaced meanwhile and nothing was handed out.

    Args:
        s3: the client.
        engine: moves the bytes.
        parameters: bucket, key and the caller's extra arguments.
        deliver: has the object written to where it goes; see `to_file` and `to_object`.
        callback: hears of progress; or None.
        plaintext_too: False leaves an object that is not encrypted, where the client allows such, to the caller.

    Returns:
        None when it is delivered; the ETag of an object that is left to the caller, of which nothing was fetched.

    Raises:
        ReplacedError: it was replaced again, or after something was handed out.
        MetadataError, PolicyError, KeyringError, SecurityError: before any content is read.
        AuthenticationError: the content does not verify.
        RefusedError, UnreachableError: as from a plain client, which heads the object first too.
    """
    for is_last in (False, True):
        request = take_read_request(dict(parameters))
        asked = engine.now()
        head = yield from look_up(request)
        answered_in = engine.now() - asked
        wanted = yield from pass_gate(s3, request, head)
        if wanted.cipher is None and not plaintext_too:
            return etag_of(head)
        moving = Download(wanted, Progress(callback, wanted.plaintext_length), answered_in)
        try:
            yield from deliver(moving)
        except ReplacedError:
            if is_last or (moving.has_begun and not moving.is_private):
                raise
        else:
            return None
        moving.progress.take_back()
    raise AssertionError("unreachable: the last round returns or raises")  # pragma: no cover - for the type checker


def to_object(s3: Surroundings, engine: Engine, into: object, moving: Download) -> Flow[None]:
    """Write to an object of the caller's: nothing before it is verified, unless the client delays authentication."""
    moving.into, moving.delayed = into, s3.reading.enable_delayed_authentication
    yield from transfer(engine, moving)


def to_file(s3: Surroundings, engine: Engine, target: Target, moving: Download) -> Flow[None]:
    """Write to a file of another name, which gets that of the target once the tag has verified.

    That file holds plaintext that is not verified yet, and only its owner may open it from its first moment on; it is
    removed on every failure. Special files (a pipe, a device) get verified plaintext only.
    """
    moving.is_file = True
    if (yield from work(target.is_special)):
        special = yield from work(target.open_special)
        try:
            yield from to_object(s3, engine, special, moving)
        finally:
            yield from work(special.close)
        return
    # Done at once, as all that has no bytes to work on: a file that is made while a task ends would stay.
    file = yield from work(target.create, 0)
    named = False
    try:
        try:
            moving.into, moving.delayed, moving.is_private = file, True, True
            yield from transfer(engine, moving)
        finally:
            yield from work(file.close, 0)
        yield from work(target.give_name)
        named = True
    finally:
        if not named:
            # Its name may have been given all the same, to a task that was cancelled meanwhile.
            yield from work(target.discard, 0)
