"""``s3ec presign``: a URL that gives the ciphertext of one object to its holder."""

from __future__ import annotations

import click

from s3ec.cli.commands.content import pinned
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, Failure, FailureError, located
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.urls import S3_OBJECT, S3Url

__all__ = ["presign"]

_LONGEST = 7 * 24 * 3600
_GIVES = (
    "s3ec: the URL gives ciphertext with its metadata; with the key it is opened by "
    "s3ec.decrypt_presigned(url, keyring=…) in Python"
)
_NO_UPLOAD = (
    "a presigned upload is refused: its holder would store plaintext where readers expect ciphertext. "
    "s3ec.presigned_upload in Python makes one whose holder encrypts, without AWS credentials"
)


@click.command(
    cls=Command,
    short_help="Make a URL that gives an object's ciphertext.",
    examples=("s3ec presign s3://payroll/2025/report.pdf", "s3ec presign s3://payroll/a.csv --expires-in 600"),
)
@click.argument("url", type=S3_OBJECT)
@click.option(
    "--expires-in",
    type=click.IntRange(1, _LONGEST),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help=f"How long it is valid, up to {_LONGEST} (a week).",
)
@click.option(
    "--method",
    type=click.Choice(["get", "head", "put"], case_sensitive=False),
    default="get",
    help="What the URL is for; put is refused, with the way out.",
)
@click.option("--version-id", metavar="ID", help="Give this version, not the current one.")
@click.option("--quiet", is_flag=True, help="Do not say on standard error what the URL gives.")
@shared_options("connection", "json")
@click.pass_obj
def presign(
    output: Output, options: Options, url: S3Url, expires_in: int, method: str, version_id: str | None, quiet: bool
) -> None:
    """Make a URL that anyone can use for a limited time. It gives ciphertext: opening it takes the key.

    Nothing is asked of S3: the URL of an object that is not there can be made, too.
    """
    if method == "put":
        raise FailureError(
            Failure(code=ExitCode.CONFIGURATION, error="UnsupportedOperationError", message=f"{url}: {_NO_UPLOAD}")
        )
    environment = Environment(options, output)
    with located(str(url)):
        # Version 4, since S3 takes no other for objects in SSE-KMS; boto3 would still sign by version 2 in places.
        client = environment.connection.client("s3", environment.session, signature_version="s3v4")
        parameters = {"Bucket": url.bucket, "Key": url.key, **pinned(version_id)}
        signed = client.generate_presigned_url(f"{method}_object", Params=parameters, ExpiresIn=expires_in)
    if output.as_json:
        output.document({"url": signed, "method": method, "expires_in": expires_in, "gives": "ciphertext"})
        return
    output.line(signed)
    if not quiet:
        output.note(_GIVES)
