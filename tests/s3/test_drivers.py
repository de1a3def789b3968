"""Both drivers carry a flow out alike: the same effects in the same order, the same result, the same error."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from s3ec import AesKeyring, EncryptionClient
from s3ec.aio import driver as aio_driver
from s3ec.client.bodies.claims import take_claims
from s3ec.client.bodies.sources import open_source
from s3ec.client.calls import driver
from s3ec.client.calls.handlers import Heard
from s3ec.client.calls.verified_ranges import VerifiedTable
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart.sequential_upload import PART_ROOM, SentParts
from s3ec.client.multipart.sequential_upload import begin_upload as begin_managed
from s3ec.client.transfers.downloads import DownloadEngine
from s3ec.errors import S3ECError, SourceChangedError
from s3ec.s3 import flow, managed_download, managed_upload
from s3ec.s3.contents import Span
from s3ec.s3.copy_object import copy_object, parse_copy_source
from s3ec.s3.delete_object import delete_object, delete_objects
from s3ec.s3.flow import After, Effect, Flow, Together, ToTheEnd
from s3ec.s3.get_object import get_object
from s3ec.s3.head_object import head_object
from s3ec.s3.inspect_object import Seen, inspect_object
from s3ec.s3.managed_copy import look_at_source
from s3ec.s3.multipart.requests import create_upload
from s3ec.s3.objects import take_read_request
from s3ec.s3.open_object import InMemoryObject, open_object, read_into
from s3ec.s3.pinning import ReplacedError
from s3ec.s3.put_object import put_object

from support.flows import Shelf, client_error, written_down
from support.lying_s3 import Lies, LyingS3, lying_s3

PLACE = {"Bucket": "b", "Key": "k"}
PLAINTEXT = bytes(range(256)) * 600
Operation = Callable[[Wire, VerifiedTable], Flow[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[LyingS3]:
    """A server that lies, for all tests here."""
    with lying_s3() as running:
        yield running


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    """One for all clients: models are loaded once."""
    return boto3.Session()


@pytest.fixture
def client(server: LyingS3, session: boto3.Session) -> Iterator[Callable[..., EncryptionClient]]:
    """Makes clients of the server, which is empty and honest."""
    server.state.objects.clear()
    server.state.lies = Lies()
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> EncryptionClient:
            arguments = server.arguments(session=session, keyring=AesKeyring(bytes(32)), **options)
            return stack.enter_context(contextlib.closing(EncryptionClient(**arguments)))

        yield make


def get(**more: Any) -> Operation:
    """A flow of get_object."""
    return lambda wire, table: get_object(wire, table, {**PLACE, **more})


def head(**more: Any) -> Operation:
    """A flow of head_object."""
    return lambda wire, _: head_object(wire, {**PLACE, **more})


def put(*, stream: bool = False, **more: Any) -> Operation:
    """A flow of put_object."""

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        source = open_source(iter([b"text"]) if stream else b"text", None)
        return put_object(wire, {**PLACE, **more}, None, source, take_claims({}))

    return operation


def copy(**more: Any) -> Operation:
    """A flow of copy_object, whose handlers change nothing in its middle."""
    return lambda wire, _: copy_object(wire, {"Bucket": "b", "Key": "copy", "CopySource": "b/k", **more})


def inspect(suffix: str | None = None, **more: Any) -> Operation:
    """A flow of s3ec.inspect."""
    return lambda _, __: inspect_object({**PLACE, **more}, suffix)


def open_and_read(*spans: Span, replaced: bool = False, **more: Any) -> Operation:
    """The flows of s3ec.open: the object, and then spans of it."""

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        opened = yield from open_object(wire, take_read_request({**PLACE, **more}), wire.options.buffer_size)
        if isinstance(opened, InMemoryObject):
            return opened.length, b"".join(opened.plaintext)
        found = []
        for span in spans:
            if replaced:
                yield from flow.store("PutObject", {**PLACE, "Body": b"other"}, own=True)
            content = bytearray(span[1] - span[0] + 1)
            opened = yield from read_into(opened, span, memoryview(content))
            found.append(bytes(content))
        return opened.length, opened.total, found

    return operation


CONFIG = TransferConfig(multipart_threshold=1, multipart_chunksize=50_000, use_threads=False)


def download_it(*, special: bool = False, to_file: bool = True, **more: Any) -> Operation:
    """The flow of managed downloads, with the engine of boto3's client."""

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        engine, shelf, told, into = DownloadEngine(wire, CONFIG), Shelf(special=special), list[int](), io.BytesIO()
        deliver = partial(managed_download.to_file, wire, engine, shelf)
        if not to_file:
            deliver = partial(managed_download.to_object, wire, engine, into)
        etag: Any = None
        failed: Any = None
        try:
            etag = yield from managed_download.download(
                wire, engine, {**PLACE, **more}, deliver, told.append, plaintext_too=False
            )
        except (S3ECError, flow.RefusedError, ReplacedError) as error:
            failed = type(error), str(error)
        return etag and "another's", failed, shelf.done, shelf.content, into.getvalue(), sum(told)

    return operation


