"""What the synchronous client promises, this one promises too; and what only tasks can break."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, EndpointConnectionError

import s3ec.aio
from s3ec import AesKeyring, CachingMaterialsManager, EncryptionClient
from s3ec.aio.spool import Spool
from s3ec.aio.work import off_loop
from s3ec.client.calls.operations import OPERATIONS, Treatment
from s3ec.client.calls.retries import end_retries, own_error_in
from s3ec.errors import (
    ConfigurationError,
    KeyringError,
    SourceChangedError,
    UnsupportedOperationError,
)

from support.loops import on_loop
from support.lying_s3 import LyingS3

MiB = 1024 * 1024
PLACE = {"Bucket": "b", "Key": "k"}


class TestBirth:
    """Clients are born encrypting, and no others beside them."""

    @on_loop
    async def test_the_hook_of_one_client_is_no_other_tasks(
        self, server: LyingS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While one client waits for its credentials, another task makes a plain one of the same session."""
        from aiobotocore.session import AioSession

        session = AioSession()
        waiting, others_done = asyncio.Event(), asyncio.Event()
        first = True

        async def make_class(self: Any, *args: Any, **keywords: Any) -> Any:
            nonlocal first
            if first:
                first = False
                waiting.set()
                await others_done.wait()
            return await plain_make(self, *args, **keywords)

        from aiobotocore.client import AioClientCreator

        plain_make = AioClientCreator._create_client_class
        monkeypatch.setattr(AioClientCreator, "_create_client_class", make_class)
        arguments = server.arguments()

        async def encrypting() -> bool:
            opening = s3ec.aio.EncryptionClient(session=session, keyring=AesKeyring(bytes(32)), **arguments)
            async with opening as s3:
                return s3ec.aio.is_encrypting(s3)

        making = asyncio.ensure_future(encrypting())
        await waiting.wait()
        async with session.create_client("s3", **arguments) as plain:
            assert not s3ec.aio.is_encrypting(plain)
            assert not s3ec.is_encrypting(plain)
        others_done.set()
        assert await making
        async with session.create_client("s3", **arguments) as plain:
            assert not s3ec.aio.is_encrypting(plain)

    @on_loop
    async def test_a_session_that_makes_others(self, server: LyingS3) -> None:
        from aiobotocore.session import AioSession

        class Other(AioSession):  # type: ignore[misc]  # aiobotocore has no types
            def create_client(self, *args: Any, **keywords: Any) -> Any:
                return AioSession().create_client(*args, **keywords)

        with pytest.raises(ConfigurationError, match="does not encrypt"):
            async with s3ec.aio.EncryptionClient(session=Other(), keyring=AesKeyring(bytes(32)), **server.arguments()):
                pass

    @on_loop
    async def test_one_opening_is_one_client(self, connect: Callable[..., Any]) -> None:
        opening = connect()
        async with opening as s3:
            assert s3ec.is_encrypting(s3)
            assert "AesKeyring" in repr(s3)
        with pytest.raises(RuntimeError):
            await opening.__aenter__()
        with pytest.raises(AttributeError, match="async with"):
            opening.put_object  # noqa: B018 - asking for it is the mistake

    def test_what_help_says(self) -> None:
        import inspect

        names = inspect.signature(s3ec.aio.EncryptionClient).parameters
        assert {"keyring", "kms_key_id", "session", "region_name", "config", "buffer_size"} <= names.keys()
        assert "spool_directory" in (s3ec.aio.EncryptionClient.__doc__ or "")
        with pytest.raises(ConfigurationError, match="kms_key_id"):
            s3ec.aio.EncryptionClient(keyring=AesKeyring(bytes(32)), kms_key_id="alias/x")

    def test_sessions_say_what_they_are(self) -> None:
        session = s3ec.aio.Session(keyring=AesKeyring(bytes(32)))
        assert s3ec.is_encrypting(session)
        with pytest.raises(ConfigurationError, match="other options"):
            s3ec.aio.install(session, keyring=AesKeyring(bytes(31) + b"x"))
        s3ec.aio.uninstall(session)
        assert "not encrypting" in repr(session)
        for door in (s3ec.install, lambda s, **_: EncryptionClient(session=s, keyring=AesKeyring(bytes(32)))):
            with pytest.raises(ConfigurationError, match=r"s3ec\.aio"):
                door(session, keyring=AesKeyring(bytes(32)))


