"""The operations that carry content: HTTP to a call of the one client, and its answer back to HTTP.

Every rule about encryption is the client's. Here stands only what HTTP and S3's protocol ask for besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from s3ec.client.bodies.sources import PassedOn
from s3ec.client.encryption_client import EncryptionClient
from s3ec.errors import MultipartStateError
from s3ec.serve import etags
from s3ec.serve.composites import verify_composite
from s3ec.serve.doors import Door
from s3ec.serve.payloads import Payload
from s3ec.serve.reads import Reads
from s3ec.serve.refusals import RefusedError
from s3ec.serve.requests import Answer, Request, without_chunks
from s3ec.serve.shapes import input_document, output_document, output_headers, parameters_of

__all__ = ["copy_source", "perform"]

_AT_ONCE = 1024 * 1024
_DOCUMENT_LIMIT = 8 * 1024 * 1024
_CONDITIONS = ("IfMatch", "IfNoneMatch", "CopySourceIfMatch", "CopySourceIfNoneMatch")
_WRITES = frozenset({"CreateMultipartUpload", "PutObject"})
_READS = frozenset({"GetObject", "UploadPartCopy"})
_NAMED = frozenset({"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"})


def perform(
    operation_name: str, request: Request, payload: Payload, door: Door, client: EncryptionClient, reads: Reads
) -> Answer:
    """Carry one operation out.

    Args:
        operation_name: as botocore spells it.
        request: as it arrived.
        payload: its body, to be verified while it is read.
        door: what holds for the bucket.
        client: that of the door, or a view of it.
        reads: makes the calls of the client.

    Raises:
        RefusedError: the request is not what the operation takes.
        S3ECError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as the client raises.
    """
    model = client.meta.service_model.operation_model(operation_name)
    parameters = _parameters(operation_name, request, payload, door, client)
    if operation_name == "UploadPartCopy":
        _refuse_unknown_upload(client, parameters)
    response = reads.call(client, operation_name, parameters)
    return _answer(operation_name, request, response, model)


def _parameters(
    operation_name: str, request: Request, payload: Payload, door: Door, client: EncryptionClient
) -> dict[str, Any]:
    shape: Any = client.meta.service_model.operation_model(operation_name).input_shape
    parameters = parameters_of(request, shape)
    parameters.update({name: etags.hidden(parameters[name]) for name in _CONDITIONS if name in parameters})
    encoding = without_chunks(parameters.pop("ContentEncoding", ""))
    if encoding:
        parameters["ContentEncoding"] = encoding
    if "if-range" in request.headers:
        # boto3 has no such condition. Without the range the answer is the whole object, which is always right.
        parameters.pop("Range", None)
    if "CopySource" in parameters:
        parameters["CopySource"] = copy_source(request)
    if operation_name in _WRITES:
        parameters.update(door.write_context)
    if operation_name in _READS:
        parameters["EncryptionContext"] = door.read_context
    if operation_name != "CompleteMultipartUpload":
        _forget_what_is_verified(parameters, payload, shape)
    if shape.serialization.get("payload") == "Body":
        _put_body(operation_name, parameters, payload, client)
    else:
        parameters.update(_document(operation_name, payload, shape))
    if operation_name == "CompleteMultipartUpload":
        verify_composite(parameters)
    return parameters


def _document(operation_name: str, payload: Payload, shape: Any) -> dict[str, Any]:
    if payload.length > _DOCUMENT_LIMIT:
        raise RefusedError(400, "MaxMessageLengthExceeded", "Your request was too big")
    name, document = shape.serialization.get("payload"), payload.read()
    if name is not None:
        return {name: _hidden_parts(input_document(document, shape.members[name]))}
    if document:
        raise RefusedError(400, "InvalidRequest", f"{operation_name} takes no body")
    return {}


def _forget_what_is_verified(parameters: dict[str, Any], payload: Payload, shape: Any) -> None:
    """The length and the checksums of the body are verified as it is read; the client learns which were wanted."""
    for name in list(parameters):
        verified = name.startswith("Checksum") and name not in ("ChecksumAlgorithm", "ChecksumMode", "ChecksumType")
        if verified or name in ("ContentLength", "ContentMD5"):
            del parameters[name]
    named = [each for each in payload.algorithms if each in _NAMED]
    if named and "ChecksumAlgorithm" in shape.members:
        parameters.setdefault("ChecksumAlgorithm", named[0])


def _sends_in_one_pass(client: EncryptionClient) -> bool:
    """True if botocore puts a checksum behind the body; without one it reads it twice, to sign it first."""
    config: Any = client.meta.config
    return bool(config.request_checksum_calculation == "when_supported")


def _put_body(operation_name: str, parameters: dict[str, Any], payload: Payload, client: EncryptionClient) -> None:
    if payload.length <= _AT_ONCE:
        parameters["Body"] = payload.read()
    else:
        passing = operation_name == "PutObject" and _sends_in_one_pass(client)
        parameters["Body"] = PassedOn(payload.readinto, payload.length) if passing else payload
        parameters["ContentLength"] = payload.length


def _hidden_parts(document: dict[str, Any]) -> dict[str, Any]:
    """The payload with the ETags of parts, and of objects to delete, as S3 knows them."""
    for entry in (*document.get("Parts", ()), *document.get("Objects", ())):
        if "ETag" in entry:
            entry["ETag"] = etags.hidden(entry["ETag"])
    return document


def copy_source(request: Request) -> dict[str, str]:
    """The source of a copy, from its header.

    Raises:
        RefusedError: it is not ``bucket/key``; access points have names that no rule for buckets covers.
    """
    path, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
    bucket, found, key = unquote(path).removeprefix("/").partition("/")
    if not found or not bucket or not key or bucket.startswith("arn:"):
        raise RefusedError(400, "InvalidArgument", "x-amz-copy-source must be bucket/key")
    return {"Bucket": bucket, "Key": key, **({"VersionId": unquote(version)} if version else {})}


def _refuse_unknown_upload(client: EncryptionClient, parameters: Mapping[str, Any]) -> None:
    """Elsewhere the client lets such a copy pass, for uploads of its raw view; none of those come from here."""
    try:
        client._s3ec_uploads.find(parameters["UploadId"])
    except MultipartStateError:
        raise RefusedError(
            404,
            "NoSuchUpload",
            "The specified upload does not exist: it was not begun through this endpoint since it started",
        ) from None


def _answer(operation_name: str, request: Request, response: Mapping[str, Any], model: Any) -> Answer:
    shape = model.output_shape
    response = _shown(response)
    if operation_name == "CompleteMultipartUpload":
        scheme = "https" if request.secure else "http"
        response["Location"] = f"{scheme}://{request.headers['host']}{request.path}"
    headers = [pair for pair in output_headers(response, shape) if pair[0] != "Content-Length"] if shape else []
    request_id = response.get("ResponseMetadata", {}).get("RequestId")
    headers += [("x-amz-request-id", request_id)] if request_id else []
    status = int(model.http.get("responseCode", 200))
    if operation_name == "HeadObject":
        partial = "ContentRange" in response
        return Answer(206 if partial else 200, headers, b"", int(response.get("ContentLength", 0)))
    if operation_name == "GetObject":
        status = 206 if "ContentRange" in response else 200
        return Answer(status, headers, Begun(response["Body"]), response.get("ContentLength"))
    document = output_document(operation_name, response, shape) if shape else b""
    if document:
        headers.append(("Content-Type", "application/xml"))
    return Answer(status, headers, document)


def _shown(response: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with its ETags as clients see them."""
    shown = dict(response)
    for name in ("CopyObjectResult", "CopyPartResult"):
        if name in shown:
            shown[name] = _shown(shown[name])
    if "ETag" in shown:
        shown["ETag"] = etags.shown(shown["ETag"])
    return shown


class Begun:
    """A body whose first bytes are there: it verified, so the answer may say 200."""

    def __init__(self, body: Any) -> None:
        """Read the first bytes; the body is closed if they do not come.

        Raises:
            S3ECError: the object does not verify.
        """
        self._body = body
        try:
            self._first = body.read(_AT_ONCE)
        except BaseException:
            body.close()
            raise

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
            return bytes(data)
        return bytes(self._body.read(size))

    def close(self) -> None:
        """Close what is beneath."""
        self._body.close()
