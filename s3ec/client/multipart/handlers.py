"""Low-level multipart uploads: the five operations, with the state of every upload that this client began.

Each operation is looked at here, and what is left to do is a flow, to be run under the options of its upload. So both
kinds of clients have the same.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from s3ec import forks
from s3ec.client.bodies.claims import take_claims
from s3ec.client.bodies.sources import StreamSource, open_source
from s3ec.client.calls.around import Around
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart.live_upload import LiveUpload
from s3ec.client.multipart.part_copies import PartCopy
from s3ec.client.multipart.requests import with_server_side_mode_of
from s3ec.client.multipart.resumed_uploads import resumed_uploads
from s3ec.client.multipart.storage import PartRoom
from s3ec.client.options import Options
from s3ec.client.server_side import rules as server_side
from s3ec.client.server_side.modes import SseC
from s3ec.errors import MultipartStateError
from s3ec.s3.flow import Flow, call, hear
from s3ec.s3.multipart.errors import multipart_refusal
from s3ec.s3.multipart.ledger import PartListError
from s3ec.s3.multipart.requests import LAST_PART_NUMBER, create_upload
from s3ec.s3.multipart.room import Room
from s3ec.s3.put_object import check_length
from s3ec.s3.requests import refuse_write_suffix

__all__ = ["MultipartUploads", "SharedUploads", "Work"]

Work: TypeAlias = "tuple[Options, Flow[dict[str, Any]]]"
"""What is left of an operation: a flow, and the client's options that it is to be run under."""

Read: TypeAlias = "Callable[[Wire, dict[str, Any]], dict[str, Any]]"
"""The handler of ``get_object``."""

A = TypeVar("A", bound=Around)

_LIMIT = 1000
_COMPLETED_LIMIT = 100


class SharedUploads:
    """The uploads of the clients of one session: whichever of them begins one, each of them may go on with it.

    They share options and with them the keyring. A table is that of one endpoint, since upload IDs are, and of one
    identity: what a client began with credentials of its own is not for those who have others.
    """

    def __init__(self, make_room: Callable[[Options], Room] = PartRoom.for_threads) -> None:
        """Start with no table.

        Args:
            make_room: makes what the parts of one upload are kept in.
        """
        self._make_room = make_room
        self._tables: dict[object, MultipartUploads] = {}
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def of(self, endpoint_url: str, credentials: Credentials | str | None) -> MultipartUploads:
        """The table for an endpoint and an identity.

        Args:
            endpoint_url: of the client.
            credentials: of the client, or the access key; those that are renewed are the same as long as the object is.
        """
        identity: object = credentials
        if type(credentials) is Credentials:  # made for each client of which they are arguments
            identity = credentials.access_key
        with self._lock:
            return self._tables.setdefault((endpoint_url, identity), MultipartUploads(self._make_room))


