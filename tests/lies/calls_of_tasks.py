"""What is lied to of the asynchronous client (`s3ec.aio`); each call has a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from boto3.s3.transfer import TransferConfig

from s3ec import AesKeyring, KmsKeyring

from .call import BOTH, COPIED, IN_PARTS, LARGE, PAGES, WORD, Call
from .honest import KMS_KEY
from .world import AGAIN, KEY, OLDER, OTHER, PLAIN, WRAPPING_KEY, World

__all__ = ["TASKS"]


_Act = Callable[[World, Any], Awaitable[str]]


@functools.cache
def _session() -> Any:
    from aiobotocore.session import AioSession

    return AioSession()


def _client(world: World, **options: Any) -> Any:
    """What ``async with`` makes a client of; its KMS keyring reaches KMS through aiobotocore."""
    from aiobotocore.config import AioConfig

    import s3ec.aio

    keyring = KmsKeyring(KMS_KEY) if world.profile.is_kms else AesKeyring(WRAPPING_KEY)
    arguments = world.arguments()
    arguments["config"] = AioConfig(
        s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 2}
    )
    return s3ec.aio.EncryptionClient(
        keyring=keyring, session=_session(), **{**arguments, **world.profile.options, **options}
    )


def _with_client(act: _Act, **options: Any) -> Callable[[World], str]:
    async def go(world: World) -> str:
        async with _client(world, **options) as client:
            return await act(world, client)

    return lambda world: asyncio.run(go(world))


async def _body(world: World, answer: Any, span: slice = slice(None)) -> str:
    async with answer["Body"] as body:
        return world.judge(await body.read(), span)


async def _get(world: World, client: Any) -> str:
    return await _body(world, await client.get_object(**world.place()))


async def _get_range(world: World, client: Any) -> str:
    answer = await client.get_object(**world.place(), Range="bytes=100-1123")
    return await _body(world, answer, slice(100, 1124))


async def _get_ranges(world: World, client: Any) -> str:
    async def get(start: int) -> str:
        answer = await client.get_object(**world.place(), Range=f"bytes={start}-{start + 99}")
        return await _body(world, answer, slice(start, start + 100))

    told = await asyncio.gather(*map(get, (100, 2000, 100)), return_exceptions=True)
    for verdict in told:
        if isinstance(verdict, BaseException):
            raise verdict
    return str(told[-1])


async def _get_part(world: World, client: Any) -> str:
    return await _body(world, await client.get_object(**world.place("parts"), PartNumber=2), slice(1024, 2048))


async def _head(world: World, client: Any) -> str:
    await client.head_object(**world.place())
    return WORD


async def _open(world: World, client: Any) -> str:
    import s3ec.aio

    verdicts = []
    async with await s3ec.aio.open(client, **world.place()) as file:
        for start in (1000, 0, len(PLAIN) - 10):
            await file.seek(start)
            verdicts.append(world.judge(await file.read(64), slice(start, start + 64)))
    return verdicts[-1]


async def _inspect(world: World, client: Any) -> str:
    import s3ec.aio

    await s3ec.aio.inspect(client, **world.place())
    return WORD


async def _presigned_get(world: World, client: Any) -> str:
    import s3ec.aio

    url = await client.generate_presigned_url("get_object", Params=world.place())
    options = {name: value for name, value in world.profile.options.items() if name != "algorithm_suite"}
    place = world.place() if world.profile.is_bound else {}
    keyring = world.keyring()
    async with await s3ec.aio.decrypt_presigned(url, keyring=keyring, **place, **options) as body:
        return world.judge(await body.read())


async def _list(world: World, client: Any) -> str:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    with contextlib.suppress(StopAsyncIteration):
        iterator = aiter(pages)
        for _ in itertools.repeat(None, PAGES):
            await anext(iterator)
    return WORD


async def _download_file(world: World, client: Any) -> str:
    path = world.folder / "file"
    await client.download_file("bucket", KEY, str(path), Config=IN_PARTS)
    return world.judge(path.read_bytes())


async def _download_fileobj(world: World, client: Any) -> str:
    file = io.BytesIO()
    await client.download_fileobj("bucket", KEY, file, Config=IN_PARTS)
    return world.judge(file.getvalue())


async def _upload_file(world: World, client: Any) -> str:
    path = world.folder / "source"
    path.write_bytes(AGAIN)
    try:
        await client.upload_file(str(path), "bucket", KEY)
    finally:
        path.unlink()
    return "right"


async def _upload_fileobj(world: World, client: Any) -> str:
    config = TransferConfig(multipart_threshold=1024, multipart_chunksize=5 * 1024 * 1024, max_concurrency=2)
    await client.upload_fileobj(io.BytesIO(LARGE), "bucket", KEY, Config=config)
    return "right"


async def _put(world: World, client: Any) -> str:
    await client.put_object(**world.place(), Body=AGAIN)
    return "right"


async def _put_stream(world: World, client: Any) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        yield AGAIN[:700]
        yield AGAIN[700:]

    await client.put_object(**world.place(), Body=pieces())
    return "right"


async def _copy(world: World, client: Any) -> str:
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"colour": "red"}}
    await client.copy_object(**world.place("copy"), CopySource=world.place(), **replaced)
    return "right"


async def _managed_copy(world: World, client: Any) -> str:
    await client.copy(world.place(), "bucket", "copy")
    return "right"


async def _multipart(world: World, client: Any) -> str:
    """Parts from several tasks at once, in whatever order they come."""
    place = world.place()
    upload = (await client.create_multipart_upload(**place))["UploadId"]

    async def send(number: int) -> dict[str, Any]:
        body = AGAIN[(number - 1) * 1000 : number * 1000]
        answer = await client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    sent = await asyncio.gather(*map(send, (1, 2, 3)), return_exceptions=True)
    for part in sent:
        if isinstance(part, BaseException):
            raise part
    await client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": sent})
    return "right"


async def _part_copy(world: World, client: Any) -> str:
    place = world.place()
    upload = (await client.create_multipart_upload(**place))["UploadId"]
    part = {**place, "UploadId": upload, "PartNumber": 1}
    answer = await client.upload_part_copy(**part, CopySource=world.place("parts"))
    parts = [{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}]
    await client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    return "right"


async def _resume(world: World, client: Any) -> str:
    """The first client goes on as far as its second part, and another one from there."""
    import s3ec.aio

    place, states = world.place(), list[bytes]()
    upload = (await client.create_multipart_upload(**place))["UploadId"]
    await s3ec.aio.export_upload(client, upload, save=states.append)
    for number in (1, 2):
        body = AGAIN[(number - 1) * 1000 : number * 1000]
        await client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
    async with _client(world) as other:
        resumed = await s3ec.aio.resume_upload(other, states[-1], save=states.append)
        parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in resumed["Parts"]]
        for number in range(len(parts) + 1, 4):
            body = AGAIN[(number - 1) * 1000 : number * 1000]
            answer = await other.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        await other.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
    return "right"


async def _abort(world: World, client: Any) -> str:
    place = world.place()
    upload = (await client.create_multipart_upload(**place))["UploadId"]
    await client.upload_part(**place, UploadId=upload, PartNumber=1, Body=AGAIN)
    await client.abort_multipart_upload(**place, UploadId=upload)
    return "right"


_call = functools.partial(Call, "The asynchronous client", needs="aiobotocore")
TASKS = (
    _call("aio get_object", _with_client(_get)),
    _call("aio get_object, delayed", _with_client(_get, enable_delayed_authentication=True)),
    _call("aio get_object, range", _with_client(_get_range)),
    _call("aio get_object, ranges at once", _with_client(_get_ranges)),
    _call("aio get_object, part", _with_client(_get_part)),
    _call("aio head_object", _with_client(_head)),
    _call("aio list_objects_v2", _with_client(_list)),
    _call("aio open", _with_client(_open)),
    _call("aio inspect", _with_client(_inspect)),
    _call("aio presigned download", _with_client(_presigned_get), profiles=("V3, AES", "V3, KMS, bound", "V2, KMS")),
    _call("aio download_file, in parts", _with_client(_download_file)),
    _call("aio download_fileobj", _with_client(_download_fileobj)),
    _call("aio upload_file", _with_client(_upload_file), writes=(AGAIN,)),
    _call("aio upload_fileobj, in parts", _with_client(_upload_fileobj), writes=(LARGE,), profiles=BOTH),
    _call("aio put_object", _with_client(_put), writes=(AGAIN,)),
    _call("aio put_object, stream", _with_client(_put_stream), writes=(AGAIN,)),
    _call("aio copy_object", _with_client(_copy), writes=(PLAIN,), is_made_by_s3=("copy",), profiles=COPIED),
    _call("aio copy", _with_client(_managed_copy), writes=(PLAIN,), is_made_by_s3=("copy",), profiles=COPIED),
    _call("aio parts at once", _with_client(_multipart), writes=(AGAIN,)),
    _call(
        "aio upload_part_copy",
        _with_client(_part_copy),
        writes=(PLAIN,),
        writes_of_older=(OLDER,),
        writes_of_other=(OTHER,),
    ),
    _call("aio abort_multipart_upload", _with_client(_abort)),
    _call("aio resume_upload", _with_client(_resume), writes=(AGAIN,), profiles=BOTH),
)