def upload_it(*, sent: bool = True) -> Operation:
    """The flow of managed uploads, with an engine that sends one part, or fails."""

    class Engine:
        now = staticmethod(time.monotonic)

        def move(self, parts: SentParts) -> None:
            part = parts.encrypt_next(b"text", bytearray(4 + PART_ROOM), last=True)
            if not sent:
                raise SourceChangedError("it is another now")
            parts.send(part)

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        options, creating = begin_managed(wire, {**PLACE})
        own = wire.with_options(options)
        yield from managed_upload.upload_in_parts(own, Engine(), creating, partial(SentParts, own), {})

    return operation


def look_at(**more: Any) -> Operation:
    """The flow that looks at the source of a managed copy."""

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        target = {"Bucket": "b", "Key": "copy", "CopySource": "b/k", **more}
        planned = yield from look_at_source(wire, parse_copy_source(target["CopySource"]), target)
        arguments = planned.arguments(CONFIG, None)
        return planned.length, planned.plaintext_length, sorted(planned.own(None)), sorted(arguments)

    return operation


def replacing(server: LyingS3) -> None:
    """A server whose object is replaced before its second GET."""
    made = EncryptionClient(**server.arguments(keyring=AesKeyring(bytes(32))))
    with contextlib.closing(made):
        made.put_object(Bucket="b", Key="later", Body=PLAINTEXT[::-1])
    asked = itertools.count(1)

    def on_get(_: int) -> None:
        if next(asked) == 2:
            server.state.objects["b/k"] = server.state.objects["b/later"]

    server.state.lies = Lies(on_get=on_get)


def begin_upload(**more: Any) -> Operation:
    """A flow of create_multipart_upload."""

    def operation(wire: Wire, _: VerifiedTable) -> Flow[Any]:
        upload, response = yield from create_upload(wire, {**PLACE, **more}, None)
        return upload.content_metadata.format, upload.location, sorted(response)

    return operation


def delete(**more: Any) -> Operation:
    """A flow of delete_object."""
    return lambda wire, _: delete_object(wire, {**PLACE, **more})


def delete_several(*keys: str) -> Operation:
    """A flow of delete_objects."""
    named = [{"Key": key} for key in keys]
    return lambda wire, _: delete_objects(wire, {"Bucket": "b", "Delete": {"Objects": named}})


def twice(operation: Operation) -> Operation:
    """A flow once more, with what the first has left in the table."""

    def both(wire: Wire, table: VerifiedTable) -> Flow[Any]:
        yield from operation(wire, table)
        return (yield from operation(wire, table))

    return both


def flipped(body: bytes) -> bytes:
    """Another last byte, which is the tag's."""
    return body[:-1] + bytes([body[-1] ^ 1])


def nothing(server: LyingS3) -> None:
    """An honest server."""


def told(**lies: Any) -> Callable[[LyingS3], None]:
    """A server that lies."""

    def lie(server: LyingS3) -> None:
        server.state.lies = Lies(**lies)

    return lie


