"""Move whole buckets: encrypt plaintext, upgrade old formats, rotate wrapping keys, verify.

Survey, plan, then one pure step per object; a journal keeps the books::

    settings = MigrationSettings(
        action=Action.MIGRATE, source=Location(bucket="b"), keyring=KeyringSpec(kind="kms", key_id="alias/payroll")
    )
    with Journal.open("b.journal", settings) as journal:
        summary = run(settings, journal, workers=16)

What an engine for many machines does with it::

    worker:  outcome = run_json(task_json, settings_json)         # str, str -> str; idempotent, may run twice
    driver:  for task in object_list: journal.add(task); …; journal.finish(Outcome.from_json(outcome))

- `ObjectList`: where tasks come from. `ListedObjects`, `ListedVersions`, `InventoryReport` and `KeyFile` are such.
- `MigrationContext`: what a worker keeps between tasks: clients, keyrings, rate limit, what is known of buckets.
  Never pickled; `MigrationContext.open(settings)` builds one where it is needed.
- `migrate_one(task, *, context) -> Outcome` raises nothing that concerns one object only: its outcome says it.
- `Journal`: SQLite; leases make two runs at once safe; `Outcome.result.is_final` False sends a task round again.
"""

from __future__ import annotations

from s3ec.migrate.jobs.local import Summary, run
from s3ec.migrate.jobs.planning import plan
from s3ec.migrate.jobs.purge import Purge, purge_plaintext_versions
from s3ec.migrate.jobs.workers import Event
from s3ec.migrate.journal.journal import Journal, default_path
from s3ec.migrate.model import Action, Cost, Outcome, Plan, Result, SkipReason, Task
from s3ec.migrate.settings import Connection, KeyringSpec, Location, MigrationSettings
from s3ec.migrate.steps.step import migrate_one, next_task, run_json
from s3ec.migrate.work.context import MigrationContext
from s3ec.migrate.work.inventory import InventoryReport
from s3ec.migrate.work.object_lists import KeyFile, ListedObjects, ListedVersions, ObjectList

__all__ = [
    "Action",
    "Connection",
    "Cost",
    "Event",
    "InventoryReport",
    "Journal",
    "KeyFile",
    "KeyringSpec",
    "ListedObjects",
    "ListedVersions",
    "Location",
    "MigrationContext",
    "MigrationSettings",
    "ObjectList",
    "Outcome",
    "Plan",
    "Purge",
    "Result",
    "SkipReason",
    "Summary",
    "Task",
    "default_path",
    "migrate_one",
    "next_task",
    "plan",
    "purge_plaintext_versions",
    "run",
    "run_json",
]