class TestOperations:
    """Encrypted, passed or refused; nothing else."""

    @on_loop
    async def test_each_is_in_the_table(self, connect: Callable[..., Any], server: LyingS3) -> None:
        async with connect() as s3:
            for name in s3.meta.service_model.operation_names:
                treated = OPERATIONS.get(name, Treatment.REFUSED)
                if treated is Treatment.REFUSED:
                    with pytest.raises(UnsupportedOperationError):
                        await s3._make_api_call(name, {**PLACE})
                assert (name in s3._s3ec_handlers) <= (treated is Treatment.ENCRYPTED)
            with pytest.raises(UnsupportedOperationError):
                await s3._make_api_call("PutObjectOfTheFuture", {**PLACE, "Body": b"secret"})
        assert not server.state.attempts

    @on_loop
    async def test_presigned_requests_are_awaited(self, connect: Callable[..., Any]) -> None:
        async with connect() as s3:
            url = await s3.generate_presigned_url("get_object", Params={**PLACE, "EncryptionContext": {"a": "b"}})
            assert url.startswith("http")
            assert "EncryptionContext" not in url
            for method in ("put_object", "upload_part", "create_multipart_upload"):
                with pytest.raises(UnsupportedOperationError):
                    await s3.generate_presigned_url(method, Params=PLACE)
            with pytest.raises(UnsupportedOperationError):
                await s3.generate_presigned_url("get_object", Params=PLACE, HttpMethod="PUT")
            with pytest.raises(UnsupportedOperationError):
                await s3.generate_presigned_post("b", "k")
        async with connect(presigned_uploads="allow") as s3:
            assert (await s3.generate_presigned_post("b", "k"))["url"]
            assert await s3.generate_presigned_url("put_object", Params=PLACE)

    @pytest.mark.parametrize("options", [{}, {"instruction_file_writes": True}])
    @on_loop
    async def test_both_clients_ask_s3_for_the_same(
        self, options: dict[str, Any], connect: Callable[..., Any], server: LyingS3
    ) -> None:
        """Request by request, and with the same answers and errors."""
        calls: list[tuple[str, dict[str, Any]]] = [
            ("put_object", {**PLACE, "Body": b"content" * 20_000, "Metadata": {"a": "b"}}),
            ("head_object", PLACE),
            ("get_object", PLACE),
            ("get_object", {**PLACE, "Range": "bytes=5-70000"}),
            ("get_object", {**PLACE, "Range": "bytes=900000-"}),
            ("copy_object", {"Bucket": "b", "Key": "copy", "CopySource": "b/k"}),
            (
                "copy_object",
                {
                    "Bucket": "b",
                    "Key": "copy",
                    "CopySource": {"Bucket": "b", "Key": "k"},
                    "MetadataDirective": "REPLACE",
                    "Metadata": {"c": "d"},
                },
            ),
            ("get_object", {"Bucket": "b", "Key": "copy"}),
            ("copy_object", {"Bucket": "b", "Key": "copy", "CopySource": "b/missing"}),
            ("put_object", {**PLACE, "Body": b"x", "Metadata": {"x-amz-key-v2": "forged"}}),
            ("delete_object", {"Bucket": "b", "Key": "copy"}),
            ("get_object", {"Bucket": "b", "Key": "copy"}),
            ("delete_objects", {"Bucket": "b", "Delete": {"Objects": [{"Key": "k"}, {"Key": "other"}]}}),
        ]
        keyring = AesKeyring(bytes(32))

        def told(answer: Any) -> Any:
            if isinstance(answer, Exception):
                return type(answer).__name__, str(answer)
            kept = {name: value for name, value in answer.items() if name not in ("ETag", "LastModified")}
            kept["ResponseMetadata"] = kept["ResponseMetadata"].get("ClientSideEncryption")
            return {name: value for name, value in kept.items() if not name.startswith(("Copy", "Checksum"))}

        sync = EncryptionClient(**server.arguments(keyring=keyring, **options))
        theirs = []
        for name, parameters in calls:
            try:
                answer = getattr(sync, name)(**parameters)
                if "Body" in answer:
                    answer["Body"] = answer["Body"].read()
            except Exception as error:  # noqa: BLE001 - each is compared
                answer = error
            theirs.append(told(answer))
        asked = sorted(server.state.requests, key=repr)
        sync.close()
        server.state.objects.clear()
        server.state.requests.clear()
        ours = []
        async with connect(keyring=keyring, **options) as s3:
            for name, parameters in calls:
                try:
                    answer = await getattr(s3, name)(**parameters)
                    if "Body" in answer:
                        answer["Body"] = await answer["Body"].read()
                except Exception as error:  # noqa: BLE001 - each is compared
                    answer = error
                ours.append(told(answer))
        assert ours == theirs
        assert sorted(server.state.requests, key=repr) == asked


