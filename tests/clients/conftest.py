"""Each client at the plain backend and through an endpoint before it; what it stored is opened by two others."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from clients import install
from clients.matrix import PAGE, Matrix, client_of
from interop.peers import Program

from s3ec import EncryptionClient, KmsKeyring
from s3ec.serve import ServeSettings
from s3ec.serve.assembly import make_server
from s3ec.serve.doors import Door, OneDoor
from s3ec.serve.routes import Routes

from support import servers
from support.aws import REGION, client_arguments, empty_bucket, new_bucket_name
from support.places import Place, program
from support.serving import CREDENTIALS, running

_MATRIX = pytest.StashKey[Matrix]()


def installed(name: str) -> list[str]:
    """What starts a program of `install.PROGRAMS`; where it cannot be had, the test is skipped and says so."""
    try:
        return install.command(name)
    except install.AbsentError as error:
        pytest.skip(f"{name.upper()} IS NOT RUN: {error}")


class Backends:
    """Backends by their names, and an endpoint before each, all started when they are first asked for."""

    def __init__(self, moto: str, keyring: KmsKeyring, home: Path, stack: contextlib.ExitStack) -> None:
        """Take moto's URL, a folder to keep data in, and who ends what is started."""
        self._moto, self._home, self._stack = moto, home, stack
        self._keyring = keyring

    @functools.cache  # noqa: B019 - there is one for the run
    def minio(self, *, tls: bool) -> servers.Server:
        """MinIO, over http or https."""
        installed("minio")
        return self._stack.enter_context(servers.minio(self._home / str(tls), tls=tls))

    def arguments(self, name: str) -> dict[str, Any]:
        """What a plain boto3 client of the backend takes."""
        return client_arguments(self._moto) if name == "moto" else self.minio(tls=name == "tls").arguments()

    def reader(self, arguments: dict[str, Any], **options: Any) -> EncryptionClient:
        """A client of ours at a backend."""
        pair = arguments["aws_access_key_id"], arguments["aws_secret_access_key"]
        session = boto3.Session(*pair, region_name=REGION)
        made = EncryptionClient(keyring=self._keyring, session=session, **arguments, **options)
        return self._stack.enter_context(contextlib.closing(made))

    @functools.cache  # noqa: B019 - see above
    def endpoint(self, name: str) -> str:
        """URL of an endpoint before the backend; for ``tls`` it speaks https, and the backend behind it does not."""
        context = None
        if name == "tls":
            certificate = self.minio(tls=True).certificate
            assert certificate is not None
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, certificate.parent / "private.key")
        arguments = self.arguments(behind(name))
        settings = ServeSettings(credentials=CREDENTIALS, port=0, tls=context)
        client = self.reader(arguments, buffer_size=settings.buffer_size)
        pair = arguments["aws_access_key_id"], arguments["aws_secret_access_key"]
        server = make_server(
            settings, boto3.Session(*pair, region_name=REGION), client, OneDoor(Door(client, {}, True))
        )
        return self._stack.enter_context(running(server)).url


def behind(name: str) -> str:
    """The backend that is behind the endpoint of a name."""
    return "minio" if name == "tls" else name


@pytest.fixture(scope="session")
def backends(endpoint: str, kms_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    """All of them; KMS is moto's for each."""
    # The suite shares one model of S3, out of which botocore's clients cut what the endpoint finds operations by.
    Routes.of_s3()
    with contextlib.ExitStack() as stack:
        kms = stack.enter_context(contextlib.closing(boto3.client("kms", **client_arguments(endpoint))))
        yield Backends(endpoint, KmsKeyring(kms_key, client=kms), tmp_path_factory.mktemp("minio"), stack)


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program | None]:
    """The official client for Java, one process for all objects of the run; None where Java is not installed."""
    if not install.has_java():
        yield None
        return
    home = str(tmp_path_factory.mktemp("java"))
    with contextlib.closing(Program(install.command("official"), home)) as program:
        yield program


@pytest.fixture(params=["moto-plain", "moto-serve", "minio-plain", "minio-serve"])
def place(
    request: pytest.FixtureRequest,
    backends: Backends,
    official: Program | None,
    endpoint: str,
    kms_key: str,
    tmp_path: Path,
) -> Iterator[Place]:
    """The backend itself, and the endpoint in front of it; afterwards everything must be encrypted, or nothing.

    A client of https is sent to the other two, ``tls-plain`` and ``tls-serve``, by its parameters.
    """
    backend, _, way = request.param.partition("-")
    encrypted = way == "serve"
    arguments = backends.arguments(behind(backend) if encrypted else backend)
    pair = arguments["aws_access_key_id"], arguments["aws_secret_access_key"]
    with contextlib.closing(boto3.client("s3", **arguments)) as plain:
        bucket, home = new_bucket_name(), tmp_path / "home"
        home.mkdir()
        plain.create_bucket(Bucket=bucket)
        certificate = backends.minio(tls=True).certificate if backend == "tls" else None
        if encrypted:
            pair = CREDENTIALS.access_key, CREDENTIALS.secret_key
            place = Place(request.param, backends.endpoint(backend), *pair, bucket, home, certificate)
        else:
            place = Place(request.param, arguments["endpoint_url"], *pair, bucket, home, certificate)
        yield place
        request.node.user_properties.append(("did", place.done))
        reader = backends.reader(arguments, unencrypted_objects="allow")
        stored = plain.list_objects_v2(Bucket=bucket).get("Contents", [])
        assert stored
        for each in stored:
            raw = plain.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            answer = reader.get_object(Bucket=bucket, Key=each["Key"])
            content = answer["Body"].read()
            how = answer["ResponseMetadata"]["ClientSideEncryption"]["format"]
            if not encrypted:
                assert (how, raw) == (None, content), each
                continue
            assert (how, len(raw)) == ("V3", len(content) + 16), each
            assert not content or not raw.startswith(content), each
            if official is not None:
                said = official.ask(
                    op="get", client="java4", endpoint=arguments["endpoint_url"], kms_endpoint=endpoint,
                    access_key=arguments["aws_access_key_id"], secret_key=arguments["aws_secret_access_key"],
                    keyring={"kind": "kms", "arn": kms_key}, bucket=bucket, key=each["Key"],
                )  # fmt: skip
                digest = hashlib.sha256(content).hexdigest()
                assert (said.get("error"), said.get("sha256")) == (None, digest), each
        opened = len(stored) if encrypted and official is not None else 0
        request.node.user_properties.append(("opened", opened))
        empty_bucket(plain, bucket)


@pytest.fixture
def built(place: Place) -> Callable[[str], Callable[..., str]]:
    """Runs a program of `install.PROGRAMS` at the place."""
    return lambda name: program(installed(name), place)


def pytest_configure(config: pytest.Config) -> None:
    """One matrix for the run."""
    config.stash[_MATRIX] = Matrix()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A client that has no row would not be missed on the page."""
    for item in items:
        client_of(item.nodeid)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note what becomes of each client, in the process that sees the reports of all workers."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Taking(session.config.stash[_MATRIX]))


class _Taking:
    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._matrix.take(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud that one of the two readers was not there."""
    if not install.has_java():
        terminalreporter.write_line(f"{install.NO_JAVA}: NO OBJECT WAS OPENED BY THE OFFICIAL CLIENT", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was found where it is wanted; and the page after a whole and green run, never after part of one."""
    matrix = session.config.stash[_MATRIX]
    if matrix.empty:
        return
    if report := os.environ.get("S3EC_CLIENTS_PAGE"):
        matrix.write(Path(report))
        if exitstatus == 0 and matrix.whole:
            matrix.write(PAGE)
