"""get_object as a client makes it: with its table of verified objects."""

from __future__ import annotations

from typing import Any

from s3ec.client.calls.verified_ranges import VerifiedTable
from s3ec.client.calls.wire import Wire
from s3ec.s3.get_object import get_object

__all__ = ["RangeReader"]


class RangeReader:
    """get_object, whole or in part."""

    def __init__(self) -> None:
        self._table = VerifiedTable()

    def get_object(self, wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        """Read an object, or a range of it; see `s3ec.s3.get_object`."""
        return wire.run(get_object(wire, self._table, parameters))
