"""The asynchronous client: client-side encryption for aiobotocore and aioboto3 (``pip install "s3ec[aio]"``).

::

    import s3ec.aio

    async with s3ec.aio.EncryptionClient(keyring=s3ec.KmsKeyring("alias/payroll"), region_name="eu-west-1") as s3:
        await s3.put_object(Bucket="b", Key="k", Body=b"…")
        response = await s3.get_object(Bucket="b", Key="k")
        async with response["Body"] as body:
            content = await body.read()

`EncryptionClient` is an aiobotocore S3 client with the options of `s3ec.EncryptionClient`, `Session` an ``AioSession``
whose S3 clients encrypt, and `install` makes those of an ``AioSession`` or an ``aioboto3.Session`` encrypt; `uninstall`
ends that, `is_encrypting` says whether. `raw_view` is the same client without encryption. All other functions are those
of the same name in `s3ec`, as coroutine functions. Each is imported when it is first asked for: ``import s3ec`` needs
no aiobotocore.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3ec.aio.buckets import (
        change_server_side_encryption,
        get_default_encryption,
        require_encryption,
        required_encryption,
        set_default_encryption,
        unrequire_encryption,
    )
    from s3ec.aio.client import EncryptionClient, raw_view
    from s3ec.aio.files import VerifiedFile, open
    from s3ec.aio.inspection import inspect
    from s3ec.aio.plaintext import DecryptedBody
    from s3ec.aio.presigned import PresignedUpload, decrypt_presigned, presigned_upload
    from s3ec.aio.resumable import export_upload, resume_upload
    from s3ec.aio.sessions import Session, install, is_encrypting, uninstall

__all__ = [
    "DecryptedBody",
    "EncryptionClient",
    "PresignedUpload",
    "Session",
    "VerifiedFile",
    "change_server_side_encryption",
    "decrypt_presigned",
    "export_upload",
    "get_default_encryption",
    "inspect",
    "install",
    "is_encrypting",
    "open",
    "presigned_upload",
    "raw_view",
    "require_encryption",
    "required_encryption",
    "resume_upload",
    "set_default_encryption",
    "uninstall",
    "unrequire_encryption",
]

_IN = {
    "buckets": (
        "change_server_side_encryption",
        "get_default_encryption",
        "require_encryption",
        "required_encryption",
        "set_default_encryption",
        "unrequire_encryption",
    ),
    "client": ("EncryptionClient", "raw_view"),
    "files": ("VerifiedFile", "open"),
    "inspection": ("inspect",),
    "plaintext": ("DecryptedBody",),
    "presigned": ("PresignedUpload", "decrypt_presigned", "presigned_upload"),
    "resumable": ("export_upload", "resume_upload"),
    "sessions": ("Session", "install", "is_encrypting", "uninstall"),
}
_WHERE = {name: module for module, names in _IN.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_WHERE[name]}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("aiobotocore", "aiohttp"):
            raise
        raise ImportError(f's3ec.aio.{name} needs aiobotocore: pip install "s3ec[aio]"') from missing
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
