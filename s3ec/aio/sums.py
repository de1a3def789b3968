"""Checksums of large bodies, and the hash that signs them over http: computed in threads, and taken as they are then.

botocore computes both where it is, on the loop: 50 MiB hold it for a tenth of a second. Here they are computed before
the request is made, of the bytes that are sent, which do not change any more. S3's signers take no hash that a caller
states, and compute it in a method of their own; for a body of ours that method has the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore import httpchecksum

from s3ec.aio.ciphertext import Base64Sum, StoredCiphertext, Summing
from s3ec.client.calls.shortcuts.signatures import in_short

__all__ = ["sum_off_the_loop"]

_SIGNED = "X-Amz-Content-SHA256"
# By the name of their algorithm; what is not among them is left to botocore.
_CHECKSUMS: dict[str, Callable[[], Any]] = getattr(httpchecksum, "_CHECKSUM_CLS", {})


class _Sha256:
    """The hash that a signature covers."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.update = self._digest.update

    def text(self) -> str:
        """In hexadecimal digits."""
        return self._digest.hexdigest()


def sum_off_the_loop(client: Any) -> None:
    """Have the checksums of a client's large bodies computed in threads.

    Args:
        client: an aiobotocore client of ours, whose seals are being watched already.
    """
    # Behind every handler that may replace the body, and behind the one that refuses what did.
    client.meta.events.register_last("before-call", _sum_up, unique_id="s3ec-sums")
    signer = client.__dict__["_request_signer"]
    # Looked up at each call, so that a later patch of the class's method takes effect.
    signer.get_auth_instance = partial(_knowing_auth, signer)


async def _sum_up(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    body = params["body"]
    if not isinstance(body, StoredCiphertext):
        return
    stated = context.get("checksum", {}).get("request_algorithm")
    where = stated.get("in") if isinstance(stated, dict) else None
    digests: dict[str, Callable[[], Summing]] = {}
    if isinstance(stated, dict) and stated.get("algorithm") in _CHECKSUMS:
        digests[stated["name"]] = partial(Base64Sum, _CHECKSUMS[stated["algorithm"]])
    if where != "trailer":  # which leaves the body unsigned
        digests[_SIGNED] = _Sha256
    await body.sum_up(digests)
    if where == "header" and isinstance(stated, dict) and stated["name"] in body.sums:
        # Where it is stated, botocore takes it as it is; and so it does with what a handler has stated.
        params["headers"].setdefault(stated["name"], body.sums[stated["name"]])


class _Knowing:
    """Stands before one of botocore's signers, those of awscrt among them."""

    def payload(self, request: Any) -> str:
        """The hash of the body, where it is to be signed."""
        signer: Any = super()
        known = _known_hash(request)
        if known is None or signer._is_streaming_checksum_payload(request):
            return str(signer.payload(request))
        return known if signer._should_sha256_sign_payload(request) else str(signer.payload(request))

    def _get_existing_sha256(self, request: Any) -> Any:
        """The hash of the body, which is signed if the body is to be."""
        signer: Any = super()
        return _known_hash(request) or signer._get_existing_sha256(request)


def _known_hash(request: Any) -> str | None:
    body = request.data
    return body.sums.get(_SIGNED) if isinstance(body, StoredCiphertext) else None


_kinds: dict[type, type] = {}


async def _knowing_auth(signer: Any, *args: Any, **keywords: Any) -> Any:
    return _knowing(in_short(await type(signer).get_auth_instance(signer, *args, **keywords)))


def _knowing(auth: Any) -> Any:
    kind = type(auth)
    if hasattr(kind, "_should_sha256_sign_payload"):
        if kind not in _kinds:
            _kinds[kind] = type(kind.__name__, (_Knowing, kind), {})
        auth.__class__ = _kinds[kind]
    return auth
