"""The public calls that are lied to. One more call is one more entry here: rows, cells and the page follow."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable
from typing import Any

from boto3.s3.transfer import TransferConfig

import s3ec
from s3ec.migrate import (
    Action,
    Connection,
    Journal,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    purge_plaintext_versions,
    run,
)

from .call import BOTH, COPIED, IN_PARTS, LARGE, PAGES, WORD, Call
from .calls_of_files import FILES
from .calls_of_tasks import TASKS
from .honest import KMS_KEY
from .world import AGAIN, KEY, OLDER, OTHER, PLAIN, Fault, World, key_file

__all__ = ["CALLS", "Call"]


def _body(world: World, answer: Any, span: slice = slice(None)) -> str:
    return world.judge(answer["Body"].read(), span)


# Reads


def _get(world: World) -> str:
    return _body(world, world.client().get_object(**world.place()))


def _get_spooled(world: World) -> str:
    return _body(world, world.client(buffer_size=1, spool_directory=str(world.folder)).get_object(**world.place()))


def _get_delayed(world: World) -> str:
    """Bytes may come before they are verified, that is what the option is for; the end must not come quietly."""
    return _body(world, world.client(enable_delayed_authentication=True).get_object(**world.place()))


def _get_range(world: World) -> str:
    return _body(world, world.client().get_object(**world.place(), Range="bytes=100-1123"), slice(100, 1124))


def _get_end(world: World) -> str:
    return _body(world, world.client().get_object(**world.place(), Range="bytes=-50"), slice(len(PLAIN) - 50, None))


def _get_ranges(world: World) -> str:
    client, verdicts = world.client(), []
    for start in (100, 2000, 100):
        answer = client.get_object(**world.place(), Range=f"bytes={start}-{start + 99}")
        verdicts.append(_body(world, answer, slice(start, start + 100)))
    return verdicts[-1]


def _get_part(world: World) -> str:
    return _body(world, world.client().get_object(**world.place("parts"), PartNumber=2), slice(1024, 2048))


def _head(world: World) -> str:
    world.client().head_object(**world.place())
    return WORD


def _list(world: World) -> str:
    for _ in itertools.islice(world.client().get_paginator("list_objects_v2").paginate(Bucket="bucket"), PAGES):
        pass
    return WORD


def _open(world: World) -> str:
    verdicts = []
    with s3ec.open(world.client(), **world.place()) as file:
        for start in (1000, 0, len(PLAIN) - 10):
            file.seek(start)
            verdicts.append(world.judge(file.read(64), slice(start, start + 64)))
    return verdicts[-1]


def _inspect(world: World) -> str:
    s3ec.inspect(world.client(), **world.place())
    return WORD


def _presigned_get(world: World) -> str:
    client = world.client()
    url = client.generate_presigned_url("get_object", Params=world.place())
    options = {name: value for name, value in world.profile.options.items() if name != "algorithm_suite"}
    place = world.place() if world.profile.is_bound else {}
    with contextlib.closing(s3ec.decrypt_presigned(url, keyring=world.keyring(), **place, **options)) as body:
        return world.judge(body.read())


# Files and managed transfers


def _download_file(world: World) -> str:
    path = world.folder / "file"
    world.client().download_file("bucket", KEY, str(path), Config=IN_PARTS)
    return world.judge(path.read_bytes())


def _download_whole(world: World) -> str:
    path = world.folder / "file"
    world.client().download_file("bucket", KEY, str(path))
    return world.judge(path.read_bytes())


def _download_over(world: World) -> str:
    """A file that is there already stays as it is, or becomes the object."""
    path = world.folder / "file"
    path.write_bytes(b"the file that stood here")
    world.client().download_file("bucket", KEY, str(path), Config=IN_PARTS)
    return world.judge(path.read_bytes())


def _download_fileobj(world: World) -> str:
    file = io.BytesIO()
    world.client().download_fileobj("bucket", KEY, file, Config=IN_PARTS)
    return world.judge(file.getvalue())


def _upload_file(world: World) -> str:
    path = world.folder / "source"
    path.write_bytes(AGAIN)
    try:
        world.client().upload_file(str(path), "bucket", KEY)
    finally:
        path.unlink()
    return "right"


def _upload_fileobj(world: World) -> str:
    config = TransferConfig(multipart_threshold=1024, multipart_chunksize=5 * 1024 * 1024, max_concurrency=2)
    world.client().upload_fileobj(io.BytesIO(LARGE), "bucket", KEY, Config=config)
    return "right"


# Writes


def _put(world: World) -> str:
    world.client().put_object(**world.place(), Body=AGAIN)
    return "right"


def _put_stream(world: World) -> str:
    world.client().put_object(**world.place(), Body=iter([AGAIN[:700], AGAIN[700:]]))
    return "right"


def _put_new(world: World) -> str:
    world.client().put_object(**world.place("new"), Body=AGAIN, IfNoneMatch="*")
    return "right"


def _presigned_put(world: World) -> str:
    s3ec.presigned_upload(world.client(), **world.place("new")).send(AGAIN)
    return "right"


def _copy(world: World) -> str:
    replaced = {"MetadataDirective": "REPLACE", "Metadata": {"colour": "red"}}
    world.client().copy_object(**world.place("copy"), CopySource=world.place(), **replaced)
    return "right"


def _managed_copy(world: World) -> str:
    world.client().copy(world.place(), "bucket", "copy")
    return "right"


def _delete(world: World) -> str:
    world.client().delete_object(**world.place("parts"))
    return "right"


# Multipart


def _create(world: World) -> str:
    client = world.client()
    upload = client.create_multipart_upload(**world.place())["UploadId"]
    return _send_and_complete(world, client, upload)


def _send_and_complete(world: World, client: Any, upload: str, *, first: int = 1) -> str:
    parts = world.notes.get("parts", [])
    for number in range(first, 4):
        body = AGAIN[(number - 1) * 1000 : number * 1000]
        etag = client.upload_part(**world.place(), UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts = [*parts, {"PartNumber": number, "ETag": etag}]
    client.complete_multipart_upload(**world.place(), UploadId=upload, MultipartUpload={"Parts": parts})
    return "right"


def _begin(world: World, parts: int) -> None:
    client = world.notes["client"] = world.client()
    upload = world.notes["upload"] = client.create_multipart_upload(**world.place())["UploadId"]
    world.notes["parts"] = []
    for number in range(1, parts + 1):
        body = AGAIN[(number - 1) * 1000 : number * 1000]
        etag = client.upload_part(**world.place(), UploadId=upload, PartNumber=number, Body=body)["ETag"]
        world.notes["parts"].append({"PartNumber": number, "ETag": etag})


def _complete(world: World) -> str:
    return _send_and_complete(world, world.notes["client"], world.notes["upload"], first=4)


def _upload_part(world: World) -> str:
    return _send_and_complete(world, world.notes["client"], world.notes["upload"], first=2)


def _abort(world: World) -> str:
    world.notes["client"].abort_multipart_upload(**world.place(), UploadId=world.notes["upload"])
    return "right"


def _list_parts(world: World) -> str:
    pages = world.notes["client"].get_paginator("list_parts")
    for _ in itertools.islice(pages.paginate(**world.place(), UploadId=world.notes["upload"]), PAGES):
        pass
    return WORD


def _part_copy(world: World) -> str:
    client, upload = world.notes["client"], world.notes["upload"]
    place = {**world.place(), "UploadId": upload, "PartNumber": 1}
    answer = client.upload_part_copy(**place, CopySource=world.place("parts"))
    parts = [{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}]
    client.complete_multipart_upload(**world.place(), UploadId=upload, MultipartUpload={"Parts": parts})
    return "right"


def _export(world: World) -> None:
    _begin(world, 1)
    states = world.notes["states"] = []
    s3ec.export_upload(world.notes["client"], world.notes["upload"], save=states.append)
    body = AGAIN[1000:2000]
    place = {**world.place(), "UploadId": world.notes["upload"]}
    etag = world.notes["client"].upload_part(**place, PartNumber=2, Body=body)["ETag"]
    world.notes["parts"].append({"PartNumber": 2, "ETag": etag})


def _resume(world: World) -> str:
    client = world.client()
    resumed = s3ec.resume_upload(client, world.notes["states"][-1], save=world.notes["states"].append)
    world.notes["parts"] = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in resumed["Parts"]]
    return _send_and_complete(world, client, resumed["UploadId"], first=len(resumed["Parts"]) + 1)


# Buckets


def _settings(world: World, action: Action, bucket: str = "bucket", **more: Any) -> MigrationSettings:
    keyring = KeyringSpec(kind="kms", key_id=KMS_KEY)
    if not world.profile.is_kms:
        keyring = KeyringSpec(kind="aes-file", path=str(key_file(world)))
    connection = Connection(endpoint_url=world.server.url, region_name="us-east-1", max_attempts=2)
    options = {"keyring": keyring, "connection": connection, "max_attempts": 1, "settle_seconds": 0.0, **more}
    return MigrationSettings(action=action, source=Location(bucket=bucket), **options)


def _job(action: Action, bucket: str = "bucket", **more: Any) -> Callable[[World], str]:
    def act(world: World) -> str:
        settings = _settings(world, action, bucket, **more)
        with Journal.open(":memory:", settings) as journal:
            summary = run(settings, journal, workers=2)
        # Objects that failed are listed as such: a job says so, and does not raise.
        return "our error" if summary.undone else "right"

    return act


def _purge(world: World) -> str:
    settings = _settings(world, Action.VERIFY, "versioned")
    with contextlib.closing(MigrationContext.open(settings)) as context:
        entries = list(purge_plaintext_versions(settings, context=context, dry_run=False))
    return "our error" if any(entry.leaves_undone for entry in entries) else "right"


def _command(*words: str, verdict: str = WORD) -> Callable[[World], str]:
    def act(world: World) -> str:
        from s3ec.cli.main import main

        path = world.folder / "file"
        key = ["--kms-key", KMS_KEY] if world.profile.is_kms else ["--aes-key-file", str(key_file(world))]
        line: list[str] = []
        for word in words:
            line += key if word == "KEY" else [str(path) if word == "FILE" else word]
        out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(line)
        if "Traceback" in err.getvalue():
            raise Fault(f"TRACEBACK: {err.getvalue()[-200:]}")
        if code:
            return "our error"
        if verdict != WORD:
            return world.judge(path.read_bytes())
        return WORD

    return act


_NOW = (AGAIN,)
CALLS = (
    Call("Reading", "get_object", _get),
    Call("Reading", "get_object, spooled", _get_spooled),
    Call("Reading", "get_object, delayed", _get_delayed),
    Call("Reading", "get_object, range", _get_range),
    Call("Reading", "get_object, last bytes", _get_end),
    Call("Reading", "get_object, ranges", _get_ranges),
    Call("Reading", "get_object, part", _get_part),
    Call("Reading", "head_object", _head),
    Call("Reading", "list_objects_v2", _list),
    Call("Reading", "s3ec.open", _open),
    Call("Reading", "inspect", _inspect),
    Call("Reading", "presigned download", _presigned_get, profiles=("V3, AES", "V3, KMS, bound", "V2, KMS")),
    Call("Transfers", "download_file", _download_whole),
    Call("Transfers", "download_file, in parts", _download_file),
    Call("Transfers", "download_file, over another", _download_over),
    Call("Transfers", "download_fileobj", _download_fileobj),
    Call("Transfers", "upload_file", _upload_file, writes=_NOW),
    Call("Transfers", "upload_fileobj, in parts", _upload_fileobj, writes=(LARGE,), profiles=BOTH),
    Call(
        "Transfers",
        "copy",
        _managed_copy,
        writes=(PLAIN,),
        is_made_by_s3=("copy",),
        profiles=COPIED,
    ),
    Call("Writing", "put_object", _put, writes=_NOW),
    Call("Writing", "put_object, stream", _put_stream, writes=_NOW),
    Call("Writing", "put_object, IfNoneMatch", _put_new, writes=_NOW),
    Call("Writing", "presigned upload", _presigned_put, writes=_NOW, profiles=BOTH),
    Call(
        "Writing",
        "copy_object",
        _copy,
        writes=(PLAIN,),
        is_made_by_s3=("copy",),
        profiles=COPIED,
    ),
    Call("Writing", "delete_object", _delete, deletes=("parts",)),
    Call("Multipart", "create_multipart_upload", _create, writes=_NOW),
    Call("Multipart", "upload_part", _upload_part, lambda world: _begin(world, 1), writes=_NOW),
    Call(
        "Multipart",
        "upload_part_copy",
        _part_copy,
        lambda world: _begin(world, 0),
        writes=(PLAIN,),
        writes_of_older=(OLDER,),
        writes_of_other=(OTHER,),
    ),
    Call("Multipart", "complete_multipart_upload", _complete, lambda world: _begin(world, 3), writes=_NOW),
    Call("Multipart", "abort_multipart_upload", _abort, lambda world: _begin(world, 1)),
    Call("Multipart", "list_parts", _list_parts, lambda world: _begin(world, 3)),
    Call("Multipart", "resume_upload", _resume, _export, writes=_NOW, profiles=BOTH),
    Call(
        "Buckets",
        "migrate",
        _job(Action.MIGRATE, "versioned"),
        profiles=("V3, AES", "V2, KMS"),
        is_lied_to_about_plaintext=True,
    ),
    Call("Buckets", "upgrade, V2 to V3", _job(Action.UPGRADE), profiles=("V2, KMS",)),
    Call("Buckets", "rewrap", _job(Action.REWRAP, encryption_context={"of": "now"}), profiles=("V2, KMS",)),
    Call("Buckets", "verify", _job(Action.VERIFY), profiles=("V3, AES", "V2, KMS")),
    Call("Buckets", "purge-plaintext-versions", _purge, profiles=("V3, KMS, bound",)),
    Call("Buckets", "s3ec ls", _command("ls", "s3://bucket/", "--recursive")),
    Call("Buckets", "s3ec audit", _command("audit", "s3://bucket", "--json"), profiles=BOTH),
    Call(
        "Buckets", "s3ec cp", _command("cp", f"s3://bucket/{KEY}", "FILE", "KEY", verdict="content"), profiles=BOTH[:1]
    ),
    *TASKS,
    *FILES,
)
