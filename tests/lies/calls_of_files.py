"""What is lied to of the file system (`s3ec.fs`)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from botocore.config import Config

from .call import COPIED, WORD, Call
from .honest import KMS_KEY
from .world import AGAIN, KEY, OLDER, OTHER, PLAIN, World, key_file

__all__ = ["FILES"]

_PATH = f"bucket/{KEY}"


@contextlib.contextmanager
def _file_system(world: World) -> Iterator[Any]:
    """One that no other cell shares, and that asks S3 and KMS twice at most."""
    from fsspec.asyn import sync

    from s3ec.fs import S3ECFileSystem

    options = dict(world.profile.options)
    for name in ("commitment_policy", "algorithm_suite"):
        if name in options:
            options[name] = options[name].name
    key = {"kms_key": KMS_KEY} if world.profile.is_kms else {"aes_key_file": str(key_file(world))}
    made = S3ECFileSystem(
        endpoint_url=world.server.url,
        key="lies",
        secret="lies",
        client_kwargs={"region_name": "us-east-1"},
        config_kwargs={
            "s3": {"addressing_style": "path"},
            "retries": {"mode": "standard", "total_max_attempts": 2},
            "read_timeout": Config.OPTION_DEFAULTS["read_timeout"],  # s3fs has one of its own
        },
        skip_instance_cache=True,
        **key,
        **options,
    )
    made.retries = 2
    try:
        yield made
    finally:
        if made._s3 is not None:
            sync(made.loop, made._s3.__aexit__, None, None, None, timeout=60)


def _with_file_system(act: Callable[[World, Any], str]) -> Callable[[World], str]:
    def go(world: World) -> str:
        with _file_system(world) as fs:
            return act(world, fs)

    return go


def _cat(world: World, fs: Any) -> str:
    return world.judge(fs.cat_file(_PATH))


def _cat_range(world: World, fs: Any) -> str:
    return world.judge(fs.cat_file(_PATH, start=100, end=1124), slice(100, 1124))


def _cat_end(world: World, fs: Any) -> str:
    return world.judge(fs.cat_file(_PATH, start=-50), slice(len(PLAIN) - 50, None))


def _cat_ranges(world: World, fs: Any) -> str:
    starts = [100, 2000, 700]
    pieces = fs.cat_ranges([_PATH] * 3, starts, [start + 100 for start in starts], on_error="raise")
    return [world.judge(piece, slice(start, start + 100)) for start, piece in zip(starts, pieces, strict=True)][-1]


def _open(world: World, fs: Any) -> str:
    verdicts = []
    with fs.open(_PATH, block_size=1024) as file:
        for start in (1000, 0, len(PLAIN) - 10):
            file.seek(start)
            verdicts.append(world.judge(file.read(64), slice(start, start + 64)))
    return verdicts[-1]


def _get_file(world: World, fs: Any) -> str:
    path = world.folder / "file"
    fs.get_file(_PATH, str(path))
    return world.judge(path.read_bytes())


def _info(world: World, fs: Any) -> str:
    fs.info(_PATH)
    return WORD


def _find(world: World, fs: Any) -> str:
    fs.find("bucket", detail=True)
    return WORD


def _pipe(world: World, fs: Any) -> str:
    fs.pipe_file(_PATH, AGAIN)
    return "right"


def _put_file(world: World, fs: Any) -> str:
    path = world.folder / "source"
    path.write_bytes(AGAIN)
    try:
        fs.put_file(str(path), _PATH)
    finally:
        path.unlink()
    return "right"


def _write(world: World, fs: Any) -> str:
    with fs.open(_PATH, "wb") as file:
        file.write(AGAIN[:700])
        file.write(AGAIN[700:])
    return "right"


def _append(world: World, fs: Any) -> str:
    with fs.open(_PATH, "ab") as file:
        file.write(AGAIN)
    return "right"


def _copy(world: World, fs: Any) -> str:
    fs.cp_file(_PATH, "bucket/copy")
    return "right"


def _remove(world: World, fs: Any) -> str:
    fs.rm_file("bucket/parts")
    return "right"


_call = functools.partial(Call, "The file system", needs="s3fs")
FILES = (
    _call("fs cat_file", _with_file_system(_cat)),
    _call("fs cat_file, range", _with_file_system(_cat_range)),
    _call("fs cat_file, last bytes", _with_file_system(_cat_end)),
    _call("fs cat_ranges", _with_file_system(_cat_ranges)),
    _call("fs open", _with_file_system(_open)),
    _call("fs get_file", _with_file_system(_get_file)),
    _call("fs info", _with_file_system(_info)),
    _call("fs find", _with_file_system(_find)),
    _call("fs pipe_file", _with_file_system(_pipe), writes=(AGAIN,)),
    _call("fs put_file", _with_file_system(_put_file), writes=(AGAIN,)),
    _call("fs open to write", _with_file_system(_write), writes=(AGAIN,)),
    _call(
        "fs open to append",
        _with_file_system(_append),
        writes=(PLAIN + AGAIN,),
        writes_of_older=(OLDER + AGAIN,),
        writes_of_other=(OTHER + AGAIN,),
    ),
    _call("fs cp_file", _with_file_system(_copy), writes=(PLAIN,), is_made_by_s3=("copy",), profiles=COPIED),
    _call("fs rm_file", _with_file_system(_remove), deletes=("parts",)),
)
