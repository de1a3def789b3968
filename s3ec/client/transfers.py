"""Managed transfers."""

from __future__ import annotations

from typing import Any, NoReturn

from s3ec.errors import UnsupportedOperationError

__all__ = ["copy", "download_file", "download_fileobj", "upload_file", "upload_fileobj"]


def _refuse(*_: Any) -> NoReturn:
    raise UnsupportedOperationError("managed transfers are refused for now: use put_object and get_object")


upload_file = upload_fileobj = download_file = download_fileobj = copy = _refuse
