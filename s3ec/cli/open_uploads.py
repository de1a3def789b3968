"""Multipart uploads that a run has begun and not ended, so that Ctrl-C can take them back though a part still hangs."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["OpenUploads"]

_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OpenUploads:
    """What one client has open; it hears of every upload of that client.

    Attributes:
        plain: takes uploads back: a client of its own, whose connections nothing else holds.
    """

    plain: Any
    _places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def watch(self, client: Any) -> None:
        """Hear what the client begins and ends."""
        events = client.meta.events
        events.register("after-call.s3.CreateMultipartUpload", self._begun)
        events.register("before-parameter-build.s3.AbortMultipartUpload", self._taken_back)
        events.register("after-call.s3.CompleteMultipartUpload", self._completed)

    def take_back_soon(self) -> None:
        """Abort in the background what does not end by itself within a moment, and wait for nothing.

        A transfer learns at its next bytes that it has to end. One whose network is gone moves none.
        """
        timer = threading.Timer(_GRACE_SECONDS, self._take_back)
        timer.daemon = True
        timer.start()

    def _take_back(self) -> None:
        for upload_id, (bucket, key) in list(self._places.items()):
            # The transfer itself says what went wrong; S3 may have ended the upload meanwhile.
            with contextlib.suppress(ClientError, BotoCoreError):
                self.plain.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
            self._places.pop(upload_id, None)

    def _begun(self, parsed: dict[str, Any], **_: Any) -> None:
        if "UploadId" in parsed:
            self._places[parsed["UploadId"]] = (parsed["Bucket"], parsed["Key"])

    def _taken_back(self, params: dict[str, Any], **_: Any) -> None:
        self._places.pop(params.get("UploadId", ""), None)

    def _completed(self, parsed: dict[str, Any], **_: Any) -> None:
        if "ETag" not in parsed:
            return
        place = (parsed.get("Bucket"), parsed.get("Key"))
        for upload_id in [name for name, known in list(self._places.items()) if known == place]:
            self._places.pop(upload_id, None)
