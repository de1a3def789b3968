"""No kill, no fault and no order of writes makes an object unreadable, or calls plaintext tampered."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

import s3ec
from s3ec import AesKeyring, CommitmentPolicy, KmsKeyring
from s3ec.errors import (
    InstructionFileError,
    KeyringError,
    MalformedMetadataError,
    NotEncryptedError,
    S3ECError,
    SecurityError,
)
from s3ec.migrate import (
    Action,
    KeyringSpec,
    Location,
    MigrationContext,
    MigrationSettings,
    Result,
    SkipReason,
    Task,
    migrate_one,
)
from s3ec.migrate.audit.survey_object import look

from .conftest import Open, Settings
from support.aws import create_kms_key, keep_versions
from support.interference import Interference, KilledError
from support.vectors import all_vectors

MIB = 2**20
TEXT = b"The quick brown fox jumps over the lazy dog. "
IN_PARTS = {"single_request_limit": MIB, "part_size": 5 * MIB}


def _read(client: Any, bucket: str, key: str = "k") -> bytes:
    body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def _check_readers(make_client: Callable[..., Any], plain_s3: Any, bucket: str, body: bytes) -> None:
    """Whoever may read plaintext reads it, whoever refuses it hears what it is, and nobody hears of tampering."""
    assert _read(make_client(unencrypted_objects="allow"), bucket) == body
    found = s3ec.inspect(plain_s3, Bucket=bucket, Key="k")
    assert found.problem is None
    assert look(plain_s3, bucket, "k").format == (found.format or "plaintext")
    if found.format is None:
        with pytest.raises(NotEncryptedError):
            _read(make_client(), bucket)


@pytest.mark.slow
@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize(("body", "changes"), [(TEXT, {}), (TEXT * 140_000, IN_PARTS)], ids=["whole", "in parts"])
def test_a_kill_at_each_request_strands_nothing(
    versioned: bool,
    body: bytes,
    changes: dict[str, Any],
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    bucket: str,
    plain_s3: Any,
) -> None:
    """With an instruction file beside each object, wherever the run is killed the next one finishes."""
    if versioned:
        keep_versions(plain_s3, bucket)
    job = settings(instruction_file="always", ignore_acl=True, **changes)
    point, killed = 8 if versioned else 1, True
    while killed:
        plain_s3.put_object(Bucket=bucket, Key="k", Body=body)
        plain_s3.delete_object(Bucket=bucket, Key="k.instruction")
        context = open_context(job)
        Interference(context.s3).kill_before(point)
        killed = False
        try:
            migrate_one(Task(bucket=bucket, key="k"), context=context)
        except KilledError:
            killed = True
        _check_readers(make_client, plain_s3, bucket, body)
        again = migrate_one(Task(bucket=bucket, key="k"), context=open_context(job))
        assert again.result in (Result.DONE, Result.ALREADY), (point, again)
        assert _read(make_client(), bucket) == body
        point += 1
    assert point > 12


@pytest.mark.slow
@pytest.mark.parametrize(("body", "changes"), [(TEXT, {}), (TEXT * 140_000, IN_PARTS)], ids=["whole", "in parts"])
def test_readers_are_never_refused_while_an_object_is_moved(
    body: bytes,
    changes: dict[str, Any],
    settings: Settings,
    open_context: Open,
    make_client: Callable[..., Any],
    bucket: str,
    plain_s3: Any,
) -> None:
    """Before each request of the move the object is what it was, or what it is to become."""
    plain_s3.put_object(Bucket=bucket, Key="k", Body=body)
    context = open_context(settings(instruction_file="always", **changes))
    watch = Interference(context.s3)
    reader = make_client(unencrypted_objects="allow")
    seen: list[str] = []
    for operation in ("GetObject", "HeadObject", "PutObject", "UploadPart", "CompleteMultipartUpload"):
        watch.when(operation, lambda: seen.append("right" if _read(reader, bucket) == body else "wrong"), nth=None)
    assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
    assert len(seen) >= 5
    assert set(seen) == {"right"}
    # The file comes right before the request that commits its object.
    commit = len(watch.sent) - 1 - watch.sent[::-1].index("CompleteMultipartUpload" if changes else "PutObject")
    assert watch.sent[commit - 1] == "PutObject"


@pytest.mark.slow
class TestFilesThatMove:
    """A kill at each request of a job on an object that has its key in a file: what is read is its content."""

    KEY = b"w" * 32
    OLD = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT

    def _job(self, name: str, settings: Settings, bucket: str, aws: dict[str, Any], path: str) -> MigrationSettings:
        spec = KeyringSpec(kind="aes-file", path=path)
        if name == "rewrap":
            return settings(
                action=Action.REWRAP, source_keyring=spec, keyring=KeyringSpec(kind="kms", key_id=create_kms_key(aws))
            )
        destination = None if name == "upgrade" else Location(bucket=bucket, prefix="there/")
        action = Action.UPGRADE if name == "upgrade" else Action.MIGRATE
        return settings(action=action, source_keyring=spec, destination=destination, ignore_acl=True)

    @pytest.mark.parametrize(
        ("name", "policy"),
        [
            ("upgrade", OLD),
            ("rewrap", OLD),
            ("rewrap", CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT),
            ("move", OLD),
            ("move", CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT),
        ],
    )
    def test_readers(
        self,
        name: str,
        policy: CommitmentPolicy,
        settings: Settings,
        open_context: Open,
        make_client: Callable[..., Any],
        bucket: str,
        plain_s3: Any,
        aws: dict[str, Any],
        tmp_path: Any,
    ) -> None:
        """With the old key or with the new one, at each moment."""
        (tmp_path / "key").write_bytes(self.KEY)
        job = self._job(name, settings, bucket, aws, str(tmp_path / "key"))
        old = {"keyring": AesKeyring(self.KEY), "unencrypted_objects": "allow"}
        writer = make_client(**old, commitment_policy=policy, instruction_file_writes=True)
        new = {
            "keyring": KmsKeyring(str(job.keyring.key_id), client=boto3.client("kms", **aws)),
            "unencrypted_objects": "allow",
        }
        readers = [
            make_client(**which, commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT)
            for which in (old, new)
        ]
        key = "there/k" if job.destination else "k"
        point, killed = 1, True
        while killed:
            for item in plain_s3.list_objects_v2(Bucket=bucket).get("Contents", []):
                plain_s3.delete_object(Bucket=bucket, Key=item["Key"])
            writer.put_object(Bucket=bucket, Key="k", Body=TEXT)
            context = open_context(job)
            Interference(context.s3).kill_before(point)
            killed = False
            try:
                assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
            except KilledError:
                killed = True
            assert self._found(readers, bucket, "k") == {TEXT}
            if job.destination and not killed or self._found(readers, bucket, key):
                assert self._found(readers, bucket, key) == {TEXT}
            point += 1
        assert point > 4

    def _found(self, readers: list[Any], bucket: str, key: str) -> set[bytes]:
        """All contents that one of the readers gets."""
        found = set()
        for reader in readers:
            with contextlib.suppress(KeyringError, SecurityError, ClientError):
                found.add(_read(reader, bucket, key))
        return found


V2 = next(v for v in all_vectors() if v.name == "java/java3-aes256-instr-17")
V3_FILE = json.dumps(
    {"x-amz-3": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ==", "x-amz-w": "02", "x-amz-m": "{}"}
)
BESIDE: Mapping[str, tuple[bytes, str | None]] = {
    "somebody's own": (b"How to assemble the shelf", None),
    "somebody's own JSON": (b'{"title": "shelf", "steps": [1, 2]}', None),
    "empty": (b"", None),
    "a stray file of V3": (V3_FILE.encode(), None),
    "half a file of V2": (V2.instruction_file.body[:60] if V2.instruction_file else b"", "problem"),
    "a file of V2": (V2.instruction_file.body if V2.instruction_file else b"", "V2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BESIDE)
def test_one_answer_behind_every_door(
    name: str, settings: Settings, open_context: Open, make_client: Callable[..., Any], bucket: str, plain_s3: Any
) -> None:
    """Get, inspect, survey (audit and ls), migrate and verify say the same of an object and what lies beside it."""
    beside, expected = BESIDE[name]
    plain_s3.put_object(
        Bucket=bucket, Key="k", Body=b"plain text of somebody", Metadata=dict(V2.metadata) if expected == "V2" else {}
    )
    plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=beside)
    answers = {
        "inspect": "problem" if (found := s3ec.inspect(plain_s3, Bucket=bucket, Key="k")).problem else found.format,
        "survey": {"unreadable": "problem", "plaintext": None}.get(
            surveyed := look(plain_s3, bucket, "k").format, surveyed
        ),
        "migrate": _by_job(open_context(settings(), dry_run=True), bucket),
        "verify": _by_job(open_context(settings(action=Action.VERIFY)), bucket),
        "get": _by_get(make_client(unencrypted_objects="allow"), bucket),
    }
    assert answers == dict.fromkeys(answers, expected)
    if expected is None:
        with pytest.raises(NotEncryptedError):
            _read(make_client(), bucket)


def _by_job(context: MigrationContext, bucket: str) -> str | None:
    outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
    if outcome.reason is SkipReason.MALFORMED:
        return "problem"
    plain = outcome.result is Result.PLANNED or outcome.reason is SkipReason.NOT_ENCRYPTED
    return None if plain else "V2"


def _by_get(client: Any, bucket: str) -> str | None:
    try:
        answer = client.get_object(Bucket=bucket, Key="k")
    except (InstructionFileError, MalformedMetadataError):
        return "problem"
    except S3ECError:
        return "V2"  # it is not this client's to open
    assert answer["Body"].read() == b"plain text of somebody"
    return None


def test_a_survey_never_calls_ciphertext_plaintext_because_a_file_was_cut(
    make_client: Callable[..., Any], bucket: str, plain_s3: Any, aws: dict[str, Any]
) -> None:
    """Half of the file arrives: that says nothing of the object, and is an error."""
    writer = make_client(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT, instruction_file_writes=True)
    writer.put_object(Bucket=bucket, Key="k", Body=b"plaintext")

    def cut(parsed: dict[str, Any], **_: Any) -> None:
        whole = parsed["Body"].read()
        parsed["Body"] = StreamingBody(io.BytesIO(whole[: len(whole) // 2]), len(whole))

    plain_s3.meta.events.register("after-call.s3.GetObject", cut)
    found = look(plain_s3, bucket, "k")
    assert (found.format, found.error) == ("unreadable", "IncompleteReadError")


class TestUpgrade:
    """V2 with its key in a file becomes V3; the file is removed, and only that one."""

    KEY = bytes.fromhex(V2.key["hex"])

    @pytest.fixture
    def job(self, settings: Settings, tmp_path: Any) -> Any:
        (tmp_path / "key").write_bytes(self.KEY)
        return settings(action=Action.UPGRADE, source_keyring=KeyringSpec(kind="aes-file", path=str(tmp_path / "key")))

    @staticmethod
    def put_pair(plain_s3: Any, bucket: str) -> None:
        """The object, then its file, as another writer leaves them."""
        assert V2.instruction_file is not None
        plain_s3.put_object(Bucket=bucket, Key="k", Body=V2.body, Metadata=dict(V2.metadata))
        plain_s3.put_object(
            Bucket=bucket, Key="k.instruction", Body=V2.instruction_file.body, Metadata={"by": "writer"}
        )

    def new_pair(self, make_client: Callable[..., Any], bucket: str, plain_s3: Any) -> None:
        """A new object with a new file, as a client writes them that takes no account of the old file."""
        make_client(
            keyring=AesKeyring(self.KEY),
            commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
            instruction_file_writes=True,
        ).put_object(Bucket=bucket, Key="new", Body=b"the writer's new object")
        for suffix in (".instruction", ""):
            written = plain_s3.get_object(Bucket=bucket, Key=f"new{suffix}")
            plain_s3.put_object(
                Bucket=bucket, Key=f"k{suffix}", Body=written["Body"].read(), Metadata=written["Metadata"]
            )
            plain_s3.delete_object(Bucket=bucket, Key=f"new{suffix}")

    @pytest.mark.slow
    @pytest.mark.parametrize("versioned", [False, True])
    def test_the_file_of_a_writer_in_between_stands(
        self,
        versioned: bool,
        job: Any,
        open_context: Open,
        make_client: Callable[..., Any],
        bucket: str,
        plain_s3: Any,
    ) -> None:
        """DELETE carries the ETag of the file that was read: another one stays, and its object with it."""
        if versioned:
            keep_versions(plain_s3, bucket)
        self.put_pair(plain_s3, bucket)
        context = open_context(job)
        watch = Interference(context.s3)
        watch.when("DeleteObject", lambda: self.new_pair(make_client, bucket, plain_s3))
        first = migrate_one(Task(bucket=bucket, key="k"), context=context)
        assert first.result is Result.DONE
        assert any("another writer" in note for note in first.notes)
        assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
        assert _read(make_client(), bucket) == b"the writer's new object"

    @pytest.mark.slow
    def test_a_server_without_conditions_is_looked_at_again(
        self, job: Any, open_context: Open, make_client: Callable[..., Any], bucket: str, plain_s3: Any
    ) -> None:
        """What the delete hit is said, and the orphan is never encrypted again."""
        self.put_pair(plain_s3, bucket)
        context = open_context(job)
        watch = Interference(context.s3)
        watch.forget("If-Match", "DeleteObject")
        watch.when("DeleteObject", lambda: self.new_pair(make_client, bucket, plain_s3))
        outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
        assert (outcome.result, outcome.leaves_undone) == (Result.FAILED, True)
        orphan = plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read()
        again = migrate_one(Task(bucket=bucket, key="k"), context=context)
        assert (again.result, again.reason) == (Result.SKIPPED, SkipReason.PERHAPS_ENCRYPTED)
        assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == orphan

    @pytest.mark.slow
    def test_where_versions_are_kept_the_file_stands_again(
        self, job: Any, open_context: Open, make_client: Callable[..., Any], bucket: str, plain_s3: Any
    ) -> None:
        """The delete marker is taken away again."""
        keep_versions(plain_s3, bucket)
        self.put_pair(plain_s3, bucket)
        context = open_context(job)
        watch = Interference(context.s3)
        watch.forget("If-Match", "DeleteObject")
        watch.when("DeleteObject", lambda: self.new_pair(make_client, bucket, plain_s3))
        assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.CHANGED
        assert migrate_one(Task(bucket=bucket, key="k"), context=context).result is Result.DONE
        assert _read(make_client(), bucket) == b"the writer's new object"

    @pytest.mark.parametrize("versioned", [False, True])
    def test_a_server_that_refuses_the_condition(
        self, versioned: bool, job: Any, open_context: Open, bucket: str, plain_s3: Any
    ) -> None:
        """A delete is unconditional only where a version brings the file back; elsewhere the file stays."""
        if versioned:
            keep_versions(plain_s3, bucket)
        self.put_pair(plain_s3, bucket)
        context = open_context(job)
        Interference(context.s3).refuse_conditions_on_deletes()
        outcome = migrate_one(Task(bucket=bucket, key="k"), context=context)
        assert outcome.result is Result.DONE
        names = {entry["Key"] for entry in plain_s3.list_objects_v2(Bucket=bucket)["Contents"]}
        assert names == ({"k"} if versioned else {"k", "k.instruction"})
        assert any("stays" in note for note in outcome.notes) is not versioned

    @pytest.mark.slow
    def test_an_orphan_is_known_by_the_versions_of_its_file(
        self, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
    ) -> None:
        """Ciphertext whose file was deleted since it was written is not taken for plaintext; a new object is."""
        keep_versions(plain_s3, bucket)
        plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=V2.instruction_file.body)  # type: ignore[union-attr]
        plain_s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(100))
        plain_s3.delete_object(Bucket=bucket, Key="k.instruction")
        outcome = migrate_one(Task(bucket=bucket, key="k"), context=open_context(settings()))
        assert outcome.reason is SkipReason.PERHAPS_ENCRYPTED
        plain_s3.put_object(Bucket=bucket, Key="k", Body=TEXT)
        assert migrate_one(Task(bucket=bucket, key="k"), context=open_context(settings())).result is Result.DONE

    @pytest.mark.slow
    def test_ciphertext_beside_a_stray_file_is_not_encrypted(
        self, job: Any, settings: Settings, open_context: Open, bucket: str, plain_s3: Any
    ) -> None:
        """A writer replaced the file of a V2 object and was killed before its object: what is left stays as it is."""
        self.put_pair(plain_s3, bucket)
        plain_s3.put_object(Bucket=bucket, Key="k.instruction", Body=V3_FILE.encode())
        for wanted in (settings(), settings(instruction_file="always"), job):
            context = open_context(wanted)
            for listed in (None, True, False):
                task = Task(bucket=bucket, key="k", has_instruction_file=listed)
                outcome = migrate_one(task, context=context)
                assert (outcome.result, outcome.reason) == (Result.SKIPPED, SkipReason.PERHAPS_ENCRYPTED)
        assert plain_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == V2.body

    @pytest.mark.slow
    def test_only_the_books_that_wrote_a_stray_file_vouch_for_it(
        self, settings: Settings, open_context: Open, make_client: Callable[..., Any], bucket: str, plain_s3: Any
    ) -> None:
        """Random bytes beside the file of a killed run: that job goes on, another one, or another object, does not."""
        body, job = os.urandom(200), settings(instruction_file="always")
        plain_s3.put_object(Bucket=bucket, Key="k", Body=body)
        context = open_context(job)
        watch = Interference(context.s3)
        watch.when("PutObject", lambda: watch.kill_before(len(watch.sent) + 1))
        with pytest.raises(KilledError):
            migrate_one(Task(bucket=bucket, key="k"), context=context)
        file = plain_s3.get_object(Bucket=bucket, Key="k.instruction")
        other, without = open_context(job), open_context(job)
        other.mac_key, without.mac_key = bytes(32), None
        for stranger in (other, without):
            outcome = migrate_one(Task(bucket=bucket, key="k"), context=stranger)
            assert outcome.reason is SkipReason.PERHAPS_ENCRYPTED
        plain_s3.put_object(Bucket=bucket, Key="other", Body=body)
        plain_s3.put_object(Bucket=bucket, Key="other.instruction", Body=file["Body"].read(), Metadata=file["Metadata"])
        outcome = migrate_one(Task(bucket=bucket, key="other"), context=open_context(job))
        assert outcome.reason is SkipReason.PERHAPS_ENCRYPTED
        assert migrate_one(Task(bucket=bucket, key="k"), context=open_context(job)).result is Result.DONE
        assert _read(make_client(), bucket) == body

    def test_a_plain_migration_removes_no_file(
        self,
        job: Any,
        settings: Settings,
        open_context: Open,
        make_client: Callable[..., Any],
        bucket: str,
        plain_s3: Any,
    ) -> None:
        """Beside a whole V3 object it may be what an older version needs; an upgrade, which made it so, removes it."""
        self.put_pair(plain_s3, bucket)
        make_client().put_object(Bucket=bucket, Key="k", Body=TEXT)
        task = Task(bucket=bucket, key="k", has_instruction_file=True)
        outcome = migrate_one(task, context=open_context(settings()))
        assert outcome.result is Result.ALREADY
        assert "k.instruction" in outcome.notes[0]
        assert plain_s3.head_object(Bucket=bucket, Key="k.instruction")
        assert migrate_one(task, context=open_context(job)).result is Result.ALREADY
        assert len(plain_s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1
