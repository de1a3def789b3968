"""An S3 with versions and a KMS, in memory and honest: what the lies of this folder are told about.

`Cloud.answer` is a function from request to answer. What becomes of an answer on its way out is `server`'s affair.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import secrets
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Answer", "Cloud", "Request", "Stored", "operation"]

KMS_KEY = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
_KEPT = ("content-type", "cache-control", "content-language", "content-disposition", "content-encoding")
_DATE = formatdate(1_790_000_000, usegmt=True)
_CALLER = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/lies</Arn>"
    "<UserId>lies</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_DATE_ISO = "2026-09-21T14:13:20.000Z"


@dataclass(frozen=True)
class Request:
    """What arrived; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and key, both empty where there are none."""
        bucket, _, key = unquote(urlsplit(self.target).path).lstrip("/").partition("/")
        return bucket, key

    @property
    def query(self) -> dict[str, str]:
        """The query, where each name stands once."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass
class Answer:
    """What goes back. The attributes after ``body`` are how it goes; an honest answer has none of them.

    Attributes:
        status: HTTP status.
        headers: in order; a name may stand twice.
        body: bytes of the body.
        cut: so many bytes of the body are sent, then the connection ends.
        reset: it ends with RST instead of FIN.
        stall: before it ends, nothing happens until the client has gone.
        endless: zeros follow the body until the client has gone.
        silent: not even the status line is sent.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    cut: int | None = None
    reset: bool = False
    stall: bool = False
    endless: bool = False
    silent: bool = False

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), None)


@dataclass(frozen=True)
class Stored:
    """One version of one object."""

    body: bytes
    headers: tuple[tuple[str, str], ...]
    version: str
    part_sizes: tuple[int, ...] = ()

    @property
    def etag(self) -> str:
        """Quoted, as S3 gives it."""
        digest = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
        return f'"{digest}-{len(self.part_sizes)}"' if self.part_sizes else f'"{digest}"'


@dataclass
class Upload:
    """A multipart upload that goes on."""

    place: tuple[str, str]
    headers: tuple[tuple[str, str], ...]
    parts: dict[int, bytes] = field(default_factory=dict)


def operation(request: Request) -> str:
    """The name of what is asked for, as botocore has it; objects' instruction files are told apart."""
    if "x-amz-target" in request.headers:
        return "kms." + request.headers["x-amz-target"].rpartition(".")[2]
    method, (_, key), query = request.method, request.place, request.query
    named = ("uploads", "delete", "versions", "versioning", "tagging", "acl", "policy", "encryption", "location")
    subresource = next((name for name in named if name in query), None)
    if not key:
        return f"{method} bucket?{subresource or ''}"
    if subresource:
        return f"{method} object?{subresource}"
    copy = " copy" if "x-amz-copy-source" in request.headers else ""
    part = " part" if "partNumber" in query or "uploadId" in query else ""
    span = " range" if "range" in request.headers and method == "GET" else ""
    return f"{method}{' instruction file' if key.endswith('.instruction') else ''}{copy}{part}{span}"


def error(status: int, code: str, **more: object) -> Answer:
    """An answer of S3 that says no."""
    details = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    return _xml(status, f"<Error><Code>{code}</Code><Message>{code}</Message>{details}</Error>")


