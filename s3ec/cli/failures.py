"""Exit codes by error family, and the one line that each error becomes on standard error.

=====  =================================================================================================================
code   meaning
=====  =================================================================================================================
0      everything that was wanted is done
1      part of it was left undone, for reasons of more than one family (each is listed); an audit's --fail-on matched
2      the command line itself is wrong; nothing was tried (or its --range lies past the end of the object)
3      a bucket, an object or a local file is not there or cannot be read
4      AWS or the network said no: permissions, credentials, Region, throttling, connections, of S3 and of KMS
5      the options or the environment can never work, an extra is missing, or plaintext would be stored or exposed
6      the object is not encrypted, or its content metadata cannot be understood
7      the object is understood, and the settings forbid it (a V1 object without ``--allow-legacy``)
8      the data key could not be made or opened
9      evidence of tampering; wins over every other code
10     the content could not be carried: it changed while it was read, or is too large
11     a bucket job cannot go on: a journal of another plan, a concurrent writer that never rests
130    interrupted by Ctrl-C; what was in flight was finished
141    the reader of standard output went away
143    ended by SIGTERM, in the same way
=====  =================================================================================================================
"""

from __future__ import annotations

import builtins
import contextlib
import enum
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from s3transfer.exceptions import RetriesExceededError

from s3ec import errors
from s3ec.cli.words import CREDENTIAL_CODES, THROTTLING_CODES, in_options, next_step, service_text
from s3ec.client.transfers.download_targets import DownloadFailed
from s3ec.s3.answers import code_of
from s3ec.transport import UnreadableAnswerError

__all__ = ["ERRORS", "ExitCode", "Failure", "FailureError", "combined", "describe", "family_of", "located"]


class ExitCode(enum.IntEnum):
    """What the process ends with."""

    DONE = 0
    LEFT_UNDONE = 1
    USAGE = 2
    NOT_FOUND = 3
    SERVICE = 4
    CONFIGURATION = 5
    METADATA = 6
    POLICY = 7
    KEYRING = 8
    SECURITY = 9
    CONTENT = 10
    MIGRATION = 11
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


# Subclasses before their bases: the first match decides.
_FAMILIES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.ConfigurationError, ExitCode.CONFIGURATION),
    (errors.UnsupportedOperationError, ExitCode.CONFIGURATION),
    (errors.MetadataError, ExitCode.METADATA),
    (errors.PolicyError, ExitCode.POLICY),
    # A caller who asserts a context learns that another object lies there than the one that was meant.
    (errors.EncryptionContextMismatchError, ExitCode.SECURITY),
    (errors.KeyringError, ExitCode.KEYRING),
    (errors.SecurityError, ExitCode.SECURITY),
    (errors.MigrationError, ExitCode.MIGRATION),
    (UnreadableAnswerError, ExitCode.SERVICE),
    (errors.S3ECError, ExitCode.CONTENT),
    (BotoCoreError, ExitCode.SERVICE),
    (Boto3Error, ExitCode.SERVICE),
    (DownloadFailed, ExitCode.SERVICE),
    (RetriesExceededError, ExitCode.SERVICE),
    (OSError, ExitCode.NOT_FOUND),
    (UnicodeError, ExitCode.CONFIGURATION),
)
ERRORS = (
    errors.S3ECError, ClientError, BotoCoreError, Boto3Error, DownloadFailed, RetriesExceededError,
    OSError, UnicodeError,
)  # fmt: skip
"""Every error of a single object, which must not end a run over many."""

