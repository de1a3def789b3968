"""The vectors are what their JSON files say, shown without s3ec."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from vectors import verify


@pytest.mark.parametrize("path", list(verify.vectors()), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_opens(path: Path) -> None:
    """Cryptography and the standard library alone open every vector and get the recorded plaintext."""
    verify.verify(path)


@pytest.mark.parametrize("name", ["java/java4-aes256-meta-17", "java/javasdk1-eo-aes256-meta-17", "go/go4-meta-17"])
@pytest.mark.parametrize("part", ["body", "plaintext"])
def test_notices_a_flipped_bit(name: str, part: str, tmp_path: Path) -> None:
    """A vector whose body or plaintext was changed, its digest with it, does not open."""
    source = verify.HERE / f"{name}.json"
    for file in source.parent.glob(f"{source.stem}.*"):
        shutil.copy(file, tmp_path)
    shutil.copy(source.parent / "keys.json", tmp_path)
    vector = json.loads(source.read_text(encoding="utf-8"))
    changed = bytearray((tmp_path / vector[part]).read_bytes())
    changed[0] ^= 1
    (tmp_path / vector[part]).write_bytes(changed)
    vector[f"{part}_sha256"] = hashlib.sha256(changed).hexdigest()
    copy = tmp_path / source.name
    copy.write_text(json.dumps(vector), encoding="utf-8")
    assert verify.main(str(copy)) == 1
