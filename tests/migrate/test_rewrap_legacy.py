"""A data key whose wrapping has a padding alone is proved by the content before it is wrapped again."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3ec.migrate import Action, KeyringSpec, Result

from .conftest import Step

KEY = bytes(range(32))


def _wrapped(data_key: bytes, padding: bytes) -> str:
    encryptor = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()  # noqa: S305
    return base64.b64encode(encryptor.update(data_key + padding) + encryptor.finalize()).decode()


@pytest.mark.slow
@pytest.mark.parametrize("dry_run", [False, True])
def test_well_and_badly_padded_end_alike(
    dry_run: bool, step: Step, bucket: str, plain_s3: Any, tmp_path: Path, kms_key: str
) -> None:
    """Another data key under the right padding, and a wrong padding: one outcome, and nothing is written."""
    (tmp_path / "key").write_bytes(KEY)
    data_key, iv = os.urandom(32), os.urandom(12)
    body = AESGCM(data_key).encrypt(iv, b"content", None)
    good = _wrapped(data_key, bytes([16]) * 16)
    wrapped = {"good": good, "other": _wrapped(os.urandom(32), bytes([16]) * 16), "bad": _wrapped(data_key, bytes(16))}
    outcomes = {}
    for name, value in wrapped.items():
        metadata = {
            "x-amz-key-v2": value,
            "x-amz-iv": base64.b64encode(iv).decode(),
            "x-amz-cek-alg": "AES/GCM/NoPadding",
            "x-amz-matdesc": "{}",
            "x-amz-tag-len": "128",
        }
        plain_s3.put_object(Bucket=bucket, Key=name, Body=body, Metadata=metadata)
        outcomes[name] = step(
            name,
            dry_run=dry_run,
            action=Action.REWRAP,
            keyring=KeyringSpec(kind="kms", key_id=kms_key),
            source_keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")),
            allow_legacy=True,
        )
        stands = plain_s3.head_object(Bucket=bucket, Key=name)["Metadata"]
        assert (stands == metadata) is (dry_run or name != "good")
    assert outcomes["good"].result is (Result.PLANNED if dry_run else Result.DONE)
    other, bad = outcomes["other"], outcomes["bad"]
    assert (other.result, other.reason, other.message) == (bad.result, bad.reason, bad.message)
    assert other.result is Result.FAILED
