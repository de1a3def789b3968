"""Project Wycheproof's vectors, which are in tests/vectors/wycheproof."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Vector", "files", "total", "vectors"]

_FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "wycheproof"


@dataclass(frozen=True)
class Vector:
    """One vector: what is its own, and what it shares with its group.

    Attributes:
        number: `tcId`, unique in its file.
        result: ``valid``, ``invalid`` or ``acceptable``.
        flags: what it is about.
        group: its group, without the vectors.
        fields: everything else.
    """

    number: int
    result: str
    flags: frozenset[str]
    group: dict[str, Any]
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> bytes:
        """A field that is written in hex."""
        return bytes.fromhex(self.fields[name])


def files() -> list[str]:
    """Names of the files, without their endings."""
    return sorted(path.name.removesuffix("_test.json.gz") for path in _FOLDER.glob("*.json.gz"))


def total(name: str) -> int:
    """How many vectors a file says that it has."""
    return int(_load(name)["numberOfTests"])


def vectors(name: str) -> Iterator[Vector]:
    """Every vector of a file."""
    for group in _load(name)["testGroups"]:
        shared = {key: value for key, value in group.items() if key != "tests"}
        for test in group["tests"]:
            yield Vector(test["tcId"], test["result"], frozenset(test["flags"]), shared, test)


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(gzip.decompress((_FOLDER / f"{name}_test.json.gz").read_bytes()))
    return loaded