class TestHandlers:
    """They see and change the plaintext request, and nothing after it."""

    @on_loop
    async def test_of_either_kind_they_change_what_is_encrypted(
        self, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        seen: list[Any] = []

        async def change(params: dict[str, Any], **_: Any) -> None:
            await asyncio.sleep(0)
            params["Body"] = b"changed"

        def add(params: dict[str, Any], **_: Any) -> None:
            params.setdefault("Metadata", {})["added"] = "yes"

        async def answered(parsed: dict[str, Any], **_: Any) -> None:
            seen.append(await parsed["Body"].read())

        async with connect() as s3:
            s3.meta.events.register("provide-client-params.s3.PutObject", change)
            s3.meta.events.register("before-parameter-build.s3.PutObject", add)
            await s3.put_object(**PLACE, Body=b"given")
            s3.meta.events.register("after-call.s3.GetObject", answered)
            answer = await s3.get_object(**PLACE)
            assert seen == [b"changed"]
            assert answer["Metadata"] == {"added": "yes"}

    @pytest.mark.parametrize("event", ["provide-client-params", "before-parameter-build"])
    @pytest.mark.parametrize("waits", [False, True], ids=["sync", "async"])
    @on_loop
    async def test_of_requests_that_are_more_than_one_call(
        self, event: str, waits: bool, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        """A managed upload in parts, a part that is copied, and an upload that is presigned."""
        presigned: list[bool] = []

        def change(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
            presigned.append(context.get("is_presign_request", False))
            if model.name == "UploadPartCopy":
                params["CopySource"] = {"Bucket": "b", "Key": "other"}
            else:
                params.setdefault("Metadata", {})["added"] = model.name

        async def change_later(**keywords: Any) -> None:
            await asyncio.sleep(0)
            change(**keywords)

        async with connect() as s3:
            await s3.put_object(Bucket="b", Key="other", Body=b"of the other")
            for operation in ("CreateMultipartUpload", "PutObject", "UploadPartCopy"):
                s3.meta.events.register(f"{event}.s3.{operation}", change_later if waits else change)

            config = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB)
            await s3.upload_fileobj(io.BytesIO(bytes(6 * MiB)), "b", "managed", Config=config)
            answer = await s3.get_object(Bucket="b", Key="managed")
            assert answer["Metadata"] == {"added": "CreateMultipartUpload"}
            assert await answer["Body"].read() == bytes(6 * MiB)

            upload = {**PLACE, "UploadId": (await s3.create_multipart_upload(**PLACE))["UploadId"]}
            copied = await s3.upload_part_copy(**upload, PartNumber=1, CopySource="b/there-is-none")
            parts = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
            await s3.complete_multipart_upload(**upload, MultipartUpload=parts)
            assert await (await s3.get_object(**PLACE))["Body"].read() == b"of the other"

            ticket = await s3ec.aio.presigned_upload(s3, Bucket="b", Key="handed over")
            assert ticket.headers["x-amz-meta-added"] == "PutObject"
            assert presigned == [False, False, False, True]

    @pytest.mark.parametrize("event", ["before-call", "request-created", "before-sign", "before-send"])
    @pytest.mark.parametrize("size", [100, 2 * MiB])
    @on_loop
    async def test_what_was_encrypted_leaves_as_it_is_or_not_at_all(
        self, event: str, size: int, connect: Callable[..., Any], server: LyingS3
    ) -> None:
        async def replace(request: Any = None, params: Any = None, **_: Any) -> None:
            if params is not None:
                params["body"] = b"plaintext"
            elif hasattr(request, "data"):
                request.data = b"plaintext"
            else:
                request.body = b"plaintext"

        async with connect() as s3:
            s3.meta.events.register(f"{event}.s3.PutObject", replace)
            with pytest.raises(UnsupportedOperationError, match="Nothing was sent"):
                await s3.put_object(**PLACE, Body=bytes(size))
        assert not server.state.attempts

    @on_loop
    async def test_an_error_of_ours_is_not_sent_again(self, connect: Callable[..., Any], server: LyingS3) -> None:
        count = 0

        def refuse(**_: Any) -> None:
            nonlocal count
            count += 1
            raise SourceChangedError("refused")

        async with connect() as s3:
            s3.meta.events.register("before-send.s3.HeadObject", refuse)
            with pytest.raises(SourceChangedError):
                await s3.head_object(**PLACE)
        assert count == 1

    def test_it_is_found_behind_what_a_transport_makes_of_it(self) -> None:
        own = SourceChangedError("changed")
        transport = ConnectionError("failed to send bytes")
        transport.__cause__ = own
        wrapped = EndpointConnectionError(endpoint_url="http://s3", error=transport)
        assert own_error_in(wrapped) is own
        with pytest.raises(SourceChangedError):
            end_retries(caught_exception=wrapped)
        other = EndpointConnectionError(endpoint_url="http://s3", error=ConnectionError())
        assert own_error_in(other) is None
        assert own_error_in(None) is None
        end_retries(caught_exception=other)


class _Blocking(AesKeyring):
    """A user's own keyring, which waits for something that only the loop can bring about."""

    def __init__(self) -> None:
        super().__init__(bytes(32))
        self.asked = threading.Event()
        self.goes_on = threading.Event()
        self.threads: set[int] = set()

    def on_encrypt(self, request: Any) -> Any:
        self._wait()
        return super().on_encrypt(request)

    def on_decrypt(self, request: Any) -> Any:
        self._wait()
        return super().on_decrypt(request)

    def _wait(self) -> None:
        self.threads.add(threading.get_ident())
        self.asked.set()
        if not self.goes_on.wait(60):
            raise KeyringError("the loop was held")


class TestKeys:
    """No keyring holds the loop."""

    @on_loop
    async def test_a_keyring_of_the_callers_own(self, connect: Callable[..., Any]) -> None:
        keyring = _Blocking()

        async def let_go() -> None:
            while not keyring.asked.is_set():
                await asyncio.sleep(0.001)
            keyring.goes_on.set()

        async with connect(keyring=keyring) as s3:
            await asyncio.gather(s3.put_object(**PLACE, Body=b"abc"), let_go())
            keyring.asked.clear()
            keyring.goes_on.clear()
            answer, _ = await asyncio.gather(s3.get_object(**PLACE), let_go())
            assert await answer["Body"].read() == b"abc"
        assert threading.get_ident() not in keyring.threads

    @on_loop
    async def test_forty_at_once_with_a_cache(self, connect: Callable[..., Any]) -> None:
        manager = CachingMaterialsManager(AesKeyring(bytes(32)), max_age=60)
        async with connect(materials_manager=manager) as s3:
            await asyncio.gather(*[s3.put_object(Bucket="b", Key=f"k{n}", Body=b"%d" % n) for n in range(40)])
            answers = await asyncio.gather(*[s3.get_object(Bucket="b", Key=f"k{n}") for n in range(40)])
            for number, answer in enumerate(answers):
                assert await answer["Body"].read() == b"%d" % number

    @on_loop
    async def test_a_refusal_asks_for_none(self, connect: Callable[..., Any], server: LyingS3) -> None:
        keyring = _Blocking()
        async with connect(keyring=keyring) as s3:
            for wrong in ({"Metadata": {"x-amz-iv": "x"}}, {"Body": io.StringIO("x")}, {"WriteOffsetBytes": 1}):
                with pytest.raises((ConfigurationError, UnsupportedOperationError)):
                    await s3.put_object(**{**PLACE, **wrong})
        assert not keyring.asked.is_set()
        assert not server.state.requests


class TestWork:
    """What threads do for tasks."""

    @on_loop
    async def test_it_ends_before_its_task_is_cancelled(self) -> None:
        began, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            began.set()
            goes_on.wait(60)
            ended.set()

        task = asyncio.ensure_future(off_loop(work))
        while not began.is_set():
            await asyncio.sleep(0.001)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    def test_nothing_is_read_of_a_spool_that_was_closed(self, tmp_path: Any) -> None:
        for in_memory in (0, MiB):
            spool = Spool(in_memory=in_memory, directory=str(tmp_path))
            spool.append(b"ciphertext")
            assert spool.read_at(2, 3) == b"phe"
            assert spool.read_at(10, 3) == b""
            spool.close()
            with pytest.raises(ValueError, match="closed"):
                spool.read_at(0, 1)
            with pytest.raises(ValueError, match="closed"):
                spool.append(b"more")
        assert not list(tmp_path.iterdir())


@on_loop
async def test_s3s_own_errors_are_the_same_classes(connect: Callable[..., Any]) -> None:
    """With the client's own ``exceptions``."""
    async with connect() as s3:
        with pytest.raises(s3.exceptions.NoSuchKey) as missing:
            await s3.get_object(Bucket="b", Key="missing")
        assert isinstance(missing.value, ClientError)
