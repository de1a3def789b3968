"""Low-level multipart uploads."""

from __future__ import annotations

from typing import Any, NoReturn

from s3ec.client.wire import Wire
from s3ec.errors import UnsupportedOperationError

__all__ = ["MultipartUploads"]


class MultipartUploads:
    """The multipart uploads of one client."""

    def __init__(self, wire: Wire) -> None:
        """Take the plain calls."""
        self._wire = wire

    def _refuse(self, wire: Wire, parameters: dict[str, Any]) -> NoReturn:
        raise UnsupportedOperationError("multipart uploads are refused for now: use put_object, which streams any size")

    create = upload_part = upload_part_copy = complete = _refuse

    def abort(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Abort an upload."""
        return wire.call("AbortMultipartUpload", parameters)
