"""``s3ec serve``: an S3 endpoint on this machine that encrypts on the way to the real one."""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from s3ec.cli.endpoint import make_endpoint, need_extra
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ExitCode, Failure, FailureError
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output

if TYPE_CHECKING:
    from s3ec.serve import Server, ServeSettings

__all__ = ["serve"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_MIB = 1024 * 1024


@click.command(
    cls=Command,
    short_help="Run an S3 endpoint that encrypts, for tools in every language.",
    examples=(
        "s3ec serve --kms-key alias/payroll",
        "s3ec serve --config buckets.toml --credentials ~/.s3ec-serve",
        "s3ec serve --kms-key alias/payroll --tls-cert cert.pem --tls-key key.pem --port 9443",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9911, show_default=True, metavar="N", help="TCP port.")
@click.option(
    "--credentials",
    type=_FILE,
    metavar="FILE",
    help="File with the endpoint's own credentials, made if it is not there; else they are made for one run.",
)
@click.option(
    "--config",
    type=_FILE,
    metavar="FILE",
    help="Rules for each bucket (TOML): its key, plain, or refused. Without rules all buckets have the one key.",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate chain (PEM), to serve https.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Private key (PEM) of --tls-cert.")
@click.option(
    "--beyond-loopback", is_flag=True, help="Allow an address that other machines reach; TLS is required for it."
)
@click.option("--host-name", multiple=True, metavar="NAME", help="Host name that clients use. Repeatable.")
@click.option(
    "--max-requests",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    metavar="N",
    help="Requests with content at a time; others wait.",
)
@click.option(
    "--max-connections", type=click.IntRange(1, 16384), default=256, show_default=True, metavar="N",
    help="Connections at a time.",
)  # fmt: skip
@click.option(
    "--memory-limit",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    metavar="MIB",
    help="Content in memory, over all requests; what is more waits on disk, as ciphertext.",
)
@click.option(
    "--grace", type=click.IntRange(0), default=30, show_default=True, metavar="SECONDS",
    help="Time for requests in flight to finish when the endpoint is stopped.",
)  # fmt: skip
@shared_options("key", "context", "legacy", "connection")
@click.pass_obj
def serve(output: Output, /, options: Options, **given: Any) -> int:
    """Run an S3 endpoint on this machine: what clients store through it is encrypted, what they read is decrypted.

    Any tool that takes an endpoint's address works with it, in any language. Clients sign with credentials of the
    endpoint's own, which open nothing at AWS. SIGTERM or Ctrl-C ends it once requests in flight are finished.
    """
    need_extra()
    from s3ec.serve.heap import keep_freed_memory
    from s3ec.serve.settings import ROOMY_SEATS

    settings = _settings(given)
    keep_freed_memory(ROOMY_SEATS * settings.roomy_buffer_size)
    server = make_endpoint(Environment(options, output), settings, given["config"])
    _announce(output, server, settings, given["credentials"])
    with _stopped_by_signals(server):
        finished = server.serve()
    if not finished:
        output.note(f"s3ec: gave up on requests that were not finished after {settings.grace:.0f} seconds")
    return ExitCode.DONE if finished else ExitCode.LEFT_UNDONE


def _settings(given: dict[str, Any]) -> ServeSettings:
    from s3ec.serve import LocalCredentials, ServeSettings
    from s3ec.serve.credentials_file import credentials_in

    path = given["credentials"]
    return ServeSettings(
        credentials=LocalCredentials.generate() if path is None else credentials_in(path),
        host=given["host"],
        port=given["port"],
        tls=_tls(given["tls_cert"], given["tls_key"]),
        beyond_loopback=given["beyond_loopback"],
        host_names=frozenset(given["host_name"]),
        max_connections=given["max_connections"],
        max_requests=given["max_requests"],
        memory_limit=given["memory_limit"] * _MIB,
        grace=float(given["grace"]),
    )


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-cert", click.get_current_context(silent=True))
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a passphrase: OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise FailureError(
            Failure(
                code=ExitCode.CONFIGURATION,
                error="ConfigurationError",
                message=f"{certificate}: no certificate with a key that fits and has no passphrase ({error.reason})",
            )
        ) from error
    return context


def _announce(output: Output, server: Server, settings: ServeSettings, path: Path | None) -> None:
    """Print what clients need, as lines for a shell; a secret only if it stands in no file."""
    output.line(f"export AWS_ENDPOINT_URL_S3={server.url}")
    if path is not None:
        output.line(f"export AWS_SHARED_CREDENTIALS_FILE={path.absolute()}")
    else:
        output.line(f"export AWS_ACCESS_KEY_ID={settings.credentials.access_key}")
        output.line(f"export AWS_SECRET_ACCESS_KEY={settings.credentials.secret_key}")
    sys.stdout.flush()
    output.note("s3ec: listening; Ctrl-C ends it")


@contextlib.contextmanager
def _stopped_by_signals(server: Server) -> Iterator[None]:
    """Finish what is in flight at the first SIGTERM or SIGINT, and end at once at the second."""
    stopping = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            # An object appears in S3 whole or not at all: nothing half-written is left.
            os._exit(128 + number)
        stopping = True
        server.stop()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
