"""Which uploads of this process go on from a saved state: a state used twice would encrypt two plaintexts."""

from __future__ import annotations

import threading
import weakref

from s3ec import forks
from s3ec.errors import MultipartStateError
from s3ec.s3.flow import Flow
from s3ec.s3.multipart.snapshot import UploadSnapshot
from s3ec.s3.multipart.state import UploadState
from s3ec.secrets import Secret

__all__ = ["ResumedUploads", "resumed_uploads"]


class ResumedUploads:
    """The resumed uploads that are alive in this process, of whatever client, by their key: it is theirs alone."""

    def __init__(self) -> None:
        """Start with none."""
        self._states: weakref.WeakValueDictionary[Secret[bytes], UploadState] = weakref.WeakValueDictionary()
        self._origins: weakref.WeakValueDictionary[Secret[bytes], UploadState] = weakref.WeakValueDictionary()
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

    def note(self, state: UploadState) -> None:
        """Remember an upload that goes on here while its states are saved."""
        with self._lock:
            self._origins[state.upload.cipher.key] = state

    def end_origin(self, state: UploadState, resumed: UploadSnapshot) -> Flow[None]:
        """Let nothing more be encrypted by the client that saved what an upload is resumed from.

        Args:
            state: of the upload that is resumed.
            resumed: from which it goes on.

        Raises:
            MultipartStateError: that client sent more than this.
        """
        with self._lock:
            origin = self._origins.get(state.upload.cipher.key)
        if origin is not None and origin is not state and not (yield from origin.give_way(resumed)):
            raise MultipartStateError(
                "another client of this process went on with the upload after the state was saved, so it is not the "
                "newest; use that, or abort the upload and start it again"
            )

    def take(self, state: UploadState) -> None:
        """Enter an upload.

        Raises:
            MultipartStateError: it goes on in this process already.
        """
        with self._lock:
            if self._states.setdefault(state.upload.cipher.key, state) is not state:
                raise MultipartStateError(
                    f"the upload {state.upload.upload_id!r} was resumed in this process already; two at once would "
                    "encrypt different bytes with one keystream"
                )

    def release(self, state: UploadState) -> None:
        """Its client let go of it."""
        with self._lock:
            if self._states.get(state.upload.cipher.key) is state:
                del self._states[state.upload.cipher.key]


resumed_uploads = ResumedUploads()
