"""What carries no content, or goes to a bucket that is declared to hold plaintext: signed again, and relayed as it is.

Neither the request's target nor its body is taken apart and put together again; only the headers that belong to one
connection, or to the client's own signature, are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.exceptions import NoCredentialsError
from botocore.httpsession import URLLib3Session

from s3ec.errors import S3ECError
from s3ec.serve.payloads import Payload
from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Answer, Request, climbs_out, is_signing, without_chunks

__all__ = ["Relay"]

_BODY_LIMIT = 8 * 1024 * 1024
_UNSIGNED = "UNSIGNED-PAYLOAD"
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"}
)  # fmt: skip
_REPLACED = frozenset(
    {"authorization", "content-length", "date", "expect", "host", "x-amz-content-sha256", "x-amz-date",
     "x-amz-decoded-content-length", "x-amz-security-token", "x-amz-trailer", "accept-encoding"}
)  # fmt: skip


class _Auth(S3SigV4Auth):
    """Signs a body whose hash is known, or is not to be signed."""

    def __init__(self, credentials: Any, region: str, hashed: str | None) -> None:
        super().__init__(credentials, "s3", region)
        self._hashed = hashed

    def payload(self, request: AWSRequest) -> str:
        """The hash that is signed."""
        return str(super().payload(request)) if self._hashed is None else self._hashed


@dataclass(frozen=True, slots=True)
class _Stream:
    """The body of an answer of S3's."""

    raw: Any

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes as they came."""
        return bytes(self.raw.read(size, decode_content=False))

    def close(self) -> None:
        """Give the connection back if all was read, else end it."""
        self.raw.close()


class Relay:
    """The way to S3 for requests that are not changed."""

    def __init__(self, session: boto3.Session, client: BaseClient, *, connections: int) -> None:
        """Take where S3 is and how one gets there, and whose credentials sign.

        Args:
            session: its credentials, which may renew themselves.
            client: an S3 client of that session: its endpoint, Region, proxies, certificate and the authorities that it
                trusts are the relay's.
            connections: how many are kept open.
        """
        self._session = session
        self._endpoint = client.meta.endpoint_url.rstrip("/")
        self._region = client.meta.region_name or "us-east-1"
        self._http = _connected_like(client, connections)

    def small(self, request: Request, payload: Payload) -> Answer:
        """Relay a request whose body is a document at most, verified before anything is sent.

        Raises:
            RefusedError: the body is too large, or not what it should be.
            botocore.exceptions.BotoCoreError: S3 cannot be reached.
        """
        if payload.length > _BODY_LIMIT:
            raise RefusedError(400, "MaxMessageLengthExceeded", "Your request was too big")
        body = payload.read()
        return self._send(request, body, payload.trailer, None)

    def large(self, request: Request, payload: Payload, signed_payload: str) -> Answer:
        """Relay a request with content of any size while it arrives; its last byte leaves once it is verified.

        Raises:
            RefusedError: the body is not what it should be; S3 stored nothing.
            botocore.exceptions.BotoCoreError: S3 cannot be reached.
        """
        if payload.length <= _BODY_LIMIT:
            return self.small(request, payload)
        hashed = signed_payload if len(signed_payload) == 64 else _UNSIGNED
        return self._send(request, payload, {}, hashed)

    def _send(self, request: Request, body: Any, more: Mapping[str, str], hashed: str | None) -> Answer:
        if climbs_out(request.key or ""):
            raise RefusedError(400, "InvalidURI", "Couldn't parse the specified URI: its key leads out of the bucket")
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        headers = _forwarded(request.headers)
        headers.update(more)
        if isinstance(body, Payload):
            headers["Content-Length"] = str(body.length)
        query = "&".join(pair for pair in request.query.split("&") if pair and not _is_of_the_client(pair))
        url = self._endpoint + request.path + (f"?{query}" if query else "")
        sent = AWSRequest(method=request.method, url=url, headers=headers, data=body, stream_output=True)
        _Auth(credentials.get_frozen_credentials(), self._region, hashed).add_auth(sent)
        try:
            response = self._http.send(sent.prepare())
        except Exception as error:
            # botocore wraps what was raised while it sent a body; an error of ours says more than the wrapping.
            raise _own(error) from error.__cause__
        kept = [
            (name, value)
            for name, value in response.headers.items()
            if name.lower() not in _OF_THE_CONNECTION and name.lower() != "content-length"
        ]
        length = response.headers.get("Content-Length")
        return Answer(int(response.status_code), kept, _Stream(response.raw), None if length is None else int(length))


def _connected_like(client: Any, connections: int) -> URLLib3Session:
    """A session of HTTP that goes the client's way; botocore says nowhere in public which that is."""
    like = client._endpoint.http_session
    pair = (like._cert_file, like._key_file) if like._cert_file and like._key_file else like._cert_file
    return URLLib3Session(
        verify=like._verify,
        proxies=like._proxy_config._proxies,
        proxies_config=like._proxy_config.settings,
        client_cert=pair,
        timeout=60,
        max_pool_connections=connections,
    )


def _own(error: Exception) -> Exception:
    kwargs = getattr(error, "kwargs", None)
    inner = kwargs.get("error") if isinstance(kwargs, dict) else None
    return inner if isinstance(inner, S3ECError) else error


def _is_of_the_client(pair: str) -> bool:
    """True for what belongs to the client's signature, or has become a header again."""
    name = pair.partition("=")[0].lower()
    return is_signing(name) or name.startswith("x-amz-")


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    named = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    left = {
        name: value
        for name, value in headers.items()
        if name not in _OF_THE_CONNECTION | _REPLACED | named and name != "content-encoding"
    }
    kept = without_chunks(headers.get("content-encoding", ""))
    return {**left, "content-encoding": kept} if kept else left
