"""Where the objects of a job come from: a listing, an S3 Inventory report, a file of keys."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from s3ec.cli.environment import Environment
from s3ec.cli.urls import S3_OBJECT, S3Url
from s3ec.migrate import InventoryReport, KeyFile
from s3ec.migrate.work.object_lists import ObjectList

__all__ = ["Sources", "source_options"]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the options say; at most one is given."""

    inventory: S3Url | None = None
    keys: Path | None = None

    def open(self, environment: Environment, url: S3Url) -> ObjectList | None:
        """Return the list of objects; None for a listing of the source.

        Raises:
            OSError: the file of keys cannot be read.
        """
        if self.keys is not None:
            self.keys.open("rb").close()
            return KeyFile(str(self.keys), url.bucket)
        if self.inventory is not None:
            return InventoryReport(
                environment.s3, self.inventory.bucket, self.inventory.key, bucket=url.bucket, prefix=url.key
            )
        return None


def source_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command receives them as ``sources``."""

    @click.option("--inventory", type=S3_OBJECT, metavar="URL", help="manifest.json of an S3 Inventory report.")
    @click.option(
        "--keys",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File of keys: one a line (NUL-separated, too), .csv (Bucket,Key[,VersionId]) or .jsonl.",
    )
    @functools.wraps(function)
    def wrapper(*args: Any, inventory: S3Url | None, keys: Path | None, **kwargs: Any) -> Any:
        if inventory is not None and keys is not None:
            raise click.UsageError("give --inventory or --keys, not both", click.get_current_context())
        return function(*args, sources=Sources(inventory, keys), **kwargs)

    return wrapper
