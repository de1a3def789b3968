"""Fixtures of the client's tests: a server that lies, and a keyring that counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from s3ec import AesKeyring, EncryptionClient
from s3ec.keyrings import DefaultMaterialsManager

from support.counting import CountingManager
from support.lying_s3 import LyingS3, lying_s3

WRAPPING_KEY = bytes(range(32))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for loopback and of its key."""
    from support.servers import write_certificate

    folder = tmp_path_factory.mktemp("certificate")
    return str(write_certificate(folder, "public.crt", "private.key")), str(folder / "private.key")


@pytest.fixture(params=["http", "https"])
def liar(request: pytest.FixtureRequest, certificate: tuple[str, str]) -> Iterator[LyingS3]:
    """A lying server, over http and over https: botocore reads bodies differently."""
    paths = certificate if request.param == "https" else (None, None)
    with lying_s3(certificate=paths[0], key_file=paths[1]) as server:
        yield server


@pytest.fixture
def http_liar() -> Iterator[LyingS3]:
    """A lying server over http alone, where the scheme makes no difference."""
    with lying_s3() as server:
        yield server


@pytest.fixture
def counting() -> CountingManager:
    """A materials manager over a raw AES key that counts what it is asked."""
    return CountingManager(DefaultMaterialsManager(AesKeyring(WRAPPING_KEY)))


@pytest.fixture
def lied_to(counting: CountingManager) -> Iterator[Callable[..., Any]]:
    """Makes an ``EncryptionClient`` of a lying server, with a raw AES key."""
    with contextlib.ExitStack() as stack:

        def make(server: LyingS3, **options: Any) -> EncryptionClient:
            if "keyring" not in options:
                options.setdefault("materials_manager", counting)
            return stack.enter_context(contextlib.closing(EncryptionClient(**server.arguments(**options))))

        yield make


@pytest.fixture
def make(
    http_liar: LyingS3, lied_to: Callable[..., Any], _shared_session: boto3.Session
) -> Callable[..., EncryptionClient]:
    """Makes clients of the lying server, on one session."""

    def make(**options: Any) -> EncryptionClient:
        client: EncryptionClient = lied_to(http_liar, session=_shared_session, **options)
        return client

    return make