def _xml(status: int, text: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    return Answer(status, [("Content-Type", "application/xml")], body)


class Cloud:
    """Everything that is stored, and the rules by which it is answered.

    Attributes:
        objects: versions by place, the newest last.
        uploads: by upload ID.
        versioned: buckets that keep versions.
        arrived: bodies that came in, whatever became of them.
        page: entries of one page of a list.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.objects: dict[tuple[str, str], tuple[Stored, ...]] = {}
        self.uploads: dict[str, Upload] = {}
        self.versioned: set[str] = {"versioned"}
        self.arrived: list[bytes] = []
        self.page = 2
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._wrapping_key = AESGCM(secrets.token_bytes(32))

    def answer(self, request: Request) -> Answer:
        """Do what is asked."""
        with self._lock:
            if "x-amz-target" in request.headers:
                answer = self._kms(request)
            elif request.body.startswith(b"Action=GetCallerIdentity"):
                answer = _xml(200, _CALLER)
            else:
                self.arrived.append(request.body)
                answer = self._s3(request)
        names = {name.lower() for name, _ in answer.headers}
        if answer.status != 204 and "content-length" not in names:
            answer.headers.append(("Content-Length", str(len(answer.body))))
        answer.headers.append(("x-amz-request-id", "0123456789ABCDEF"))
        return answer

    # KMS

    def _kms(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        name = operation(request).removeprefix("kms.")
        try:
            fields = self._keys(name, asked)
        except (InvalidTag, ValueError):
            said = b'{"__type": "InvalidCiphertextException"}'
            return Answer(400, [("Content-Type", "application/x-amz-json-1.1")], said)
        document = {"KeyId": KMS_KEY, **{name: base64.b64encode(value).decode() for name, value in fields.items()}}
        if name == "ReEncrypt":
            document["SourceKeyId"] = KMS_KEY
        return Answer(200, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(document).encode())

    def _keys(self, name: str, asked: dict[str, Any]) -> dict[str, bytes]:
        if name == "Decrypt":
            return {"Plaintext": self._unwrapped(asked, "EncryptionContext")}
        if name == "ReEncrypt":
            key = self._unwrapped(asked, "SourceEncryptionContext")
            return {"CiphertextBlob": self._wrapped(key, asked, "DestinationEncryptionContext")}
        if name == "Encrypt":
            return {"CiphertextBlob": self._wrapped(base64.b64decode(asked["Plaintext"]), asked, "EncryptionContext")}
        assert name in ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"), name
        key = secrets.token_bytes(32)
        wrapped = {"CiphertextBlob": self._wrapped(key, asked, "EncryptionContext")}
        return wrapped if name.endswith("WithoutPlaintext") else {**wrapped, "Plaintext": key}

    def _unwrapped(self, asked: dict[str, Any], context: str) -> bytes:
        wrapped = base64.b64decode(asked["CiphertextBlob"])
        bound = json.dumps(asked.get(context, {}), sort_keys=True).encode()
        return self._wrapping_key.decrypt(wrapped[:12], wrapped[12:], bound)

    def _wrapped(self, key: bytes, asked: dict[str, Any], context: str) -> bytes:
        nonce = secrets.token_bytes(12)
        bound = json.dumps(asked.get(context, {}), sort_keys=True).encode()
        return nonce + self._wrapping_key.encrypt(nonce, key, bound)

    # S3

    def _s3(self, request: Request) -> Answer:
        bucket, key = request.place
        query = request.query
        if not key:
            return self._bucket(request, bucket)
        if "tagging" in query or "acl" in query:
            return self._about_object(request)
        by_method: dict[str, Callable[[Request], Answer]] = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "POST": self._post,
            "DELETE": self._delete,
        }
        return by_method[request.method](request)

    def _about_object(self, request: Request) -> Answer:
        if self._find(request) is None:
            return error(404, "NoSuchKey")
        if "tagging" in request.query:
            return _xml(200, "<Tagging><TagSet></TagSet></Tagging>")
        owner = "<ID>owner</ID>"
        grant = f"<Grant><Grantee>{owner}</Grantee><Permission>FULL_CONTROL</Permission></Grant>"
        grants = f"<AccessControlList>{grant}</AccessControlList>"
        return _xml(200, f"<AccessControlPolicy><Owner>{owner}</Owner>{grants}</AccessControlPolicy>")

    def _bucket(self, request: Request, bucket: str) -> Answer:
        query = request.query
        if not bucket:
            return _xml(200, "<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>")
        if request.method == "HEAD":
            return Answer(200, [("x-amz-bucket-region", "us-east-1")])
        if request.method == "POST":
            for key in re.findall(rb"<Key>(.*?)</Key>", request.body):
                self._remove((bucket, key.decode()), None)
            return _xml(200, "<DeleteResult></DeleteResult>")
        if "versioning" in query:
            status = "<Status>Enabled</Status>" if bucket in self.versioned else ""
            return _xml(200, f"<VersioningConfiguration>{status}</VersioningConfiguration>")
        if "location" in query:
            return _xml(200, "<LocationConstraint></LocationConstraint>")
        if "uploads" in query:
            return self._list_uploads(bucket)
        if "versions" in query:
            return self._list_versions(bucket, query)
        if not set(query) <= {"list-type", "prefix", "delimiter", "encoding-type", "continuation-token", "max-keys"}:
            return error(404, "NoSuchConfiguration")
        return self._list(bucket, query)

    def _list(self, bucket: str, query: dict[str, str]) -> Answer:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        keys = sorted(key for place, key in self.objects if place == bucket and key.startswith(prefix) and key > after)
        page = keys[: self.page]
        more = len(keys) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        rows = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>{_DATE_ISO}</LastModified>"
            f"<ETag>{escape(newest.etag)}</ETag><Size>{len(newest.body)}</Size><StorageClass>STANDARD</StorageClass>"
            "</Contents>"
            for key in page
            for newest in [self.objects[bucket, key][-1]]
        )
        about = f"<Name>{bucket}</Name><Prefix>{quote(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
        flags = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        return _xml(200, f"<ListBucketResult>{about}{flags}{token}{rows}</ListBucketResult>")

    def _list_versions(self, bucket: str, query: dict[str, str]) -> Answer:
        prefix, after = query.get("prefix", ""), (query.get("key-marker", ""), query.get("version-id-marker", ""))
        entries = [
            (key, stored, index == 0)
            for (place, key), versions in sorted(self.objects.items())
            if place == bucket and key.startswith(prefix)
            for index, stored in enumerate(reversed(versions))
        ]
        names = [(key, stored.version) for key, stored, _ in entries]
        start = names.index(after) + 1 if after in names else 0
        page = entries[start : start + self.page]
        more = len(entries) > start + len(page)
        marks = "".join(
            f"<NextKeyMarker>{quote(key)}</NextKeyMarker><NextVersionIdMarker>{stored.version}</NextVersionIdMarker>"
            for key, stored, _ in page[-1:]
            if more
        )
        rows = "".join(
            f"<Version><Key>{quote(key)}</Key><VersionId>{stored.version}</VersionId>"
            f"<IsLatest>{str(newest).lower()}</IsLatest><LastModified>{_DATE_ISO}</LastModified>"
            f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.body)}</Size><StorageClass>STANDARD</StorageClass>"
            "</Version>"
            for key, stored, newest in page
        )
        flags = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        return _xml(200, f"<ListVersionsResult>{flags}{marks}{rows}</ListVersionsResult>")

    def _list_uploads(self, bucket: str) -> Answer:
        rows = "".join(
            f"<Upload><Key>{quote(upload.place[1])}</Key><UploadId>{name}</UploadId><Initiated>{_DATE_ISO}</Initiated>"
            "</Upload>"
            for name, upload in self.uploads.items()
            if upload.place[0] == bucket
        )
        flags = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        return _xml(200, f"<ListMultipartUploadsResult>{flags}{rows}</ListMultipartUploadsResult>")

    def _find(self, request: Request) -> Stored | None:
        versions = self.objects.get(request.place, ())
        wanted = request.query.get("versionId")
        return next((one for one in reversed(versions) if wanted in (None, one.version)), None)

    def _get(self, request: Request) -> Answer:
        if "uploadId" in request.query:
            return self._list_parts(request)
        stored = self._find(request)
        answer = error(404, "NoSuchKey") if stored is None else self._read(request, stored)
        if request.method == "HEAD":
            if not answer.header("ETag"):
                answer.headers = []
            answer.headers.append(("Content-Length", str(len(answer.body))))
            answer.body = b""
        return answer

    def _read(self, request: Request, stored: Stored) -> Answer:
        if request.headers.get("if-match") not in (None, stored.etag):
            return error(412, "PreconditionFailed")
        if request.headers.get("if-none-match") == stored.etag:
            return Answer(304, [("ETag", stored.etag)])
        headers = [*stored.headers, ("ETag", stored.etag), ("Last-Modified", _DATE), ("Accept-Ranges", "bytes")]
        if request.place[0] in self.versioned:
            headers.append(("x-amz-version-id", stored.version))
        wanted, body = request.headers.get("range"), stored.body
        if "partNumber" in request.query:
            sizes, number = stored.part_sizes or (len(body),), int(request.query["partNumber"])
            if number > len(sizes):
                return error(416, "InvalidPartNumber")
            start = sum(sizes[: number - 1])
            wanted = f"bytes={start}-{start + sizes[number - 1] - 1}"
            headers += [("x-amz-mp-parts-count", str(len(sizes)))] if stored.part_sizes else []
        if wanted is None:
            if request.headers.get("x-amz-checksum-mode") == "ENABLED":
                checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
                headers += [("x-amz-checksum-crc32", checksum), ("x-amz-checksum-type", "FULL_OBJECT")]
            return Answer(200, headers, body)
        span = _span(wanted, len(body))
        if span is None:
            return error(416, "InvalidRange", ActualObjectSize=len(body))
        headers.append(("Content-Range", f"bytes {span[0]}-{span[1]}/{len(body)}"))
        return Answer(206, headers, body[span[0] : span[1] + 1])

    def _put(self, request: Request) -> Answer:
        if "partNumber" in request.query:
            return self._put_part(request)
        existing = self._find(request)
        if request.headers.get("if-none-match") == "*" and existing is not None:
            return error(412, "PreconditionFailed")
        if "if-match" in request.headers and (existing is None or existing.etag != request.headers["if-match"]):
            return error(412, "PreconditionFailed") if existing else error(404, "NoSuchKey")
        headers = _kept(request)
        if "x-amz-copy-source" not in request.headers:
            stored = self._store(request.place, request.body, headers)
            return Answer(200, [("ETag", stored.etag), *self._version(request, stored)])
        source = self._source(request)
        if isinstance(source, Answer):
            return source
        if request.headers.get("x-amz-metadata-directive") != "REPLACE":
            headers = source.headers
        stored = self._store(request.place, source.body, headers)
        answer = _xml(200, _copied("CopyObjectResult", stored.etag))
        answer.headers += self._version(request, stored)
        return answer

    def _put_part(self, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        body = request.body
        if "x-amz-copy-source" in request.headers:
            source = self._source(request)
            if isinstance(source, Answer):
                return source
            span = _span(request.headers.get("x-amz-copy-source-range", "bytes=0-"), len(source.body))
            if span is None:
                return error(416, "InvalidRange")
            body = source.body[span[0] : span[1] + 1]
        upload.parts[int(request.query["partNumber"])] = body
        if "x-amz-copy-source" in request.headers:
            return _xml(200, _copied("CopyPartResult", _etag(body)))
        return Answer(200, [("ETag", _etag(body))])

    def _source(self, request: Request) -> Stored | Answer:
        place, _, version = request.headers["x-amz-copy-source"].partition("?versionId=")
        headers = {"if-match": request.headers.get("x-amz-copy-source-if-match", "")}
        source = Request("GET", "/" + place.lstrip("/") + (f"?versionId={version}" if version else ""), headers)
        stored = self._find(source)
        if stored is None:
            return error(404, "NoSuchKey")
        return stored if headers["if-match"] in ("", stored.etag) else error(412, "PreconditionFailed")

    def _post(self, request: Request) -> Answer:
        query = request.query
        if "uploads" in query:
            name = f"upload-{next(self._numbers)}"
            self.uploads[name] = Upload(request.place, _kept(request))
            bucket, key = request.place
            about = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
            return _xml(200, f"<InitiateMultipartUploadResult>{about}</InitiateMultipartUploadResult>")
        upload = self.uploads.get(query.get("uploadId", ""))
        if upload is None:
            return error(404, "NoSuchUpload")
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)]
        etags = [text.decode().replace("&quot;", '"') for text in re.findall(rb"<ETag>(.*?)</ETag>", request.body)]
        if not numbers or numbers != sorted(set(numbers)):
            return error(400, "InvalidPartOrder" if numbers else "MalformedXML")
        known = [_etag(upload.parts[number]) if number in upload.parts else "" for number in numbers]
        if [etag.strip('"') for etag in etags] != [etag.strip('"') for etag in known]:
            return error(400, "InvalidPart")
        if request.headers.get("if-none-match") == "*" and upload.place in self.objects:
            return error(412, "PreconditionFailed")
        parts = [upload.parts[number] for number in numbers]
        stored = self._store(upload.place, b"".join(parts), upload.headers, tuple(map(len, parts)))
        del self.uploads[query["uploadId"]]
        bucket, key = upload.place
        about = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><ETag>{escape(stored.etag)}</ETag>"
        answer = _xml(200, f"<CompleteMultipartUploadResult>{about}</CompleteMultipartUploadResult>")
        answer.headers += self._version(request, stored)
        return answer

    def _list_parts(self, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return error(404, "NoSuchUpload")
        after = int(request.query.get("part-number-marker", 0))
        numbers = sorted(number for number in upload.parts if number > after)
        page = numbers[: self.page]
        more = len(numbers) > len(page)
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><LastModified>{_DATE_ISO}</LastModified>"
            f"<ETag>{escape(_etag(upload.parts[number]))}</ETag><Size>{len(upload.parts[number])}</Size></Part>"
            for number in page
        )
        mark = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if more else ""
        flags = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        return _xml(200, f"<ListPartsResult>{flags}{mark}{rows}</ListPartsResult>")

    def _delete(self, request: Request) -> Answer:
        if "uploadId" in request.query:
            if self.uploads.pop(request.query["uploadId"], None) is None:
                return error(404, "NoSuchUpload")
            return Answer(204)
        if request.headers.get("if-match"):
            stored = self._find(request)
            if stored is None or stored.etag != request.headers["if-match"]:
                return error(412, "PreconditionFailed")
        self._remove(request.place, request.query.get("versionId"))
        return Answer(204)

    def _remove(self, place: tuple[str, str], version: str | None) -> None:
        kept = tuple(one for one in self.objects.get(place, ()) if version is not None and one.version != version)
        if kept:
            self.objects[place] = kept
        else:
            self.objects.pop(place, None)

    def _store(
        self,
        place: tuple[str, str],
        body: bytes,
        headers: tuple[tuple[str, str], ...],
        part_sizes: tuple[int, ...] = (),
    ) -> Stored:
        stored = Stored(body, headers, f"version{next(self._numbers)}", part_sizes)
        older = self.objects.get(place, ()) if place[0] in self.versioned else ()
        self.objects[place] = (*older, stored)
        return stored

    def _version(self, request: Request, stored: Stored) -> list[tuple[str, str]]:
        return [("x-amz-version-id", stored.version)] if request.place[0] in self.versioned else []


def _kept(request: Request) -> tuple[tuple[str, str], ...]:
    kept = {name: value for name, value in request.headers.items() if name.startswith("x-amz-meta-") or name in _KEPT}
    encodings = [part.strip() for part in kept.get("content-encoding", "").split(",")]
    encodings = [part for part in encodings if part not in ("", "aws-chunked")]
    kept.pop("content-encoding", None)
    return (*kept.items(), *((("content-encoding", ",".join(encodings)),) if encodings else ()))


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _copied(name: str, etag: str) -> str:
    return f"<{name}><ETag>{escape(etag)}</ETag><LastModified>{_DATE_ISO}</LastModified></{name}>"


def _span(text: str, length: int) -> tuple[int, int] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    assert match is not None, text
    first, last = match.groups()
    if not first:
        return (max(length - int(last), 0), length - 1) if int(last) and length else None
    if int(first) >= length:
        return None
    return int(first), min(int(last), length - 1) if last else length - 1
