"""Which uploads of this process go on from a saved state: a state used twice would encrypt two plaintexts."""

from __future__ import annotations

import threading
import weakref

from s3ec import forks
from s3ec.client.multipart_state import UploadState
from s3ec.crypto.secrets import Secret
from s3ec.errors import MultipartStateError

__all__ = ["ResumedUploads", "resumed_uploads"]


class ResumedUploads:
    """The resumed uploads that are alive in this process, of whatever client, by their key: it is theirs alone."""

    def __init__(self) -> None:
        """Start with none."""
        self._states: weakref.WeakValueDictionary[Secret[bytes], UploadState] = weakref.WeakValueDictionary()
        self._lock: threading.Lock
        forks.make_in_each_process(self, _lock=threading.Lock)

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