CASES: dict[str, tuple[Operation, dict[str, Any], Callable[[LyingS3], None]]] = {
    "get": (get(), {}, nothing),
    "get with an instruction file": (get(), {"instruction_file_writes": True}, nothing),
    "get under a suffix that is not there": (get(InstructionFileSuffix=".other"), {}, nothing),
    "get of nothing": (get(Key="none"), {}, nothing),
    "get of a plaintext": (get(Key="plain"), {}, nothing),
    "get of a plaintext that is allowed": (get(Key="plain"), {"unencrypted_objects": "allow"}, nothing),
    "get of what is too short": (get(), {}, told(tamper=lambda body: body[:7])),
    "range": (get(Range="bytes=5-9"), {}, nothing),
    "range again": (twice(get(Range="bytes=-9")), {}, nothing),
    "range behind the end": (get(Range="bytes=999999-"), {}, nothing),
    "range of all": (get(Range="bytes=0-"), {}, nothing),
    "range that is not verified": (get(Range="bytes=5-9"), {"enable_unauthenticated_ranges": True}, nothing),
    "range that is too large": (get(Range="bytes=5-9"), {"verified_range_limit": 100}, nothing),
    "range of a plaintext": (get(Key="plain", Range="bytes=0-1"), {"unencrypted_objects": "allow"}, nothing),
    "range of a forgery": (get(Range="bytes=5-9"), {}, told(tamper=flipped)),
    "range that is another": (get(Range="bytes=5-9"), {}, told(wrong_range=16)),
    "range for which all comes": (get(Range="bytes=5-9"), {}, told(ignore_ranges=True)),
    "put": (put(), {}, nothing),
    "put of a stream": (put(stream=True), {}, nothing),
    "put with an instruction file": (put(Key="new"), {"instruction_file_writes": True}, nothing),
    "put over an instruction file": (put(), {"instruction_file_writes": True}, nothing),
    "put that is refused": (put(IfNoneMatch="*"), {}, nothing),
    "put with a file that is refused": (
        put(Key="plain", IfNoneMatch="*"),
        {"instruction_file_writes": True},
        nothing,
    ),
    "put with too much metadata": (put(Metadata={"a": "b" * 3000}), {}, nothing),
    "copy": (copy(), {}, nothing),
    "copy in place": (copy(Key="k", MetadataDirective="REPLACE", Metadata={"a": "b"}), {}, nothing),
    "copy with an instruction file": (copy(), {"instruction_file_writes": True}, nothing),
    "copy over a file": (copy(Key="plain"), {"instruction_file_writes": True}, nothing),
    "copy of nothing": (copy(CopySource="b/none"), {}, nothing),
    "copy of a plaintext": (copy(CopySource="b/plain"), {}, nothing),
    "copy of a plaintext that is allowed": (copy(CopySource="b/plain"), {"unencrypted_objects": "allow"}, nothing),
    "copy under a condition": (copy(CopySourceIfMatch='"another"'), {}, nothing),
    "delete": (delete(), {}, nothing),
    "delete with an instruction file": (delete(), {"instruction_file_writes": True}, nothing),
    "delete of a version": (delete(VersionId="v"), {"instruction_file_writes": True}, nothing),
    "delete of several": (delete_several("k", "plain", "none"), {"instruction_file_writes": True}, nothing),
    "delete of a file too": (delete_several("k", "k.instruction"), {"instruction_file_writes": True}, nothing),
    "delete without files": (delete_several("k"), {"instruction_file_reads": False}, nothing),
    "inspect": (inspect(), {}, nothing),
    "inspect with an instruction file": (inspect(), {"instruction_file_writes": True}, nothing),
    "inspect a file that is not there": (inspect(suffix=".other"), {}, nothing),
    "inspect a plaintext": (inspect(Key="plain"), {}, nothing),
    "create an upload": (begin_upload(), {}, nothing),
    "create an upload with a file": (begin_upload(Key="new"), {"instruction_file_writes": True}, nothing),
    "open": (open_and_read((5, 9), (70_000, 140_000)), {"buffer_size": 1000}, nothing),
    "open in memory": (open_and_read(), {}, nothing),
    "open a plaintext": (open_and_read(Key="plain"), {}, nothing),
    "open a plaintext that is allowed": (
        open_and_read((1, 2), Key="plain"),
        {"unencrypted_objects": "allow"},
        nothing,
    ),
    "open a forgery": (open_and_read(), {}, told(tamper=flipped)),
    "open a large forgery": (open_and_read(), {"buffer_size": 1000}, told(tamper=flipped)),
    "open what is replaced": (open_and_read((5, 9), replaced=True), {"buffer_size": 1000}, nothing),
    "open and read another range": (open_and_read((5, 9)), {"buffer_size": 1000}, told(wrong_range=16)),
    "download": (download_it(), {}, nothing),
    "download to a pipe": (download_it(special=True), {}, nothing),
    "download to an object": (download_it(to_file=False), {}, nothing),
    "download of a plaintext": (download_it(Key="plain"), {}, nothing),
    "download of a plaintext that is allowed": (
        download_it(Key="plain"),
        {"unencrypted_objects": "allow"},
        nothing,
    ),
    "download of a forgery": (download_it(), {}, told(tamper=flipped)),
    "download of nothing": (download_it(Key="none"), {}, nothing),
    "download of another range": (download_it(), {}, told(wrong_range=16)),
    "download of what is replaced": (download_it(), {}, replacing),
    "managed upload": (upload_it(), {}, nothing),
    "managed upload that fails": (upload_it(sent=False), {}, nothing),
    "managed copy": (look_at(), {}, nothing),
    "managed copy of nothing": (look_at(CopySource="b/none"), {}, nothing),
    "managed copy under a condition": (look_at(CopySourceIfMatch='"another"'), {}, nothing),
    "head": (head(), {}, nothing),
    "head of a range": (head(Range="bytes=5-9"), {}, nothing),
    "head of nothing": (head(Key="none"), {}, nothing),
}


