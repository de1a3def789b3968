"""Content metadata in each format, as headers, to be changed by tests."""

from __future__ import annotations

import base64
import json

IV_CBC = bytes(range(1, 17))
IV_GCM = bytes(range(1, 13))
MESSAGE_ID = bytes(range(1, 29))
COMMITMENT = bytes(range(101, 129))
EDK_AES_GCM = bytes(range(60))
EDK_AES_ECB = bytes(range(48))
EDK_RSA = bytes(range(256))
GCM = "AES/GCM/NoPadding"
CBC = "AES/CBC/PKCS5Padding"


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def v1(**changed: str | None) -> dict[str, str]:
    """An object of the AWS SDK for Java v1: CBC under AES-ECB. A keyword changes a key, None removes it."""
    return _changed(
        {"x-amz-key": b64(EDK_AES_ECB), "x-amz-iv": b64(IV_CBC), "x-amz-matdesc": "{}"},
        changed,
    )


def v2(**changed: str | None) -> dict[str, str]:
    """A GCM object under kms+context."""
    context = {"team": "hr", "aws:x-amz-cek-alg": GCM}
    return _changed(
        {
            "x-amz-key-v2": b64(b"blob of kms"),
            "x-amz-iv": b64(IV_GCM),
            "x-amz-matdesc": json.dumps(context),
            "x-amz-wrap-alg": "kms+context",
            "x-amz-cek-alg": GCM,
            "x-amz-tag-len": "128",
        },
        changed,
    )


def v2_cbc(**changed: str | None) -> dict[str, str]:
    """A CBC object under kms, as the V1-era clients wrote it with V2's keys."""
    return _changed(
        {
            "x-amz-key-v2": b64(b"blob of kms"),
            "x-amz-iv": b64(IV_CBC),
            "x-amz-matdesc": '{"kms_cmk_id":"alias/key"}',
            "x-amz-wrap-alg": "kms",
            "x-amz-cek-alg": CBC,
        },
        changed,
    )


def v3(**changed: str | None) -> dict[str, str]:
    """A committing object under AES-GCM."""
    return _changed(
        {
            "x-amz-c": "115",
            "x-amz-d": b64(COMMITMENT),
            "x-amz-i": b64(MESSAGE_ID),
            "x-amz-3": b64(EDK_AES_GCM),
            "x-amz-w": "02",
        },
        changed,
    )


def v3_kms(**changed: str | None) -> dict[str, str]:
    """A committing object under KMS."""
    context = {"team": "hr", "aws:x-amz-cek-alg": "115"}
    return _changed(v3(**{"x-amz-3": b64(b"blob of kms"), "x-amz-w": "12", "x-amz-t": json.dumps(context)}), changed)


def content_of(metadata: dict[str, str]) -> dict[str, str]:
    """The part of a V3 object that stays in its own metadata beside an instruction file."""
    return {name: value for name, value in metadata.items() if name in {"x-amz-c", "x-amz-d", "x-amz-i"}}


def wrapping_of(metadata: dict[str, str]) -> dict[str, str]:
    """The part of a V3 object that moves into its instruction file."""
    return {name: value for name, value in metadata.items() if name not in content_of(metadata)}


def _changed(metadata: dict[str, str], changed: dict[str, str | None]) -> dict[str, str]:
    merged = {**metadata, **changed}
    return {name: value for name, value in merged.items() if value is not None}
