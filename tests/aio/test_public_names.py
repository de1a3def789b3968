"""What the synchronous client has, the asynchronous one has under the same name, with the same parameters."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import s3ec
import s3ec.aio

VALUE = "a value, or what makes one: it is given to clients of both kinds, and asks nothing of S3"
FUNCTION = "it is given no client, and asks nothing of S3"
SHARED = {
    "STORED_CONTEXT": VALUE,
    "AesKeyring": VALUE,
    "AlgorithmSuite": VALUE,
    "CachingMaterialsManager": VALUE,
    "CommitmentPolicy": VALUE,
    "DsseKms": VALUE,
    "Inspection": VALUE,
    "KmsDiscoveryKeyring": VALUE,
    "KmsKeyring": VALUE,
    "Options": VALUE,
    "PrefetchingMaterialsManager": VALUE,
    "RequiredEncryption": VALUE,
    "RsaKeyring": VALUE,
    "SseC": VALUE,
    "SseKms": VALUE,
    "SseS3": VALUE,
    "UploadStateFile": "its methods are given to export_upload and resume_upload, which call them in a thread",
    "errors": VALUE,
    "install_everywhere": "it makes clients of both kinds encrypt",
    "post_policy": FUNCTION,
    "upload_policy": FUNCTION,
}
"""Names that are not there twice, and why."""

BOTH = sorted(set(s3ec.__all__) - SHARED.keys())


def test_every_name_is_there_or_has_a_reason() -> None:
    """A new name is one here, too."""
    assert SHARED.keys() <= set(s3ec.__all__)
    assert not SHARED.keys() & set(s3ec.aio.__all__)
    assert set(BOTH) <= set(s3ec.aio.__all__)
    assert set(s3ec.aio.__all__) - set(BOTH) == {"DecryptedBody", "VerifiedFile", "raw_view"}


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Name, kind and default of each; whatever comes first is the client."""
    found = list(inspect.signature(function).parameters.values())
    return [(each.name, each.kind, each.default) for each in found]


@pytest.mark.parametrize("name", [name for name in BOTH if inspect.isfunction(getattr(s3ec, name))])
def test_the_same_parameters(name: str) -> None:
    """And what waits for S3 is a coroutine function."""
    theirs, ours = getattr(s3ec, name), getattr(s3ec.aio, name)
    assert parameters(ours) == parameters(theirs)
    assert inspect.iscoroutinefunction(ours) == (name not in ("install", "is_encrypting", "uninstall"))
    assert inspect.getdoc(ours)


def methods(kind: type) -> dict[str, Any]:
    """What a class has under a name, from whichever class."""
    return {
        name: getattr(kind, name) for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))
    }


def test_the_same_upload_to_hand_over() -> None:
    """``send`` waits, and is a coroutine function; the text that is handed over is either's."""
    ours, theirs = methods(s3ec.aio.PresignedUpload), methods(s3ec.PresignedUpload)
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if inspect.iscoroutinefunction(ours[name])} == {"send"}
    for name in ours:
        assert parameters(ours[name]) == parameters(theirs[name])
    assert parameters(s3ec.aio.PresignedUpload) == parameters(s3ec.PresignedUpload)


def test_the_same_options() -> None:
    """``kms_key_id`` is the asynchronous client's own, and ``session`` takes a session of its world."""
    ours = {name for name, _, _ in parameters(s3ec.aio.EncryptionClient)}
    theirs = {name for name, _, _ in parameters(s3ec.EncryptionClient)}
    options = {name for name, _, _ in parameters(s3ec.Options)}
    assert options <= ours & theirs
    assert theirs - ours <= {"service_name"}
    assert ours - theirs == {"kms_key_id"}


def test_the_same_methods() -> None:
    """Those that the client itself has, beside botocore's: with boto3's parameters, as coroutine functions."""

    def methods(client: type) -> dict[str, Any]:
        return {name: found for name, found in vars(client).items() if not name.startswith("_") and callable(found)}

    ours, theirs = methods(s3ec.aio.EncryptionClient), methods(s3ec.EncryptionClient)
    assert theirs.keys() <= ours.keys()
    assert ours.keys() - theirs.keys() <= {"close"}
    for name, theirs_of_it in theirs.items():
        assert inspect.iscoroutinefunction(ours[name])
        own = [each for each in parameters(ours[name]) if each[0] != "Processing"]  # aioboto3's, which is refused
        assert own == parameters(theirs_of_it)
