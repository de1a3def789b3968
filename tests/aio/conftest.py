"""Fixtures for the asynchronous client. Without aiobotocore only `test_extra.py` is collected, which says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3ec import AesKeyring

from support.lying_s3 import Lies, LyingS3, lying_s3

HAS_AIOBOTOCORE = importlib.util.find_spec("aiobotocore") is not None
collect_ignore_glob = [] if HAS_AIOBOTOCORE else ["test_[!e]*.py", "test_e[!x]*.py"]


@pytest.fixture(scope="session")
def aio_session(_aws_environment: None) -> Any:
    """One session for all clients: a new one parses S3's whole model again."""
    from aiobotocore.session import AioSession

    return AioSession()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for loopback and of its key."""
    from support.servers import write_certificate

    folder = tmp_path_factory.mktemp("certificate")
    return str(write_certificate(folder, "public.crt", "private.key")), str(folder / "private.key")


@pytest.fixture(scope="module")
def running() -> Iterator[LyingS3]:
    """One server for all."""
    with lying_s3() as server:
        yield server


@pytest.fixture
def server(running: LyingS3) -> LyingS3:
    """It, empty and honest."""
    running.state.objects.clear()
    running.state.attempts.clear()
    running.state.requests.clear()
    running.state.lies = Lies()
    return running


@pytest.fixture
def connect(server: LyingS3, aio_session: Any) -> Callable[..., Any]:
    """Gives what ``async with`` makes an encrypting client of, for the lying S3."""
    return lambda **options: _opening(aio_session, server.arguments(**options))


@pytest.fixture
def open_client(aws: dict[str, Any], aio_session: Any) -> Callable[..., Any]:
    """Gives what ``async with`` makes an encrypting client of, for moto."""
    return lambda **options: _opening(aio_session, {**aws, **options})


def _opening(session: Any, options: dict[str, Any]) -> Any:
    """The default keyring has a key of zeros."""
    import s3ec.aio

    options.setdefault("session", session)
    if not options.keys() & {"keyring", "materials_manager", "kms_key_id"}:
        options["keyring"] = AesKeyring(bytes(32))
    return s3ec.aio.EncryptionClient(**options)
