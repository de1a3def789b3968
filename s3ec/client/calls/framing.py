"""How bodies of ours are written to the connection: in large pieces, and over https in S3's chunks of known length.

Over https botocore wraps a body into S3's chunks (``aws-chunked``) to send its checksum as a trailer, does not know how
long that will be, and so has HTTP chunk it once more, in pieces of 16 KiB. Our bodies have a length, and with it the
whole frame has one. S3 gets the same content, checksum and signature, in a fraction of the writes; this pays for the
encryption. Over http botocore sends the body itself; there it is the size of the pieces alone that changes.

Source: Amazon S3 API reference, "Signature calculations: trailing headers (chunked uploads)".
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

from botocore import auth, httpsession
from botocore.exceptions import ClientError
from botocore.httpchecksum import AwsChunkedWrapper

from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.bodies.ciphertext import CiphertextBody, EncryptingBody, PassingBody
from s3ec.client.bodies.claims import Digest, digest_for
from s3ec.client.calls.seals import SealedBytes, SealedRequest, check_at_last
from s3ec.client.multipart.body import PartBody
from s3ec.errors import SourceChangedError

__all__ = ["FramedBody", "PiecedBody", "end_retries_of_passing", "frame", "leave_unsigned", "trail"]

_ENCODING = "s3ec-transfer-encoding"

_FRAME_SIZE = 1024 * 1024
_AT_ONCE = 256 * 1024
_TRAILERS = {"x-amz-checksum-crc32": "ChecksumCRC32", "x-amz-checksum-crc64nvme": "ChecksumCRC64NVME"}
# http.client, urllib3, and what botocore has urllib3 read, which is a constant of its module.
_CONNECTION_READS = frozenset({8192, 16384, 128 * 1024, getattr(httpsession, "BUFFER_SIZE", None) or 8192})
_ASK_AGAIN: Any = {
    "Error": {"Code": "ServiceUnavailable", "Message": "The bucket is in another Region, known now; send it again"},
    "ResponseMetadata": {"HTTPStatusCode": 503, "HTTPHeaders": {}, "RetryAttempts": 0},
}
_LONG = (CiphertextBody, PartBody)
_OURS = (*_LONG, io.BytesIO)


class FramedBody:
    """A body in S3's chunks, each with its length, and the checksum of all of them behind the last.

    To be read like botocore's `AwsChunkedWrapper`, which it replaces.
    """

    def __init__(self, wrapper: AwsChunkedWrapper, raw: Any, length: int, trailer: str) -> None:
        """Take botocore's wrapper, the body in it, which can be read again, its length in bytes, and the trailer."""
        self._wrapper = wrapper
        self._raw = raw
        self._length = length
        self._trailer = trailer
        self._reading: Iterator[bytes | memoryview] | None = None
        self._left: bytes | memoryview = b""
        self._position = 0

    def __len__(self) -> int:
        """Bytes on the wire."""
        return sum(map(_chunk_length, self._chunks())) + len(self._end(self._digest()))

    def __iter__(self) -> Iterator[bytes]:
        """The pieces to be written to the connection: one for a small body."""
        return iter([b"".join(self._pieces())]) if self._length <= _AT_ONCE else map(bytes, self._pieces())

    def _chunks(self) -> Iterator[int]:
        left = self._length
        while left:
            # A tag goes with the bytes before it: for 16 bytes of its own the body would copy the rest of its piece.
            size = left if left <= _FRAME_SIZE + GCM_TAG_LENGTH else _FRAME_SIZE
            yield size
            left -= size

    def _pieces(self) -> Iterator[bytes | memoryview]:
        digest, before = self._digest(), b""
        read: Callable[[int], bytes | memoryview] = self._raw.read
        take = digest.update
        if isinstance(self._raw, EncryptingBody):
            self._raw.begin(digest)
            read, take = self._raw.read_view, _nothing
        elif self._raw.tell():
            self._raw.seek(0)
        for room in self._chunks():
            yield b"%b%x\r\n" % (before, room)
            # What the body gives is summed and sent as it is: to join it into a chunk first would copy every byte.
            while room:
                piece = read(room)
                if not piece:
                    raise SourceChangedError(f"Body ended before the {self._length} bytes that were announced")
                take(piece)
                room -= len(piece)
                yield piece
            before = b"\r\n"
        yield before + self._end(digest)

    def _digest(self) -> Digest:
        return digest_for(_TRAILERS[self._trailer])

    def _end(self, digest: Digest) -> bytes:
        return b"0\r\n%b:%b\r\n\r\n" % (self._trailer.encode(), base64.b64encode(digest.digest()))

    def read(self, size: int | None = None) -> bytes | memoryview:
        """The next bytes on the wire.

        Args:
            size: how many at most, as for a file. The connection reads by the same few bytes whatever it has to send,
                and writes what it gets: to just that size the answer is a whole piece.
        """
        if self._reading is None:
            self._reading = self._pieces() if self._length > _AT_ONCE else iter(self)
        data: bytes | memoryview
        if size is None or size < 0:
            data, self._left = b"".join((self._left, *self._reading)), b""
        else:
            data, self._left = self._left or next(self._reading, b""), b""
            if size not in _CONNECTION_READS:
                data, self._left = bytes(data[:size]), data[size:]
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Back to the start: botocore's retries wrap the same wrapper again.

        Raises:
            botocore.exceptions.AwsChunkedWrapperError: to any other place, as botocore's own wrapper answers.
        """
        self._wrapper.seek(offset, whence)
        self._reading, self._left, self._position = None, b"", 0
        return 0


class PiecedBody:
    """A body as it is, for a connection that reads little and writes what it gets."""

    def __init__(self, raw: CiphertextBody | PartBody) -> None:
        """Take a body of ours."""
        self._raw = raw

    def __len__(self) -> int:
        """Bytes on the wire."""
        return len(self._raw)

    def read(self, size: int | None = None) -> bytes:
        """The next bytes; a larger piece than a connection asks for, see `FramedBody.read`."""
        return bytes(self._raw.read(_FRAME_SIZE if size in _CONNECTION_READS else -1 if size is None else size))

    def tell(self) -> int:
        """Bytes read so far."""
        return int(self._raw.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as the body does."""
        return int(self._raw.seek(offset, whence))


