"""Every example runs offline, as its reader would start it, and says what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# What each example prints; a new example without a line here fails.
PRINTS = {
    "encryption_context": [
        "the right context: b'name,amount\\n'",
        "a wrong context:   EncryptionContextMismatchError",
        "the stored one:    {'department': 'hr'}",
    ],
    "migrate_bucket": [
        "40 files stored, with every property set",
        "killed the migration, time 1",
        "killed the migration, time 2",
        "44 objects in the journal, 0 left undone",
        "all 44 objects are there, encrypted once, with their properties; nothing else is there",
    ],
    "put_get": [
        "get_object: Dear reader, this is private.",
        "S3 stores:  45 bytes, 6 entries of content metadata",
    ],
    "raw_keys": [
        "AES: wrapped with AES-GCM",
        "RSA: wrapped with RSA-OAEP",
        "RSA, the writer reads: KeyringError",
    ],
    "reading_legacy_objects": [
        "by default: LegacyAlgorithmError - the option that decides: enable_legacy_unauthenticated_modes",
        "by opt-in:  written long ago",
        "re-encrypted: V3 written long ago",
    ],
    "resumable_upload": [
        "crashed while part 3 was being sent",
        "sent after the crash: 3 of 5 parts",
        "the same: True",
    ],
    "server_side_modes": [
        "SseS3: AES256, encrypted on both sides",
        "SseKms: aws:kms, encrypted on both sides",
        "DsseKms: aws:kms:dsse, encrypted on both sides",
        "SseC: ConfigurationError",
    ],
    "streaming_large_file": ["the same: True", "a piece from the middle, verified: True"],
}


# Arguments that keep an example short here.
ARGUMENTS = {"migrate_bucket": ["40"]}


def test_every_example_is_known() -> None:
    """No example escapes this module."""
    assert {path.stem for path in EXAMPLES.glob("[!_]*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_example(name: str) -> None:
    """The example ends well, prints its lines and warns of nothing."""
    process = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::DeprecationWarning:__main__",
            str(EXAMPLES / f"{name}.py"),
            *ARGUMENTS.get(name, []),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == PRINTS[name]
    assert process.stderr == ""
