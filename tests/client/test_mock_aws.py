"""Real `moto.mock_aws` over the default https endpoint, and handlers of ``before-send`` that answer or look.

In a process of its own: mock_aws empties what moto's server of the other tests holds as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import s3ec

ROOT = Path(s3ec.__file__).resolve().parents[1]
BEGIN = """
import io, os, boto3, s3ec
from boto3.s3.transfer import TransferConfig
from moto import mock_aws

SMALL = TransferConfig(multipart_threshold=5 * 1024 * 1024, multipart_chunksize=5 * 1024 * 1024)
LARGE = os.urandom(11 * 1024 * 1024)

with mock_aws():
    plain = boto3.client("s3")
    plain.create_bucket(Bucket="bkt")
    client = s3ec.EncryptionClient(keyring=s3ec.AesKeyring(bytes(range(32))))
    assert client.meta.endpoint_url.startswith("https://")
"""
SCRIPTS = {
    "everyday": """
    client.put_object(Bucket="bkt", Key="k", Body=b"in the clear", Metadata={"a": "1"})
    assert b"clear" not in plain.get_object(Bucket="bkt", Key="k")["Body"].read()
    answer = client.get_object(Bucket="bkt", Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"in the clear", {"a": "1"})
    assert client.get_object(Bucket="bkt", Key="k", Range="bytes=3-5")["Body"].read() == b"the"
    client.put_object(Bucket="bkt", Key="m", Body=io.BytesIO(LARGE))
    assert client.get_object(Bucket="bkt", Key="m")["Body"].read() == LARGE
    client.upload_fileobj(io.BytesIO(LARGE), "bkt", "big", Config=SMALL)
    target = io.BytesIO()
    client.download_fileobj("bkt", "big", target, Config=SMALL)
    assert target.getvalue() == LARGE
    place = {"Bucket": "bkt", "Key": "parts"}
    place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": client.upload_part(**place, PartNumber=n, Body=body)["ETag"]}
        for n, body in ((1, LARGE), (2, b"end"))
    ]
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert client.get_object(Bucket="bkt", Key="parts")["Body"].read() == LARGE + b"end"
    client.copy_object(Bucket="bkt", Key="l", CopySource="bkt/k")
    client.copy({"Bucket": "bkt", "Key": "big"}, "bkt", "n", Config=SMALL)
    assert client.get_object(Bucket="bkt", Key="l")["Body"].read() == b"in the clear"
    assert client.head_object(Bucket="bkt", Key="n")["ContentLength"] == len(LARGE)
    client.delete_objects(Bucket="bkt", Delete={"Objects": [{"Key": "l"}, {"Key": "n"}]})
    client.delete_object(Bucket="bkt", Key="k")
    keys = [entry["Key"] for entry in plain.list_objects_v2(Bucket="bkt")["Contents"]]
    assert keys == ["big", "m", "parts"], keys
""",
    "tracers": """
    seen = []

    def look(request, event_name, **_):
        body = request.body
        if body is not None:
            seen.append((event_name, hasattr(body, "read"), len(body.read())))
            body.seek(0)

    for name in ("before-send", "before-send.s3", "before-send.s3.PutObject"):
        for order in ("register_first", "register", "register_last"):
            getattr(client.meta.events, order)(name, lambda look=look, **more: look(**more))
    client.put_object(Bucket="bkt", Key="k", Body=b"in the clear")
    assert client.get_object(Bucket="bkt", Key="k")["Body"].read() == b"in the clear"
    # Who comes after moto finds read what moto has stored.
    assert len(seen) == 9 and all(readable for _, readable, _ in seen), seen
    assert sum(length > 28 for _, _, length in seen) >= 8, seen
""",
    "handlers of the caller": """
    client.meta.events.register(
        "provide-client-params.s3.PutObject", lambda params, **_: params.update(Body=b"another", Metadata={"b": "2"})
    )
    client.put_object(Bucket="bkt", Key="k", Body=b"in the clear")
    answer = client.get_object(Bucket="bkt", Key="k")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"another", {"b": "2"})
    for name in ("before-send", "before-send.s3.PutObject"):
        other = s3ec.EncryptionClient(keyring=s3ec.AesKeyring(bytes(range(32))))
        other.meta.events.register_first(name, lambda request, **_: setattr(request, "body", b"PLAIN"))
        try:
            other.put_object(Bucket="bkt", Key="never", Body=b"in the clear")
            raise SystemExit("it was stored")
        except s3ec.errors.UnsupportedOperationError as error:
            assert "before-send" in str(error)
    assert [entry["Key"] for entry in plain.list_objects_v2(Bucket="bkt")["Contents"]] == ["k"]
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_in_process(script: str, tmp_path: Any) -> None:
    """Puts, transfers, parts, ranges, copies and deletes, without a server."""
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    environment.pop("AWS_ENDPOINT_URL", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + textwrap.indent(textwrap.dedent(SCRIPTS[script]), "    ")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