def _nothing(_: object) -> None:
    """Take no checksum: the body does."""


def _chunk_length(length: int) -> int:
    return len(f"{length:x}\r\n") + length + len("\r\n")


def trail(params: Any, context: dict[str, Any], **_: Any) -> None:
    """Handler of ``before-call``: the checksum of a body that can be read once comes behind it, over http too.

    There botocore would read the body twice before it sends it. It is not signed then, as over https; that it is
    what was encrypted, its tag says to every reader.

    Args:
        params: the request.
        context: of the call.
    """
    algorithm = context.get("checksum", {}).get("request_algorithm")
    if isinstance(params["body"], PassingBody) and isinstance(algorithm, dict):
        algorithm["in"] = "trailer"


def end_retries_of_passing(
    request_dict: Any, response: Any, operation: Any, caught_exception: Exception | None, **_: Any
) -> None:
    """Last handler of ``needs-retry``: a body of which bytes have gone is not sent again; its sender gets the answer.

    Args:
        request_dict: the request.
        response: S3's answer, as it came and as it was understood; None if there was none.
        operation: botocore's model.
        caught_exception: why there was none.

    Raises:
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as if there were no retries.
    """
    body = request_dict["body"]
    body = getattr(body, "_raw", body)
    if not isinstance(body, PassingBody) or not body.begun:
        return
    if caught_exception is not None:
        raise caught_exception
    answered, parsed = response
    if request_dict["context"].get("s3_redirect", {}).get("redirected"):
        # No client follows a redirection to a place that it does not know of.
        raise ClientError(_ASK_AGAIN, operation.name)
    if answered.status_code >= 300:
        raise ClientError(parsed, operation.name)


def frame(request: Any, **_: Any) -> None:
    """Last handler of ``before-send``: the last look at the seal, and the frame around a sealed body of ours.

    All other bodies stay as they are.

    Nothing that is signed changes: SigV4 leaves ``Transfer-Encoding`` and ``Expect`` out (see `leave_unsigned`), and
    chunks are signed over http only, where botocore makes none.

    Args:
        request: botocore's prepared request.
    """
    check_at_last(request)
    if isinstance(request, SealedRequest) and isinstance(request.body, (*_LONG, SealedBytes)):
        if len(request.body) <= _AT_ONCE:
            _do_not_ask(request.headers)
        elif isinstance(request.body, _LONG):
            request.frame(PiecedBody(request.body), len(request.body))
        return
    # s3transfer looks behind this wrapper by the same attribute.
    raw = getattr(request.body, "_raw", None)
    if not isinstance(request.body, AwsChunkedWrapper) or not isinstance(raw, _OURS):
        return
    headers = request.headers
    length = _text(headers.get("X-Amz-Decoded-Content-Length"))
    trailer = _text(headers.get("X-Amz-Trailer"))
    if trailer not in _TRAILERS or not length or _is_signed("transfer-encoding", headers):
        return
    framed = FramedBody(request.body, raw, int(length), trailer)
    if isinstance(request, SealedRequest):
        request.frame(framed, len(framed))
    else:
        request.body = framed
        headers["Content-Length"] = str(len(framed))
    del headers["Transfer-Encoding"]
    if int(length) <= _AT_ONCE:
        _do_not_ask(headers)


def leave_unsigned(events: Any) -> None:
    """Have ``Transfer-Encoding`` left out of signatures, as it belongs to one connection, and a frame takes its place.

    Newer botocores leave it out themselves. Signed by an older one and framed, a request would be refused by S3.

    Args:
        events: a client's emitter.
    """
    if "transfer-encoding" not in getattr(auth, "SIGNED_HEADERS_BLACKLIST", ("transfer-encoding",)):
        events.register_first("request-created.s3", _take_encoding_out, unique_id="s3ec-encoding-out")
        events.register_last("request-created.s3", _put_encoding_back, unique_id="s3ec-encoding-back")


def _take_encoding_out(request: Any, **_: Any) -> None:
    if isinstance(request.data, AwsChunkedWrapper) and "Transfer-Encoding" in request.headers:
        request.context[_ENCODING] = request.headers["Transfer-Encoding"]
        del request.headers["Transfer-Encoding"]


def _put_encoding_back(request: Any, **_: Any) -> None:
    encoding = request.context.pop(_ENCODING, None)
    if encoding is not None:
        request.headers["Transfer-Encoding"] = encoding


def _is_signed(name: str, headers: Any) -> bool:
    """True if a header is under the signature of a request: S3 then refuses one without it.

    Args:
        name: in small letters.
        headers: of the request, ``Authorization`` among them where the signature is not in the URL.
    """
    _, _, rest = _text(headers.get("Authorization")).partition("SignedHeaders=")
    return name in rest.partition(",")[0].strip().split(";")


def _do_not_ask(headers: Any) -> None:
    """Asking whether so little may be sent takes longer than sending it; of bytes botocore does not ask either."""
    headers.pop("Expect", None)


def _text(value: str | bytes | None) -> str:
    """A header's value; prepared requests have them as bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""
