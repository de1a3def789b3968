"""Runs s3fs' own test suite on our file system: ``python tests/fs/s3fs_suite.py [pytest options]``.

The suite comes from s3fs' source distribution, of the version that is installed; wheels do not have it. It is used as
it is, but for the name ``S3FileSystem``, which is ours there, with a key from a file and everything allowed that the
suite takes for granted: objects that a plain client has written, and URLs.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CONFTEST = '''
import functools
import fsspec
import pytest
import s3fs
import s3fs.core
from s3ec.fs import S3ECFileSystem


class S3FileSystem(S3ECFileSystem):
    """Ours, under the protocols that the suite has in its paths."""

    protocol = ("s3", "s3a")

    def __init__(self, *args, unencrypted_objects="allow", presigned_downloads="allow", **keywords):
        super().__init__(
            *args, unencrypted_objects=unencrypted_objects, presigned_downloads=presigned_downloads, **keywords
        )


s3fs.S3FileSystem = s3fs.core.S3FileSystem = S3FileSystem
for protocol in ("s3", "s3a"):
    fsspec.register_implementation(protocol, S3FileSystem, clobber=True)


def pytest_collection_modifyitems(config, items):
    """Leave out what is named, with its reason."""
    left_out = LEFT_OUT
    kept = [item for item in items if item.name.partition("[")[0] not in left_out]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
'''

LEFT_OUT = {
    "test_async_close": "asks the real AWS",
}
"""By name, and why; everything else passes as it does with s3fs' own file system."""


def main(arguments: list[str]) -> int:
    """Fetch the suite, and run it."""
    version = importlib.metadata.version("s3fs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not os.environ.get("S3FS_SOURCE"):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "s3fs"]
            subprocess.run([*command, "--dest", name, f"s3fs=={version}"], check=True)
        (source,) = [Path(os.environ["S3FS_SOURCE"])] if os.environ.get("S3FS_SOURCE") else folder.glob("*.tar.gz")
        tests = folder / "suite"
        with tarfile.open(source) as archive:
            prefix = f"s3fs-{version}/s3fs/tests/"
            for member in archive.getmembers():
                if member.name.startswith(prefix) and member.isfile() and "derived" not in member.name:
                    target = tests / "s3fs_tests" / member.name.removeprefix(prefix)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file = archive.extractfile(member)
                    assert file is not None
                    target.write_text(file.read().decode().replace("s3fs.tests.", "s3fs_tests."))
        (tests / "conftest.py").write_text(CONFTEST.replace("LEFT_OUT", repr(LEFT_OUT)))
        key = folder / "wrapping.key"
        key.write_bytes(secrets.token_bytes(32))
        for test, reason in LEFT_OUT.items():
            print(f"left out: {test}: {reason}")
        environment = {
            **os.environ,
            "S3EC_AES_KEY_FILE": str(key),
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": os.pathsep.join([str(tests), str(Path(__file__).parents[2])]),
        }
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tests)]
        return subprocess.run([*command, *arguments, str(tests)], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
