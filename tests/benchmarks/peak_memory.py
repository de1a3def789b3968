"""Peak memory of putting and getting one large object, beside plain boto3.

    python tests/benchmarks/peak_memory.py [MiB] [FILE]

Each measurement is a process of its own, whose peak resident memory the kernel counts; the S3 is another process on
loopback. Prints MiB for plain boto3 and for s3ec, and the difference, which does not grow with the object. FILE gets
the same as JSON, for `table.py`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
MiB = 1024 * 1024


def _client(kind: str, url: str) -> Any:
    import boto3
    from botocore.config import Config

    arguments: dict[str, Any] = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "benchmark",
        "aws_secret_access_key": "benchmark",
        "config": Config(s3={"addressing_style": "path"}),
    }
    if kind == "boto3":
        return boto3.client("s3", **arguments)
    from s3ec import AesKeyring, EncryptionClient

    return EncryptionClient(keyring=AesKeyring(bytes(range(32))), **arguments)


def measure(kind: str, operation: str, url: str, path: str) -> None:
    """Run one operation in this process and print its peak, in MiB."""
    client = _client(kind, url)
    key = f"{kind}-object"
    if operation == "put_object":
        with open(path, "rb") as body:
            client.put_object(Bucket="b", Key=key, Body=body)
    else:
        body = client.get_object(Bucket="b", Key=key)["Body"]
        while body.read(MiB):
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def serve() -> None:
    """Be the S3, until standard input ends."""
    from support.lying_s3 import lying_s3

    with lying_s3() as server:
        print(server.url, flush=True)
        threading.Thread(target=sys.stdin.read).run()


def main(size: int, report: str | None = None) -> None:
    """Measure everything and print the table."""
    this = [sys.executable, __file__]
    found: dict[str, list[float]] = {}
    with (
        tempfile.NamedTemporaryFile() as file,
        subprocess.Popen([*this, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        os.truncate(file.name, size * MiB)
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        print(f"{'operation':<12} {'boto3':>8} {'s3ec':>8} {'more':>8}   (peak MiB, object of {size} MiB)")
        for operation in ("put_object", "get_object"):
            peaks = []
            for kind in ("boto3", "s3ec"):
                command = [*this, "measure", kind, operation, url, file.name]
                peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            found[operation] = peaks
            print(f"{operation:<12} {peaks[0]:>8.0f} {peaks[1]:>8.0f} {peaks[1] - peaks[0]:>+8.0f}")
        server.stdin.close()
    if report:
        Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:6])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024, *sys.argv[2:3])
