"""``s3ec serve`` as a process: what it prints opens it, and a signal ends it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from s3ec.errors import ConfigurationError
from s3ec.serve import LocalCredentials, ServeSettings
from s3ec.serve.credentials_file import credentials_in

from support.serving import converse

METRICS = b"GET /-/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.slow
def test_what_it_prints_opens_it_and_sigterm_ends_it(
    aws: dict[str, Any], bucket: str, tmp_path: Path, plain_s3: Any, kms_key: str
):
    """The whole way, as a user walks it."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": aws["endpoint_url"],
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    words = ["serve", "--port", "0", "--kms-key", kms_key, "--credentials", str(tmp_path / "own")]
    process = subprocess.Popen(
        [sys.executable, "-m", "s3ec", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        lines = [process.stdout.readline().decode().strip() for _ in range(2)]
        printed = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        own = credentials_in(Path(printed["AWS_SHARED_CREDENTIALS_FILE"]))
        s3 = boto3.client(
            "s3",
            endpoint_url=printed["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id=own.access_key,
            aws_secret_access_key=own.secret_key,
        )
        s3.put_object(Bucket=bucket, Key="k", Body=b"by a process")
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"by a process"
        s3.close()
        counted = converse(printed["AWS_ENDPOINT_URL_S3"], METRICS).decode()
        for operation in ("GenerateDataKey", "Decrypt"):
            assert f's3ec_kms_calls_total{{operation="{operation}"}} 1' in counted
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert plain_s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 12 + 16


def test_the_credentials_are_the_owners_alone_and_stay_the_same(tmp_path: Path):
    """Made once, read afterwards; a file that others can read is refused."""
    path = tmp_path / "own"
    made = credentials_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials_in(path) == made
    assert made.secret_key not in repr(made)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        credentials_in(path)


@pytest.mark.parametrize("text", ["", "[default]\n", "no section", "[default]\naws_access_key_id = secret-in-a-line\n"])
def test_a_file_without_a_pair_is_refused_without_showing_it(tmp_path: Path, text: str):
    """Whatever the parser complains about stays in the file."""
    path = tmp_path / "own"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        credentials_in(path)
    assert "secret-in-a-line" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - refused
def test_an_address_beyond_loopback_takes_tls_and_a_word(host: str):
    """Neither alone is enough."""
    own = LocalCredentials.generate()
    with pytest.raises(ConfigurationError, match="--beyond-loopback"):
        ServeSettings(credentials=own, host=host)
    with pytest.raises(ConfigurationError, match="--beyond-loopback"):
        ServeSettings(credentials=own, host=host, beyond_loopback=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LocalCredentials("KEY", "short"),
        lambda: LocalCredentials("with/slash", "x" * 20),
        lambda: ServeSettings(credentials=LocalCredentials.generate(), max_requests=0),
        lambda: ServeSettings(credentials=LocalCredentials.generate(), memory_limit=1),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[], Any]):
    """At once, by name."""
    with pytest.raises(ConfigurationError):
        make()
