"""The session that the file system makes its clients from: every S3 client of it encrypts, also one made later."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiobotocore.session import AioSession

from s3ec import aio
from s3ec.client.options import Options
from s3ec.errors import ConfigurationError

__all__ = ["EncryptingSession", "checked"]


class EncryptingSession:
    """An `AioSession` as s3fs uses one, whose S3 clients are `s3ec.aio.EncryptionClient`s; other services are plain.

    The session behind it is not changed: it may be the caller's.
    """

    def __init__(self, session: AioSession, options: Options) -> None:
        """Take what clients are made of.

        Args:
            session: makes the clients.
            options: of each S3 client.
        """
        self._session = session
        self._options = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}

    def __getattr__(self, name: str) -> Any:
        """The session's own."""
        return getattr(self._session, name)

    def create_client(self, service_name: str, **arguments: Any) -> Any:
        """Return an asynchronous context manager that makes a client, as `AioSession.create_client` does."""
        if service_name != "s3":
            return self._session.create_client(service_name, **arguments)
        return aio.EncryptionClient(session=self._session, **self._options, **arguments)


def checked(client: Any) -> Any:
    """Return a client if it encrypts, however s3fs came by it.

    Raises:
        ConfigurationError: it does not.
    """
    if not isinstance(client, aio.EncryptionClient):
        raise ConfigurationError(
            f"the file system has a client that does not encrypt (a {type(client).__module__}."
            f"{type(client).__qualname__}), and sends nothing through it"
        )
    return client
