"""``s3ec mb`` and ``rb``: make and remove buckets."""

from __future__ import annotations

from typing import Any

import click
from botocore.exceptions import ClientError

from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, Failure, FailureError, located
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate.work.pages import pages
from s3ec.s3.answers import code_of

__all__ = ["mb", "rb"]


def _bucket_alone(url: S3Url) -> None:
    if url.key:
        raise click.UsageError(f"{url} names an object; s3://{url.bucket} is wanted", click.get_current_context())


@click.command(
    cls=Command,
    short_help="Make a bucket.",
    examples=("s3ec mb s3://payroll-2026", "s3ec mb s3://payroll-2026 --region eu-west-1"),
)
@click.argument("url", type=S3_URL)
@shared_options("connection", "json")
@click.pass_obj
def mb(output: Output, options: Options, url: S3Url) -> None:
    """Make a bucket in the Region of --region, the environment or the profile."""
    _bucket_alone(url)
    with located(str(url)):
        client = Environment(options, output).s3
        region = client.meta.region_name
        arguments: dict[str, Any] = {"Bucket": url.bucket}
        # S3's first Region is the one that must not be named.
        if region not in (None, "us-east-1", "aws-global"):
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        client.create_bucket(**arguments)
    if output.as_json:
        output.document({"bucket": url.bucket, "region": region})
    else:
        output.line(f"made {url} in {region}")


@click.command(
    cls=Command,
    short_help="Remove a bucket.",
    examples=("s3ec rb s3://payroll-2020", "s3ec rb s3://payroll-2020 --force"),
)
@click.argument("url", type=S3_URL)
@click.option("--force", is_flag=True, help="Delete all objects in it first. Old versions are not deleted.")
@shared_options("connection", "json")
@click.pass_obj
def rb(output: Output, options: Options, url: S3Url, force: bool) -> None:
    """Remove a bucket, which must be empty; with --force its objects are deleted first."""
    _bucket_alone(url)
    client = Environment(options, output).s3
    deleted = 0
    with located(str(url)):
        if force:
            deleted = _empty(client, url)
        try:
            client.delete_bucket(Bucket=url.bucket)
        except ClientError as error:
            if code_of(error.response) != "BucketNotEmpty":
                raise
            raise FailureError(_not_empty(url, force)) from error
    if output.as_json:
        output.document({"bucket": url.bucket, "removed": True, "deleted": deleted})
    else:
        output.line(f"removed {url}" + (f", with {deleted} objects" if force else ""))


def _empty(client: Any, url: S3Url) -> int:
    """Delete all objects, instruction files among them.

    Raises:
        FailureError: S3 does not delete one of them.
        botocore.exceptions.ClientError: S3 lists or deletes nothing.
    """
    deleted = 0
    for page in pages(client, "list_objects_v2", Bucket=url.bucket):
        keys = [{"Key": row["Key"]} for row in page.get("Contents", ())]
        if not keys:
            continue
        answer = client.delete_objects(Bucket=url.bucket, Delete={"Objects": keys, "Quiet": True})
        for error in answer.get("Errors", ()):
            message = f"{url.with_key(error['Key'])}: {error['Code']}: {error.get('Message', '')} (DeleteObjects)"
            raise FailureError(Failure(code=ExitCode.SERVICE, error=error["Code"], message=message))
        deleted += len(keys)
    return deleted


def _not_empty(url: S3Url, force: bool) -> Failure:
    message = f"{url} is not empty: --force deletes its objects first"
    if force:
        message = f"{url} keeps old versions or delete markers, which --force does not delete: the bucket stays, empty"
    return Failure(code=ExitCode.CONFIGURATION, error="BucketNotEmpty", message=message)
