"""The engines by name, and the options of the one that runs in AWS."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import click

from s3ec.cli.urls import S3_OBJECT, S3_URL, S3Url
from s3ec.errors import ConfigurationError
from s3ec.migrate.jobs.local import Engine
from s3ec.migrate.settings import MigrationSettings

__all__ = ["ENGINES", "BatchOptions", "batch_options", "batch_plan", "open_engine"]

ENGINES = ("local", "dask", "ray", "s3-batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """What a plan for S3 Batch Operations names; placeholders stand for what is not given."""

    batch_account: str | None = None
    batch_function: str | None = None
    batch_role: str | None = None
    batch_manifest: S3Url | None = None
    batch_manifest_etag: str | None = None
    batch_report: S3Url | None = None


def batch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives them as ``batch``."""

    @click.option("--batch-account", metavar="ID", help="s3-batch: account of the bucket.")
    @click.option("--batch-function", metavar="ARN", help="s3-batch: a published version of the function.")
    @click.option("--batch-role", metavar="ARN", help="s3-batch: the role that S3 takes on.")
    @click.option("--batch-manifest", type=S3_OBJECT, metavar="URL", help="s3-batch: the manifest (CSV).")
    @click.option("--batch-manifest-etag", metavar="ETAG", help="s3-batch: its ETag.")
    @click.option("--batch-report", type=S3_URL, metavar="URL", help="s3-batch: where the report goes.")
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        batch = BatchOptions(**{each.name: kwargs.pop(each.name) for each in fields(BatchOptions)})
        return function(*args, batch=batch, **kwargs)

    return wrapper


def batch_plan(settings: MigrationSettings, options: BatchOptions) -> Mapping[str, Any]:
    """Function, roles and job, to be reviewed."""
    from s3ec.migrate.engines.s3_batch_plan import BatchPlan

    account = options.batch_account or "ACCOUNT-ID"
    region = settings.connection.region_name or "REGION"
    manifest = options.batch_manifest or S3Url(settings.source.bucket, "MANIFEST.csv")
    report = options.batch_report or S3Url("REPORT-BUCKET", "s3ec")
    return BatchPlan(
        settings=settings,
        account_id=account,
        function_arn=options.batch_function or f"arn:aws:lambda:{region}:{account}:function:s3ec:1",
        role_arn=options.batch_role or f"arn:aws:iam::{account}:role/s3ec-batch",
        manifest=(manifest.bucket, manifest.key),
        manifest_etag=(options.batch_manifest_etag or "MANIFEST-ETAG").strip('"'),
        report=(report.bucket, report.key.rstrip("/") or "s3ec"),
    ).document()


def open_engine(name: str, address: str | None) -> Engine | None:
    """Connect to an engine; None for threads and processes here.

    Raises:
        ConfigurationError: the engine is not installed.
    """
    if name == "local":
        if address is not None:
            raise click.UsageError("--engine-address is for dask and ray", click.get_current_context())
        return None
    try:
        module = importlib.import_module(f"s3ec.migrate.engines.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the engine {name} is not installed: pip install 's3ec[{name}]'") from error
    engine: Engine = module.engine(address)
    return engine