def outcome(run: Callable[[], Any]) -> Any:
    """The result of a flow, its body read; or its error."""
    try:
        result = run()
    except (S3ECError, ClientError, BotoCoreError) as error:  # and none of the tests' own, which would be alike twice
        return type(error).__name__, str(error), type(error.__context__), type(error.__cause__)
    if isinstance(result, Seen):
        return written(result)
    if isinstance(result, dict):
        result = dict(result)
        with contextlib.suppress(KeyError):
            result["Body"] = result["Body"].read()
        # What is new with each object.
        result.pop("LastModified", None)
        result.pop("CopyObjectResult", None)
        result["ResponseMetadata"] = result["ResponseMetadata"].get("ClientSideEncryption")
    return result


def written(seen: Seen) -> Any:
    """What was seen of an object, but for its keys, which are new each time."""
    found = seen.content_metadata
    return found and found.format, seen.location, seen.names_v3, seen.problem


def by_boto(client: EncryptionClient, operation: Operation) -> tuple[list[str], Any]:
    """What a flow asks of boto3, and what becomes of it."""
    wire, asked = client._s3ec_wire, list[str]()

    def perform(wire: Wire, effect: Effect) -> object:
        asked.append(written_down(effect))
        if isinstance(effect, Together):
            return [driver.run(one, partial(perform, wire)) for one in effect.flows]
        if isinstance(effect, ToTheEnd):
            return driver.run(effect.flow, partial(perform, wire))
        if isinstance(effect, After):
            return driver.run(effect.flow, partial(perform, wire.after(cast(Heard, effect.heard))))
        return wire.perform(effect)

    return asked, outcome(lambda: driver.run(operation(wire, VerifiedTable()), partial(perform, wire)))


def by_loop(client: EncryptionClient, operation: Operation) -> tuple[list[str], Any]:
    """The same on an event loop, each effect off it."""
    wire, asked = client._s3ec_wire, list[str]()

    async def perform(wire: Wire, effect: Effect) -> object:
        asked.append(written_down(effect))
        if isinstance(effect, Together):
            return [await aio_driver.run(one, partial(perform, wire)) for one in effect.flows]
        if isinstance(effect, ToTheEnd):
            return await aio_driver.run(effect.flow, partial(perform, wire))
        if isinstance(effect, After):
            return await aio_driver.run(effect.flow, partial(perform, wire.after(cast(Heard, effect.heard))))
        return await asyncio.to_thread(wire.perform, effect)

    performing = partial(perform, wire)
    return asked, outcome(lambda: asyncio.run(aio_driver.run(operation(wire, VerifiedTable()), performing)))


