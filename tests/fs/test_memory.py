"""What reads of a large file hold of it: the most memory that a process of their own had, less what it began with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3ec.fs import S3ECFileSystem

from support import aws

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's"),
]

MIB = 1024 * 1024
SIZE = 200 * MIB

CHILD = """
import json, sys
from s3ec.fs import S3ECFileSystem

def highest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024

options, path, target = json.loads(sys.argv[1])
fs = S3ECFileSystem(**options)
assert fs.cat_file(path + ".small") == b"x"  # connections, models, ciphers
before = highest()
{read}
print(highest() - before)
"""

READS = {
    # Blocks of 8 MiB, of which fsspec keeps one and the next.
    "open": (
        "total = 0\nwith fs.open(path, block_size=8 << 20) as file:\n"
        "    while piece := file.read(1 << 20):\n        total += len(piece)\nassert total == 200 << 20",
        64,
    ),
    "range": ("assert len(fs.cat_file(path, start=150 << 20, end=(150 << 20) + 1000)) == 1000", 32),
    "get_file": ("fs.get_file(path, target)", 32),
    # What is asked for has to be held, but not twice.
    "cat_file": ("assert len(fs.cat_file(path)) == 200 << 20", 300),
}


@pytest.fixture(scope="module")
def large(endpoint: str, key_file: str) -> Any:
    """Options of a file system, and the path of a large file."""
    options = {
        "endpoint_url": endpoint,
        "key": "testing",
        "secret": "testing",
        "client_kwargs": {"region_name": "us-east-1"},
        "aes_key_file": key_file,
    }
    fs = S3ECFileSystem(**options, skip_instance_cache=True)
    path = "memory/large"
    client = boto3.client("s3", **aws.client_arguments(endpoint))
    client.create_bucket(Bucket="memory")
    fs.pipe_file(f"{path}.small", b"x")
    fs.pipe_file(path, bytes(SIZE), chunksize=SIZE)  # one request
    yield options, path
    aws.empty_bucket(client, "memory")
    client.close()


@pytest.mark.parametrize("way", READS)
def test_no_more_is_held_than_is_asked_for(large: Any, way: str, tmp_path: Path) -> None:
    """Whatever the object's size: bounds in MiB, far below it but where all of it is the answer."""
    options, path = large
    code, bound = READS[way]
    line = [sys.executable, "-c", CHILD.replace("{read}", code), json.dumps([options, path, str(tmp_path / "file")])]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) < bound
