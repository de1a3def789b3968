"""What s3fs' own suite is run with: a port for each worker, and our file system under s3fs' names.

The suite itself is taken as it is; `s3fs_suite.py` says in the environment whose file system it is to test. Each of its
tests makes sessions and clients of its own and empties the server, so what botocore and moto work out again for each is
kept, as in the rest of our tests.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import Any

import fsspec
import pytest
import s3fs
import s3fs.core

from support.read_once import models_read_once, moto_knows_its_services

_kept = contextlib.ExitStack()
_kept.enter_context(models_read_once())
_kept.enter_context(moto_knows_its_services())

if os.environ["S3FS_SUITE"] == "ours":
    from s3ec.fs import S3ECFileSystem

    class S3FileSystem(S3ECFileSystem):
        """Ours, under the protocols that the suite has in its paths, allowing what it takes for granted.

        That is: objects that a plain client has written, and URLs.
        """

        protocol = ("s3", "s3a")

        def __init__(
            self,
            *args: Any,
            unencrypted_objects: str = "allow",
            presigned_downloads: str = "allow",
            **keywords: Any,
        ) -> None:
            """Make one; see `S3ECFileSystem`."""
            super().__init__(
                *args, unencrypted_objects=unencrypted_objects, presigned_downloads=presigned_downloads, **keywords
            )

    s3fs.S3FileSystem = s3fs.core.S3FileSystem = S3FileSystem
    for _protocol in S3FileSystem.protocol:
        fsspec.register_implementation(_protocol, S3FileSystem, clobber=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the server of this process a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for module in {item.module for item in items if hasattr(item.module, "endpoint_uri")}:  # type: ignore[attr-defined]
        module.port, module.endpoint_uri = port, f"http://127.0.0.1:{port}/"


_ended: list[int] = []


def pytest_sessionfinish(exitstatus: int) -> None:
    """Keep the code that pytest ends with."""
    _ended.append(int(exitstatus))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End at once: files that a failed test has left open would wait for a server that is gone."""
    if _ended and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_ended[-1])
