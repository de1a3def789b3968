"""What every migration test needs: settings that reach moto, and a step that runs one task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from s3ec.migrate import Action, Connection, KeyringSpec, Location, MigrationSettings, Outcome, Task
from s3ec.migrate.steps.step import migrate_one
from s3ec.migrate.work.context import MigrationContext

from support.macs import MAC_KEY

Settings = Callable[..., MigrationSettings]
Step = Callable[..., Outcome]
Open = Callable[..., MigrationContext]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find credentials in their environment, never in the settings."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def settings(endpoint: str, bucket: str, kms_key: str) -> Settings:
    """Makes settings for the test's bucket; whatever is given replaces the default."""

    def make(**changes: Any) -> MigrationSettings:
        plain = MigrationSettings(
            action=Action.MIGRATE,
            source=Location(bucket=bucket),
            keyring=KeyringSpec(kind="kms", key_id=kms_key),
            connection=Connection(endpoint_url=endpoint, region_name="us-east-1"),
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def open_context() -> Iterator[Callable[..., MigrationContext]]:
    """Opens contexts that are closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(job: MigrationSettings, **options: Any) -> MigrationContext:
            context = stack.enter_context(contextlib.closing(MigrationContext.open(job, **options)))
            context.mac_key = MAC_KEY
            return context

        yield make


@pytest.fixture
def step(bucket: str, plain_s3: Any, settings: Settings, open_context: Callable[..., MigrationContext]) -> Step:
    """Runs one task on the object as it stands; keywords change the settings."""

    def run(key: str, *, task: Task | None = None, dry_run: bool = False, **changes: Any) -> Outcome:
        etag = None if task else plain_s3.head_object(Bucket=bucket, Key=key)["ETag"]
        return migrate_one(
            task or Task(bucket=bucket, key=key, etag=etag),
            context=open_context(settings(**changes), dry_run=dry_run),
        )

    return run
