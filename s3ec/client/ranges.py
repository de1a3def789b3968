"""Ranged reads."""

from __future__ import annotations

from typing import Any

from s3ec.client import reads
from s3ec.client.wire import Wire

__all__ = ["RangeReader"]


class RangeReader:
    """get_object, whole or in part."""

    def __init__(self, wire: Wire) -> None:
        """Take the plain calls."""
        self._wire = wire

    def get_object(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Read an object."""
        return reads.get_whole_object(wire, reads.take_read_request(wire, "GetObject", parameters))