class MultipartUploads:
    """The multipart uploads of one client, or of all those of a session that encrypts.

    Uploads that are neither completed nor aborted leave their state behind; beyond 1,000 of them the one that was used
    longest ago is forgotten, and then refuses to go on.
    """

    def __init__(self, make_room: Callable[[Options], Room]) -> None:
        """Start empty."""
        self.make_room = make_room
        self._states: OrderedDict[str, LiveUpload] = OrderedDict()
        self._completed: OrderedDict[str, LiveUpload] = OrderedDict()
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def create(self, wire: Around, parameters: dict[str, Any]) -> Work:
        """Begin an upload. The answer is S3's own.

        Raises:
            ConfigurationError, UnsupportedOperationError: before any key is touched.
            KeyringError: no data key could be obtained; nothing was created.
            botocore.exceptions.ClientError: as S3 answers.
        """
        refuse_write_suffix(parameters)
        context = parameters.pop("EncryptionContext", None)
        wire.validate("CreateMultipartUpload", parameters)
        options = with_server_side_mode_of(wire.options, parameters)
        return options, self._create(wire.with_options(options), parameters, context)

    def _create(self, wire: Around, parameters: dict[str, Any], context: object) -> Flow[dict[str, Any]]:
        upload, response = yield from create_upload(wire, parameters, context)
        yield from self.add(LiveUpload(upload, wire.options, self.make_room(wire.options)))
        return response

    def add(self, state: LiveUpload, *, new: bool = False) -> Flow[None]:
        """Take an upload into this client's care.

        Args:
            state: state of the upload.
            new: refuse one that this client has already.

        Raises:
            MultipartStateError: with ``new``, where it has.
        """
        forgotten = None
        with self._lock:
            if new and state.upload.upload_id in self._states:
                raise MultipartStateError("this client has the upload already, in a state of its own")
            self._states[state.upload.upload_id] = state
            if len(self._states) > _LIMIT:
                forgotten = self._states.popitem(last=False)[1]
        if forgotten is not None:
            resumed_uploads.release(forgotten)
            reason = f"more than {_LIMIT} uploads were begun since, and this one was forgotten; start it again"
            yield from forgotten.close(reason)

    def find(self, upload_id: str) -> LiveUpload:
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

    def _find_in_place(self, wire: Around, parameters: Mapping[str, Any], operation_name: str) -> LiveUpload:
        """The state of an upload, which is one of that bucket and key alone.

        Raises:
            MultipartStateError: S3's NoSuchUpload: no client that shares this table began it there.
        """
        upload_id = parameters["UploadId"]
        with self._lock:
            state = self._states.get(upload_id)
            if state is not None:
                self._states.move_to_end(upload_id)
            elif operation_name == "CompleteMultipartUpload":
                state = self._completed.get(upload_id)
        if state is None or not _is_in_place(state, parameters):
            message = (
                f"The specified upload does not exist: this client did not begin the upload {upload_id!r} under this "
                "bucket and key, or has ended it. It has no key for it and would have to send plaintext; begin it "
                "here, or bring it over with export_upload and resume_upload"
            )
            raise multipart_refusal(wire, operation_name, "NoSuchUpload", message, UploadId=upload_id)
        return state

    def __contains__(self, upload_id: object) -> bool:
        with self._lock:
            return upload_id in self._states

    def forget(self, upload_id: str) -> LiveUpload | None:
        """Let go of an upload."""
        with self._lock:
            state = self._states.pop(upload_id, None)
        if state is not None:
            resumed_uploads.release(state)
        return state

    def upload_part(
        self,
        wire: Around,
        parameters: dict[str, Any],
        *,
        open_body: Callable[[Any, int | None], Any] = open_source,
    ) -> Work:
        """Encrypt and send one part; parts may come in any order and from anywhere.

        Args:
            wire: the client.
            parameters: those of ``upload_part``.
            open_body: makes a source of the caller's body.

        Raises:
            MultipartStateError: an unknown upload (S3's NoSuchUpload), other bytes for a part that was given before, or
                one too late.
            ObjectTooLargeError: with it the object would be larger than one AES-GCM stream may be.
            SourceChangedError: the body is not what the caller says about it.
            botocore.exceptions.ClientError: as S3 answers.
        """
        named = parameters.get("ChecksumAlgorithm")
        claims = take_claims(parameters)
        wire.validate("UploadPart", parameters)
        state = self._find_part_in_place(wire, parameters, "UploadPart")
        # S3 refuses a part under another algorithm than that of its upload; what the caller named stands all the same.
        algorithm = named or state.upload.request.get("ChecksumAlgorithm")
        if algorithm is not None:
            parameters["ChecksumAlgorithm"] = algorithm
        if named is not None:
            claims.compute(f"Checksum{named}")
        number = parameters.pop("PartNumber")
        source = open_body(parameters.pop("Body", b""), claims.length)
        check_length(source.length)
        own = wire.with_options(state.options)
        return state.options, self._while_there(state, state.give(own, number, source, claims, parameters, own=False))

    def upload_part_copy(self, read: Read, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Read an object, or a range of one, and encrypt it as a part; see `PartCopy`.

        A copy into an upload that is not encrypted here, as one of the raw view, passes as it is.

        Args:
            read: the client's own ``get_object``.
            wire: plain calls.
            parameters: those of ``upload_part_copy``; ``EncryptionContext`` is that of the source.
        """
        context = parameters.pop("EncryptionContext", None)
        heard: Any = wire.run(hear("UploadPartCopy", parameters))
        wire, parameters = wire.after(heard), dict(heard.parameters)
        copy = self.begin_part_copy(wire, parameters, context)
        if copy is None:
            return wire.call("UploadPartCopy", parameters)
        try:
            answer = read(copy.reading, copy.request)
        except ClientError as refused:
            raise copy.error(refused) from refused
        options, flow = copy.give(answer, StreamSource)
        return wire.with_options(options).run(flow)

    def begin_part_copy(self, wire: A, parameters: Mapping[str, Any], context: object) -> PartCopy[A] | None:
        """Look at a copy into an upload.

        Args:
            wire: the client.
            parameters: those of ``upload_part_copy``, as the caller's handlers left them.
            context: the encryption context of the source, or None.

        Returns:
            What is left to do; None where the upload is not encrypted here, and the copy passes as it is.

        Raises:
            MultipartStateError, botocore.exceptions.ClientError: as S3 refuses it; nothing was read.
        """
        wire.validate("UploadPartCopy", parameters)
        if parameters["UploadId"] not in self:
            return None
        state = self._find_part_in_place(wire, parameters, "UploadPartCopy")
        given = parameters if context is None else {**parameters, "EncryptionContext": context}
        return PartCopy(wire, given, state, self.forget)

    def _find_part_in_place(self, wire: Around, parameters: Mapping[str, Any], operation_name: str) -> LiveUpload:
        """The state of the upload that a part belongs to, after what S3 refuses about a part.

        Raises:
            MultipartStateError: S3's NoSuchUpload, InvalidArgument (the part's number), InvalidRequest (its SSE-C key).
        """
        number = parameters["PartNumber"]
        if not 1 <= number <= LAST_PART_NUMBER:
            message = (
                f"Part number must be an integer between 1 and {LAST_PART_NUMBER}, inclusive: part numbers go from "
                f"1 to {LAST_PART_NUMBER}, not {number}"
            )
            details = {"ArgumentName": "partNumber", "ArgumentValue": str(number)}
            raise multipart_refusal(wire, operation_name, "InvalidArgument", message, **details)
        state = self._find_in_place(wire, parameters, operation_name)
        _check_customer_key(wire, operation_name, state, parameters)
        return state

    def complete(self, wire: Around, parameters: dict[str, Any]) -> Work:
        """Make the object of its parts; after a failure of S3 it may be called again.

        Raises:
            MultipartStateError: an unknown upload, or a list that is not exactly the parts that were given.
            ConfigurationError: a checksum that cannot be verified.
            SourceChangedError: a checksum is not that of the plaintext; no object was made.
            botocore.exceptions.ClientError: as S3 answers.
        """
        wire.validate("CompleteMultipartUpload", parameters)
        state = self._find_in_place(wire, parameters, "CompleteMultipartUpload")
        own = wire.with_options(state.options)
        return state.options, self._while_there(state, self._complete(own, state, parameters))

    def _complete(self, wire: Around, state: LiveUpload, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
        parts = (parameters.pop("MultipartUpload", None) or {}).get("Parts", [])
        claims = _checksums(parameters)
        length = parameters.pop("MpuObjectSize", None)
        given = {name: value for name, value in parameters.items() if not name.startswith("Checksum")}
        try:
            response = yield from state.complete(wire, parts, claims, length, given)
        except PartListError as error:
            raise multipart_refusal(wire, "CompleteMultipartUpload", error.code, str(error)) from None
        self._keep_completed(state)
        return response

    def _keep_completed(self, state: LiveUpload) -> None:
        """Remember a completed upload, in case it is completed again; its content is gone."""
        upload_id = state.upload.upload_id
        with self._lock:
            self._states.pop(upload_id, None)
            self._completed[upload_id] = state
            if len(self._completed) > _COMPLETED_LIMIT:
                self._completed.popitem(last=False)
        resumed_uploads.release(state)

    def abort(self, wire: Around, parameters: dict[str, Any]) -> Work:
        """Give an upload up. The state goes first: whatever S3 answers, no part follows.

        Under another bucket or key it is another upload, of which S3 knows nothing, and this one goes on.
        """
        upload_id = parameters.get("UploadId")
        with self._lock:
            state = self._states.get(upload_id) if isinstance(upload_id, str) else None
            if state is not None and _is_in_place(state, parameters):
                del self._states[state.upload.upload_id]
            else:
                state = None
        return wire.options, self._abort(state, parameters)

    @staticmethod
    def _abort(state: LiveUpload | None, parameters: dict[str, Any]) -> Flow[dict[str, Any]]:
        if state is not None:
            resumed_uploads.release(state)
            yield from state.close("the upload is aborted")
        return (yield from call("AbortMultipartUpload", parameters))

    def _while_there(self, state: LiveUpload, flow: Flow[dict[str, Any]]) -> Flow[dict[str, Any]]:
        """Let go of an upload that S3 no longer has."""
        return state.closed_where_gone(flow, lambda: self.forget(state.upload.upload_id))


def _is_in_place(state: LiveUpload, parameters: Mapping[str, Any]) -> bool:
    """Whether a request names the bucket and key of an upload."""
    return all(parameters.get(name) == state.upload.request[name] for name in ("Bucket", "Key"))


def _check_customer_key(wire: Around, operation_name: str, state: LiveUpload, parameters: Mapping[str, Any]) -> None:
    """Refuse a part under another SSE-C key than its upload's, or without it, while nothing of it is encrypted.

    Where the key is the client's default, or was given when the upload was resumed, it goes with every part.
    """
    theirs, own = server_side.companion(parameters), _customer_key(state.options)
    resumed = not state.upload.created
    if theirs == own or (not theirs and (resumed or own == _customer_key(wire.options))):
        return
    if not theirs:
        message = (
            "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
            "encryption parameters"
        )
    elif not own:
        message = (
            "The multipart upload initiate did not request encryption. Please resend the request without sending "
            "encryption parameters"
        )
    else:
        message = "The provided encryption parameters did not match the ones used originally"
    raise multipart_refusal(wire, operation_name, "InvalidRequest", message)


def _checksums(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The checksums of a request: values, not algorithms or types."""
    return {
        name: value
        for name, value in parameters.items()
        if name.startswith("Checksum") and name not in ("ChecksumAlgorithm", "ChecksumType")
    }


def _customer_key(options: Options) -> dict[str, str]:
    """The members that name the SSE-C key which a client sends by default."""
    mode = options.server_side_encryption
    return mode.parameters() if isinstance(mode, SseC) else {}