@pytest.mark.parametrize("name", CASES)
def test_both_drivers_ask_for_the_same(server: LyingS3, client: Callable[..., EncryptionClient], name: str) -> None:
    """Whatever S3 answers."""
    operation, options, lie = CASES[name]
    plain = boto3.client("s3", **server.arguments())
    outcomes = []
    for drive in (by_boto, by_loop):
        server.state.objects.clear()
        server.state.lies = Lies()
        made = client(**options)
        made.put_object(**PLACE, Body=PLAINTEXT)
        plain.put_object(Bucket="b", Key="plain", Body=b"text")
        lie(server)
        outcomes.append(drive(made, operation))
    assert outcomes[0][0] == outcomes[1][0]
    assert _without_etags(outcomes[0][1]) == _without_etags(outcomes[1][1])


def _without_etags(found: Any) -> Any:
    return {name: value for name, value in found.items() if name != "ETag"} if isinstance(found, dict) else found


class TestRun:
    """What a driver does with errors."""

    @staticmethod
    def passing(*effects: Effect) -> Flow[list[object]]:
        """Yields effects, and gathers what comes of them."""
        found: list[object] = []
        for effect in effects:
            try:
                found.append((yield effect))
            except flow.RefusedError as refused:
                found.append(refused.code)
        return found

    @pytest.fixture(params=["boto", "loop"])
    def run(self, request: pytest.FixtureRequest) -> Callable[..., Any]:
        """Each driver."""
        if request.param == "boto":
            return driver.run

        def run(flow: Flow[Any], perform: Callable[[Effect], object]) -> Any:
            async def performing(effect: Effect) -> object:
                return perform(effect)

            return asyncio.run(aio_driver.run(flow, performing))

        return run

    def test_an_error_that_was_handled_is_in_no_later_one(self, run: Callable[..., Any]) -> None:
        """Not as its context, whose frames would be kept and shown."""

        def handled() -> Flow[None]:
            yield from self.passing(flow.Call("GetObject", {}))
            raise ValueError("later")

        def perform(_: Effect) -> object:
            raise client_error(404, "NoSuchKey")

        with pytest.raises(ValueError, match="later") as later:
            run(handled(), perform)
        assert later.value.__context__ is None

    def test_an_error_that_is_not_handled_is_the_library_s(self, run: Callable[..., Any]) -> None:
        """The very object, with nothing of ours about it."""
        error = client_error(403, "AccessDenied")

        def perform(_: Effect) -> object:
            raise error

        with pytest.raises(ClientError) as raised:
            run(flow.call("GetObject", {}), perform)
        assert raised.value is error
        assert error.__context__ is None


class TestCancellation:
    """A task that is cancelled at any effect closes what its flow has opened, however often it is cancelled."""

    @pytest.mark.parametrize("at", range(9))
    def test_at_every_effect(self, client: Callable[..., EncryptionClient], at: int) -> None:
        """Bodies are closed, and the gate is left."""
        made = client()
        made.put_object(**PLACE, Body=PLAINTEXT)
        wire, table = made._s3ec_wire, VerifiedTable()
        bodies: list[Any] = []
        asked: list[Effect] = []

        async def perform(effect: Effect) -> object:
            asked.append(effect)
            if len(asked) == at + 1:
                task.cancel()
            if isinstance(effect, (flow.CloseBody, flow.Leave)):
                task.cancel()
            await asyncio.sleep(0)
            answer = wire.perform(effect)
            if isinstance(effect, flow.Call):
                bodies.append(answer["Body"])  # type: ignore[index]
            return answer

        async def cancelled() -> None:
            nonlocal task
            task = asyncio.ensure_future(
                aio_driver.run(get_object(wire, table, {**PLACE, "Range": "bytes=5-9"}), perform)
            )
            with pytest.raises(asyncio.CancelledError):
                await task

        task: asyncio.Future[Any]
        asyncio.run(cancelled())
        closed = [effect.body for effect in asked if isinstance(effect, flow.CloseBody)]
        assert all(body in closed for body in bodies)
        assert not table._building
        assert made.get_object(**PLACE, Range="bytes=5-9")["Body"].read() == PLAINTEXT[5:10]
