"""Low-level multipart uploads: the five operations, with the state of every upload that this client began."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from s3ec import forks
from s3ec.client.ciphertext import check_length
from s3ec.client.claims import take_claims
from s3ec.client.handlers import HeardParameters
from s3ec.client.multipart_request import LAST_PART_NUMBER, create_upload
from s3ec.client.multipart_state import UploadState
from s3ec.client.sources import open_source
from s3ec.client.wire import Wire
from s3ec.errors import MultipartStateError, UnsupportedOperationError

__all__ = ["MultipartUploads"]

_LIMIT = 1000


class MultipartUploads:
    """The multipart uploads of one client.

    Uploads that are neither completed nor aborted leave their state behind; beyond 1,000 of them the one that was used
    longest ago is forgotten, and then refuses to go on.
    """

    def __init__(self, wire: Wire) -> None:
        """Take the plain calls."""
        self._wire = wire
        self._states: OrderedDict[str, UploadState] = OrderedDict()
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def create(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Begin an upload; see `s3ec.client.multipart_request.create_upload`. The answer is S3's own."""
        upload, response = create_upload(wire, parameters)
        self.add(UploadState(upload))
        return response

    def add(self, state: UploadState) -> None:
        """Take an upload into this client's care."""
        forgotten = None
        with self._lock:
            self._states[state.upload.upload_id] = state
            if len(self._states) > _LIMIT:
                forgotten = self._states.popitem(last=False)[1]
        if forgotten is not None:
            forgotten.close(f"this client began more than {_LIMIT} uploads since and forgot this one; start it anew")

    def find(self, upload_id: str) -> UploadState:
        """The state of an upload.

        Raises:
            MultipartStateError: this client did not begin it.
        """
        with self._lock:
            state = self._states.get(upload_id)
            if state is None:
                raise MultipartStateError(
                    f"this client did not begin the upload {upload_id!r}, so it has no key for it and would have to "
                    "send plaintext; begin it here, or bring it over with export_upload and resume_upload"
                )
            self._states.move_to_end(upload_id)
            return state

    def _find_in_place(self, parameters: Mapping[str, Any], operation_name: str) -> UploadState:
        """The state of an upload, which is one of that bucket and key alone.

        Raises:
            MultipartStateError: this client did not begin it.
            botocore.exceptions.ClientError: NoSuchUpload, as S3 answers for another bucket or key.
        """
        state = self.find(parameters["UploadId"])
        if any(parameters[name] != state.upload.request[name] for name in ("Bucket", "Key")):
            raise self._wire.refusal(
                operation_name,
                404,
                "NoSuchUpload",
                "The specified upload does not exist under this bucket and key",
                UploadId=parameters["UploadId"],
            )
        return state

    def __contains__(self, upload_id: object) -> bool:
        with self._lock:
            return upload_id in self._states

    def forget(self, upload_id: str) -> UploadState | None:
        """Let go of an upload."""
        with self._lock:
            return self._states.pop(upload_id, None)

    def upload_part(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Encrypt and send one part; parts may come in any order and from any thread.

        Raises:
            MultipartStateError: an unknown upload, other bytes for a part that was given before, or one too late.
            ObjectTooLargeError: with it the object would be larger than one AES-GCM stream may be.
            SourceChangedError: the body is not what the caller says about it.
            botocore.exceptions.ClientError: as S3 answers.
        """
        before = dict(parameters)
        claims = take_claims(parameters)
        wire.validate("UploadPart", parameters)
        state = self._find_in_place(parameters, "UploadPart")
        number = parameters.pop("PartNumber")
        if not 1 <= number <= LAST_PART_NUMBER:
            raise MultipartStateError(f"part numbers go from 1 to {LAST_PART_NUMBER}, not {number}")
        source = open_source(parameters.pop("Body", b""), claims.length)
        check_length(source.length)
        checksums = {name: value for name, value in _checksums(before).items() if name not in parameters}
        with self._forgotten_where_gone(state, parameters):
            return state.upload_part(number, source, claims, checksums, _with_heard(parameters, wire))

    def upload_part_copy(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Pass a copy into an upload that is not encrypted here (one of the plain view).

        Raises:
            UnsupportedOperationError: into an encrypted upload: stored bytes are not part of its one stream.
        """
        if parameters.get("UploadId") in self:
            raise UnsupportedOperationError(
                "UploadPartCopy into an encrypted upload is refused: what is stored already is not encrypted as a part "
                "of this one stream. Read it and give it to upload_part, or copy the whole object with copy()"
            )
        return wire.call("UploadPartCopy", parameters)

    def complete(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make the object of its parts; after a failure of S3 it may be called again.

        Raises:
            MultipartStateError: an unknown upload, or a list that is not exactly the parts that were given.
            ConfigurationError: a checksum that cannot be verified.
            SourceChangedError: a checksum is not that of the plaintext; no object was made.
            botocore.exceptions.ClientError: as S3 answers.
        """
        wire.validate("CompleteMultipartUpload", parameters)
        state = self._find_in_place(parameters, "CompleteMultipartUpload")
        parts = (parameters.pop("MultipartUpload", None) or {}).get("Parts", [])
        claims = _checksums(parameters)
        length = parameters.pop("MpuObjectSize", None)
        given = {name: value for name, value in parameters.items() if not name.startswith("Checksum")}
        with self._forgotten_where_gone(state, parameters):
            response = state.complete(parts, claims, length, _with_heard(given, wire))
        self.forget(state.upload.upload_id)
        return response

    def abort(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Give an upload up. The state goes first: whatever S3 answers, no part follows."""
        upload_id = parameters.get("UploadId")
        state = self.forget(upload_id) if isinstance(upload_id, str) else None
        if state is not None:
            state.close("the upload is aborted")
        return wire.call("AbortMultipartUpload", parameters)

    @contextmanager
    def _forgotten_where_gone(self, state: UploadState, parameters: Mapping[str, Any]) -> Iterator[None]:
        """Let go of an upload that S3 no longer has."""
        try:
            yield
        except ClientError as error:
            own = {"Bucket": state.upload.request["Bucket"], "Key": state.upload.request["Key"]}
            gone = error.response.get("Error", {}).get("Code") == "NoSuchUpload"
            if gone and all(parameters.get(name) == value for name, value in own.items()):
                self.forget(state.upload.upload_id)
                state.close("S3 no longer has the upload")
            raise


def _with_heard(parameters: Mapping[str, Any], wire: Wire) -> Mapping[str, Any]:
    """The caller's parameters for S3, with what the handlers keep about this call."""
    return parameters if wire.heard is None else HeardParameters(parameters, wire.heard)


def _checksums(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The checksums of a request: values, not algorithms or types."""
    return {
        name: value
        for name, value in parameters.items()
        if name.startswith("Checksum") and name not in ("ChecksumAlgorithm", "ChecksumType")
    }
