"""Real S3 servers on loopback: MinIO (checks and encrypts), LocalStack (knows every mode) and versitygw (promises).

Each is started as a program of its own on a free port and ended by its process id. What they do differently from AWS is
said beside the tests that meet it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.aws import REGION
from support.install_servers import tools_directory

ACCESS_KEY = "testadmin"
SECRET_KEY = "testsecret-0123456789"  # a root password of a server that lives for one test run
MINIO_KMS_KEY = "test-key"
READY_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: its endpoint.
        data: the directory where it keeps objects, to look at what is really on the disk.
        certificate: path of the certificate to trust, where it speaks https.
        secret_key: the secret of `ACCESS_KEY`.
        process: itself.
    """

    url: str
    data: Path
    certificate: Path | None
    secret_key: str = SECRET_KEY
    process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> dict[str, Any]:
        """Arguments for ``boto3.client`` or ``EncryptionClient``; the caller's own to change."""
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": ACCESS_KEY,
            "aws_secret_access_key": self.secret_key,
            **({"verify": str(self.certificate)} if self.certificate else {}),
        }

    def disk_contains(self, needle: bytes) -> bool:
        """Whether any file that the server wrote holds these bytes; it may be cleaning up meanwhile."""
        paths = (Path(folder) / name for folder, _, names in os.walk(self.data) for name in names)
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                if needle in path.read_bytes():
                    return True
        return False


@contextlib.contextmanager
def minio(home: Path, *, tls: bool, port: int | None = None) -> Iterator[Server]:
    """Run MinIO with its built-in KMS, whose one key is called `MINIO_KMS_KEY`.

    In a home where it ran before, without TLS, it goes on with what is there.
    """
    data, certificates, key_file = home / "data", home / "certs", home / "kms"
    for folder in (data, certificates):
        folder.mkdir(parents=True, exist_ok=not tls)
    certificate = write_certificate(certificates, "public.crt", "private.key") if tls else None
    port = port or free_port()
    if not key_file.exists():
        key_file.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    kms_key = key_file.read_text("ascii")
    command = [installed("bin/minio"), "server", "--quiet", "--anonymous", "--address", f"127.0.0.1:{port}"]
    environment = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_KMS_SECRET_KEY": f"{MINIO_KMS_KEY}:{kms_key}",
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_CI_CD": "on",
    }
    with running([*command, "--certs-dir", str(certificates), str(data)], environment, home, port) as process:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield Server(url, data, certificate, process=process)


@contextlib.contextmanager
def versitygw(home: Path) -> Iterator[Server]:
    """Run versitygw over a plain directory: it answers 200 to every server-side mode and carries out none."""
    data = home / "data"
    data.mkdir(parents=True)
    port = free_port()
    command = [installed("bin/versitygw"), "--quiet", "--port", f"127.0.0.1:{port}", "posix", "--sidecar"]
    sidecar = home / "sidecar"
    sidecar.mkdir()
    environment = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    with running([*command, str(sidecar), str(data)], environment, home, port):
        yield Server(f"http://127.0.0.1:{port}", data, None)


@contextlib.contextmanager
def localstack(home: Path) -> Iterator[Server]:
    """Run LocalStack with S3 and KMS, http and https on one port."""
    data = home / "data"
    data.mkdir(parents=True)
    certificate = write_certificate(home, "certificate.pem", "key.pem")
    both = home / "key-and-cert.pem"
    both.write_bytes((home / "key.pem").read_bytes() + certificate.read_bytes())
    port = free_port()
    environment = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": "s3,kms",
        "STRICT_SERVICE_LOADING": "1",
        # These two keep it from calling out.
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "S3_SKIP_KMS_KEY_VALIDATION": "0",
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "FILESYSTEM_ROOT": str(data),
        "CUSTOM_SSL_CERT_PATH": str(both),
    }
    with running([installed("localstack/bin/python"), "-m", "localstack.runtime.main"], environment, home, port):
        yield Server(f"https://127.0.0.1:{port}", data, certificate, secret_key="test")


def installed(path: str) -> str:
    """Path of an installed program; a test run without it fails loudly instead of passing."""
    program = tools_directory() / path
    if not program.exists():
        pytest.fail(
            f"{program} IS NOT INSTALLED, NOTHING WAS TESTED ON IT: run python tests/support/install_servers.py"
        )
    return str(program)


@contextlib.contextmanager
def running(
    command: list[str], environment: Mapping[str, str], home: Path, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; its output goes to a file that a failed start shows."""
    log = home / "server.log"
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR"}}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={**inherited, **environment, "HOME": str(home)},
        ) as process,
    ):
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-4000:]}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(port: int) -> bool:
    """Whether something listens on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_certificate(directory: Path, certificate_name: str, key_name: str) -> Path:
    """Write a certificate for loopback that signs itself, and its key; returns the certificate's path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3ec tests")])
    now = datetime.datetime.now(datetime.timezone.utc)
    addresses = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (directory / key_name).write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    path = directory / certificate_name
    path.write_bytes(certificate.public_bytes(encoding))
    return path