_ABSENT = frozenset({"404", "NotFound", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"})
_SPACES = str.maketrans("\r\n\t", "   ")
_SERVICE_PREFIX = "An error occurred "


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that went wrong.

    Attributes:
        code: the family's exit code.
        error: name of the exception's class, or S3's own error code.
        message: one line for people, with the place and, if there is one, the next step.
    """

    code: ExitCode
    error: str
    message: str

    def document(self) -> dict[str, object]:
        """Return the failure in JSON."""
        return {"code": int(self.code), "error": self.error, "message": self.message}


class FailureError(click.ClickException):
    """Carries a `Failure` out of a command."""

    def __init__(self, failure: Failure) -> None:
        """Take the failure."""
        super().__init__(failure.message)
        self.failure = failure


def one_line(text: str) -> str:
    """Return the text without line breaks and control characters: a key may hold escape sequences for the terminal."""
    return errors.escaped(text.translate(_SPACES)).strip()


def describe(error: BaseException, location: str = "") -> Failure:
    """Return the exit code and the one line for an error.

    Args:
        error: what was raised.
        location: the URL or path at hand; put in front if the text does not name it.
    """
    cause = error.__cause__ or error.__context__
    if isinstance(error, Boto3Error) and isinstance(cause, (ClientError, BotoCoreError, errors.S3ECError)):
        # boto3's transfer errors wrap the one that says what happened.
        return describe(cause, location)
    if isinstance(error, ClientError):
        return _describe_client_error(error, location)
    if isinstance(error, ParamValidationError):
        # botocore's own check of a request: a name that S3 cannot have. Nothing was sent.
        text = str(error.kwargs.get("report") or error)
        return Failure(code=ExitCode.USAGE, error=type(error).__name__, message=one_line(_placed(text, location)))
    if isinstance(error, OSError):
        name = str(error.filename) if isinstance(error.filename, (str, os.PathLike)) else location
        text = ": ".join(part for part in (name, error.strerror or str(error)) if part)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += f" on this machine: at the target, or in {tempfile.gettempdir()} (TMPDIR), where ciphertext waits"
    elif isinstance(error, UnicodeError):
        text = _placed("a name or a text holds bytes that are not UTF-8; S3's keys are UTF-8", location)
    else:
        text = _placed(in_options(str(error) or type(error).__name__), location)
    return Failure(code=_family(error), error=type(error).__name__, message=one_line(_with(text, next_step(error))))


def _placed(text: str, location: str) -> str:
    """Return the text with the place in front, named only once."""
    inner = f" [{location}]"
    text = text.removesuffix(inner)
    return f"{location}: {text}" if location and location not in text else text


def _with(text: str, step: str) -> str:
    return f"{text.rstrip('.')}: {step}" if step else text


def _family(error: BaseException) -> ExitCode:
    if isinstance(error, errors.KeyringError) and _is_about_access(error.__cause__):
        # The key was never asked, or would not be for anything at all.
        return ExitCode.SERVICE
    return next((code for kind, code in _FAMILIES if isinstance(error, kind)), ExitCode.LEFT_UNDONE)


def _is_about_access(cause: BaseException | None) -> bool:
    """True if credentials, the Region, throttling or the network stood between us and KMS."""
    if isinstance(cause, ClientError):
        return code_of(cause.response) in CREDENTIAL_CODES | THROTTLING_CODES
    return isinstance(cause, BotoCoreError)


def _describe_client_error(error: ClientError, location: str) -> Failure:
    """Return S3 and KMS errors with their own code and text, without botocore's frame."""
    answer = error.response.get("Error", {})
    name = answer.get("Code") or "Unknown"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = ExitCode.NOT_FOUND if name in _ABSENT or status == 404 else ExitCode.SERVICE
    text = service_text(name, answer.get("Message") or "no text", str(error.operation_name))
    if name in {"404", "NotFound"}:
        text = "there is no such object or bucket"
    # A job deals with more than its source: a destination, an inventory's files.
    absent = str(answer.get("Key") or answer.get("BucketName") or "")
    if absent and absent in location:
        absent = ""
    if absent and name == "NoSuchBucket":
        location, absent = f"s3://{absent}", ""
    text = _with(text if not absent else f"{text}: {absent}", next_step(error))
    return Failure(code=code, error=name, message=one_line(f"{location}: {text}" if location else text))


@contextlib.contextmanager
def located(location: str) -> Iterator[None]:
    """Errors raised inside leave as a `FailureError` that names ``location``."""
    try:
        yield
    except BrokenPipeError:
        raise
    except ERRORS as error:
        raise FailureError(describe(error, location)) from error


def family_of(error_name: str) -> ExitCode:
    """Return the exit code for an error known only by its name, as outcomes in journals hold it."""
    kind = getattr(errors, error_name, None)
    if isinstance(kind, type):
        return next((code for base, code in _FAMILIES if issubclass(kind, base)), ExitCode.LEFT_UNDONE)
    if isinstance(getattr(builtins, error_name, None), type):
        return ExitCode.LEFT_UNDONE  # an unforeseen error; S3 and KMS name none of theirs this way
    return ExitCode.NOT_FOUND if error_name in _ABSENT else ExitCode.SERVICE


def combined(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code of a run over many objects: tampering wins, one family keeps its code, a mixture is 1."""
    found = set(codes) - {ExitCode.DONE}
    if not found:
        return ExitCode.DONE
    if ExitCode.SECURITY in found:
        return ExitCode.SECURITY
    return found.pop() if len(found) == 1 else ExitCode.LEFT_UNDONE
