"""Plaintext versions go only where an encrypted version has just proved itself, and only when told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3ec import CommitmentPolicy
from s3ec.errors import ConfigurationError
from s3ec.migrate import Action, Purge, purge_plaintext_versions

from .conftest import Settings, Step
from support.aws import keep_versions


@pytest.fixture
def versioned(bucket: str, plain_s3: Any) -> str:
    """A bucket that keeps versions."""
    keep_versions(plain_s3, bucket)
    return bucket


def _purge(settings: Settings, *, dry_run: bool = False, **options: Any) -> list[Purge]:
    return list(purge_plaintext_versions(settings(action=Action.VERIFY), dry_run=dry_run, **options))


def _versions(plain_s3: Any, bucket: str) -> int:
    return len(plain_s3.list_object_versions(Bucket=bucket).get("Versions", []))


@pytest.mark.slow
def test_old_plaintext_goes_after_the_migration(
    settings: Settings, step: Step, versioned: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """A dry run, which is the default, only names them; then they are removed, and the object reads as before."""
    for _ in range(2):
        plain_s3.put_object(Bucket=versioned, Key="k", Body=b"two")
    step("k")
    named = list(purge_plaintext_versions(settings(action=Action.VERIFY)))
    assert [entry.action for entry in named] == ["would-remove", "would-remove"]
    assert _versions(plain_s3, versioned) == 3
    assert [entry.action for entry in _purge(settings)] == ["removed", "removed"]
    assert _versions(plain_s3, versioned) == 1
    assert make_client().get_object(Bucket=versioned, Key="k")["Body"].read() == b"two"


@pytest.mark.slow
def test_plaintext_without_an_encrypted_successor_stays(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """Neither a plaintext successor nor an encrypted predecessor is a reason to remove a version."""
    plain_s3.put_object(Bucket=versioned, Key="plain", Body=b"one")
    plain_s3.put_object(Bucket=versioned, Key="plain", Body=b"two")
    plain_s3.put_object(Bucket=versioned, Key="relapsed", Body=b"one")
    step("relapsed")
    plain_s3.put_object(Bucket=versioned, Key="relapsed", Body=b"plaintext again")
    entries = {(entry.key, entry.action, entry.leaves_undone) for entry in _purge(settings)}
    assert entries == {("plain", "kept", True), ("relapsed", "kept", False), ("relapsed", "removed", False)}
    assert _versions(plain_s3, versioned) == 4


@pytest.mark.slow
def test_a_successor_that_does_not_verify_protects_the_plaintext(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """A damaged encrypted version is not a reason to remove the last good copy."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"precious")
    step("k")
    stored = plain_s3.get_object(Bucket=versioned, Key="k")
    body = bytearray(stored["Body"].read())
    body[0] ^= 1
    plain_s3.delete_object(Bucket=versioned, Key="k", VersionId=stored["VersionId"])
    plain_s3.put_object(Bucket=versioned, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
    (entry,) = _purge(settings)
    assert (entry.action, entry.leaves_undone) == ("kept", True)
    assert "does not verify" in entry.because
    assert _versions(plain_s3, versioned) == 2


@pytest.mark.slow
def test_versions_that_may_be_encrypted_by_an_instruction_file_stay(
    settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """A version whose instruction file was deleted looks like plaintext; it is not taken for it."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"ciphertext of long ago")
    plain_s3.put_object(Bucket=versioned, Key="k.instruction", Body=b"{}")
    plain_s3.delete_object(Bucket=versioned, Key="k.instruction")
    step("k")
    entries = [entry for entry in _purge(settings) if entry.key == "k"]
    assert [(entry.action, entry.leaves_undone) for entry in entries] == [("kept", True)]


def test_an_old_version_under_a_files_name_is_looked_at_itself(
    settings: Settings, step: Step, versioned: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """The name ends like an instruction file's: what decides is the old version, and not the one that is current."""
    plain_s3.put_object(Bucket=versioned, Key="own.instruction", Body=b"somebody's own")
    step("own.instruction")
    older = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT, instruction_file_writes=True)
    older.put_object(Bucket=versioned, Key="k", Body=b"x")
    body = plain_s3.get_object(Bucket=versioned, Key="k.instruction")["Body"].read()
    # Without the marker, which not all writers set, and overwritten since.
    plain_s3.put_object(Bucket=versioned, Key="file.instruction", Body=body)
    plain_s3.put_object(Bucket=versioned, Key="file.instruction", Body=b"other")
    found = {entry.key: (entry.action, entry.because) for entry in _purge(settings)}
    assert found["own.instruction"][0] == "removed"
    assert found["file.instruction"] == ("kept", "it is an instruction file")


@pytest.mark.slow
def test_a_delete_marker_does_not_stop_the_purge(settings: Settings, step: Step, versioned: str, plain_s3: Any) -> None:
    """An object deleted after its migration still has plaintext versions to be removed."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    step("k")
    plain_s3.delete_object(Bucket=versioned, Key="k")
    assert sorted(entry.action for entry in _purge(settings)) == ["kept", "removed"]


@pytest.mark.slow
@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("older", [(b"draft 1", b"draft 2"), (b"as long as 3!",)], ids=["drafts", "same length"])
def test_history_stays_unless_it_is_named(
    history: bool, older: tuple[bytes, ...], settings: Settings, versioned: str, plain_s3: Any, step: Step
) -> None:
    """Contents that were overwritten before they were encrypted exist nowhere else; only an option removes them."""
    for body in (*older, b"this is all 3"):
        plain_s3.put_object(Bucket=versioned, Key="k", Body=body)
    step("k")
    entries = _purge(settings, history=history)
    assert [(entry.action, entry.leaves_undone) for entry in entries] == [
        ("removed", False),
        *[("removed", False) if history else ("kept", True)] * len(older),
    ]
    assert ("is in none" if history else "history") in entries[-1].because
    assert _versions(plain_s3, versioned) == (1 if history else 1 + len(older))


@pytest.mark.slow
@pytest.mark.parametrize("history", [False, True])
def test_a_wrong_replacement_protects_the_original(
    history: bool, settings: Settings, versioned: str, plain_s3: Any, make_client: Callable[..., Any]
) -> None:
    """An encrypted empty object is sound, and not what was there."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"valuable original")
    make_client().put_object(Bucket=versioned, Key="k", Body=b"")
    (entry,) = _purge(settings, history=history)
    assert entry.action == ("removed" if history else "kept")


def _answer(client: Any, method: str, refused: Callable[[dict[str, Any]], bool], status: int) -> None:
    """Have a client answer some of its requests with an error."""
    from botocore.exceptions import ClientError

    real = getattr(client, method)

    def answer(**parameters: Any) -> Any:
        if refused(parameters):
            error = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(error, method)  # type: ignore[arg-type]  # a part of an answer
        return real(**parameters)

    setattr(client, method, answer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cause", ["archived", "HEAD 403", "HEAD 500", "HEAD 503", "GET 403", "DELETE 403", "DELETE 503"]
)
def test_plaintext_that_stays_is_left_undone(
    cause: str, settings: Settings, versioned: str, plain_s3: Any, step: Step, open_context: Callable[..., Any]
) -> None:
    """Whatever the cause: plaintext, or what may be, is still there, and the purge says so."""
    storage = {"StorageClass": "GLACIER"} if cause == "archived" else {}
    old = plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x", **storage)["VersionId"]
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    step("k")
    context = open_context(settings(action=Action.VERIFY))
    if cause != "archived":
        operation, status = cause.split()
        _answer(context.s3, f"{operation.lower()}_object", lambda given: given.get("VersionId") == old, int(status))
    entries = list(purge_plaintext_versions(context.settings, context=context, dry_run=False))
    assert [(entry.action, entry.leaves_undone) for entry in entries] == [("removed", False), ("kept", True)]
    assert entries[1].version_id == old
    assert bool(entries[1].error) is (cause != "archived")


@pytest.mark.slow
def test_an_archived_version_that_is_encrypted_is_no_plaintext(
    settings: Settings, versioned: str, plain_s3: Any, step: Step, make_client: Callable[..., Any]
) -> None:
    """Its headers say so, though its content cannot be read."""
    make_client().put_object(Bucket=versioned, Key="k", Body=b"x", StorageClass="GLACIER")
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    step("k")
    entries = _purge(settings)
    assert [(entry.action, entry.leaves_undone) for entry in entries] == [("removed", False), ("kept", False)]


@pytest.mark.slow
@pytest.mark.parametrize("older_is_sound", [True, False])
def test_a_damaged_current_version_is_named(
    older_is_sound: bool, settings: Settings, step: Step, versioned: str, plain_s3: Any
) -> None:
    """Evidence of tampering is said, also where an older encrypted version lets the plaintext go."""
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"precious")
    step("k")
    stored = plain_s3.get_object(Bucket=versioned, Key="k")
    body = bytearray(stored["Body"].read())
    body[0] ^= 1
    if not older_is_sound:
        plain_s3.delete_object(Bucket=versioned, Key="k", VersionId=stored["VersionId"])
    current = plain_s3.put_object(Bucket=versioned, Key="k", Body=bytes(body), Metadata=stored["Metadata"])
    entries = _purge(settings)
    assert [entry.error for entry in entries if entry.leaves_undone] == ["AuthenticationError"]
    assert any(current["VersionId"] in (entry.version_id, *entry.because.replace(":", "").split()) for entry in entries)
    plaintext = [entry.action for entry in entries if entry.size == len(b"precious")]
    assert plaintext == (["removed"] if older_is_sound else ["kept"])


@pytest.mark.slow
def test_a_null_version_that_was_replaced_stays(
    settings: Settings, versioned: str, plain_s3: Any, step: Step, open_context: Callable[..., Any]
) -> None:
    """Where versions are suspended a writer replaces the null version: what was looked at is not what would go."""
    plain_s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    plain_s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    keep_versions(plain_s3, versioned)
    step("k")
    context = open_context(settings(action=Action.VERIFY))
    head = context.s3.head_object
    looks: list[str] = []

    def look(**parameters: Any) -> Any:
        if parameters.get("VersionId") == "null":
            looks.append("null")
            if len(looks) == 2:
                plain_s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
                plain_s3.put_object(Bucket=versioned, Key="k", Body=b"a writer's")
        return head(**parameters)

    context.s3.head_object = look
    entries = list(purge_plaintext_versions(context.settings, context=context, dry_run=False))
    assert looks
    assert all(entry.action == "kept" for entry in entries)
    assert plain_s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"a writer's"


def test_only_settings_that_write_nothing_are_taken(settings: Settings) -> None:
    """The purge reads versions; settings of another action would pin nothing."""
    with pytest.raises(ConfigurationError, match="VERIFY"):
        list(purge_plaintext_versions(settings()))
