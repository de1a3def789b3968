"""Settings travel to workers as JSON: whole, without a secret, and only if they make sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import ConfigurationError
from s3ec.migrate import (
    Action,
    Connection,
    KeyringSpec,
    Location,
    MigrationSettings,
    Outcome,
    Plan,
    Result,
    SkipReason,
    Task,
)
from s3ec.migrate.steps.verify import is_sampled

KMS = KeyringSpec(kind="kms", key_id="alias/payroll")
AES = KeyringSpec(kind="aes-file", path="k")


def _settings(**changes: Any) -> MigrationSettings:
    return MigrationSettings(**{"action": Action.MIGRATE, "source": Location(bucket="b"), "keyring": KMS, **changes})


@pytest.mark.parametrize(
    "value",
    [
        _settings(encryption_context={"ä": "ö"}, destination=Location(bucket="c", prefix="p/"), sample=0.5),
        _settings(server_side_encryption={"ServerSideEncryption": "aws:kms", "BucketKeyEnabled": True}),
        Task(bucket="b", key="ü +%/\n", version_id="null", etag='"1"', has_instruction_file=False),
        Outcome(
            task=Task(bucket="b", key="k"),
            result=Result.SKIPPED,
            reason=SkipReason.ARCHIVED,
            requests={"a": 1},
            notes=("n",),
        ),
        Plan(identity="x", skipped={"archived": 3}),
    ],
)
def test_everything_comes_back_from_json(value: Any) -> None:
    """What passes between planner, engines and step is the same after a way through text."""
    text = value.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert type(value).from_json(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"bucket": "b"}', '{"bucket": "b", "key": 5}', '{"bucket": "b", "key": "k", "kye": "k"}'],
)
def test_what_is_no_task_is_refused(text: str) -> None:
    """Misspelt, missing and mistyped names are errors, never defaults."""
    with pytest.raises(ConfigurationError, match="Task"):
        Task.from_json(text)


def test_no_key_travels(tmp_path: Path) -> None:
    """Settings name a key's file; its content stays where it is."""
    path = tmp_path / "key"
    path.write_bytes(b"sixteen-bytes-of" * 2)
    spec = KeyringSpec(kind="aes-file", path=str(path))
    assert "sixteen-bytes-of" not in _settings(keyring=spec).to_json()
    assert spec.label == "key"
    assert spec.build(Connection()).capabilities.encrypts


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": Action.REWRAP, "destination": Location(bucket="c")}, "takes no destination"),
        ({"action": Action.VERIFY, "destination": Location(bucket="c")}, "takes no destination"),
        ({"keyring": KeyringSpec(kind="kms-discovery")}, "only decrypts"),
        (
            {"keyring": KeyringSpec(kind="aes-file", path="k"), "encryption_context": {"a": "b"}},
            "no encryption context",
        ),
        ({"keyring": KeyringSpec(kind="aes-file", path="k"), "bind_object": True}, "no encryption context"),
        ({"sample": 0.0}, "sample"),
        ({"part_size": 1}, "part_size"),
        ({"instruction_file": "perhaps"}, "instruction_file"),
        # Every object written would have keys of two formats, which readers take for a forgery.
        ({"keep_last_modified": "X-Amz-Iv"}, "content metadata"),
        ({"keep_last_modified": "ä b"}, "ASCII"),
        ({"keep_last_modified": ""}, "ASCII"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    """A contradiction is found where the settings are made, not on a worker."""
    with pytest.raises(ConfigurationError, match=message):
        _settings(**changes)


@pytest.mark.parametrize("values", [{"kind": "tape"}, {"kind": "kms"}, {"kind": "aes-file"}, {"kind": "rsa-file"}])
def test_a_keyring_that_names_no_key_is_refused(values: dict[str, str]) -> None:
    """Each kind needs what it is made of."""
    with pytest.raises(ConfigurationError):
        KeyringSpec(**values)


def test_an_absent_key_file_is_named() -> None:
    """A worker without the file says which one."""
    with pytest.raises(ConfigurationError, match="no-such-file"):
        KeyringSpec(kind="aes-file", path="/no-such-file").build(Connection())


def test_the_identity_is_what_decides_about_the_bytes() -> None:
    """Speed does not change a plan; key, context, source and action do."""
    plain = _settings()
    same = [_settings(max_attempts=9), _settings(read_back=True), _settings(connection=Connection(max_connections=5))]
    other = [
        _settings(action=Action.UPGRADE),
        _settings(source=Location(bucket="b", prefix="p")),
        _settings(keyring=KeyringSpec(kind="kms", key_id="alias/other")),
        _settings(encryption_context={"a": "b"}),
        _settings(bind_object=True),
    ]
    assert {settings.identity for settings in same} == {plain.identity}
    assert len({settings.identity for settings in [plain, *other]}) == 6


def test_a_destination_inside_the_source_is_not_its_source() -> None:
    """What the job itself writes is never listed as something to do."""
    inside = _settings(destination=Location(bucket="b", prefix="encrypted/"))
    assert inside.is_source("a")
    assert not inside.is_source("encrypted/a")
    elsewhere = _settings(destination=Location(bucket="c", prefix="encrypted/"))
    assert elsewhere.is_source("encrypted/a")
    assert elsewhere.target("encrypted/a") == ("c", "encrypted/encrypted/a")


def test_a_sample_is_the_same_for_every_worker() -> None:
    """By name, not by chance: about the share asked for, and the same objects each time."""
    tasks = [Task(bucket="b", key=str(number)) for number in range(4000)]
    chosen = [task for task in tasks if is_sampled(task, 0.25)]
    assert 900 < len(chosen) < 1100
    assert chosen == [task for task in tasks if is_sampled(task, 0.25)]
    assert all(is_sampled(task, 1.0) for task in tasks)


def test_results_say_whether_they_are_final() -> None:
    """Only another writer's change and a passing fault send a task round again."""
    assert [result.value for result in Result if not result.is_final] == ["changed", "retry"]
    text = json.dumps([result.value for result in Result])
    assert [Result(value) for value in json.loads(text)] == list(Result)
