"""What to do when KMS refuses, or when its answer cannot be used."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from traceback import clear_frames, walk_tb
from typing import Any

from s3ec.errors import KeyringError, KeyUnwrapError
from s3ec.keyrings.arn import names_the_key

__all__ = ["check_key", "forget_answers", "is_of_parser", "translate", "with_bytes"]


def forget_answers(error: BaseException) -> None:
    """Clear the variables of the frames below an error.

    A handler, a tracer or botocore itself may have failed on an answer of KMS, and each frame that had seen the answer
    holds the data key.
    """
    seen: BaseException | None = error
    while seen is not None:
        clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__


def is_of_parser(error: BaseException) -> bool:
    """True if botocore failed to read an answer, which it shows by whatever error its parser runs into.

    An answer that is JSON, and no object, passes its parser, and is the next function's error.
    """
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    in_botocore = isinstance(error, (AttributeError, TypeError)) and modules[-1].startswith(
        ("botocore.", "aiobotocore.")
    )
    return "botocore.parsers" in modules or in_botocore


def translate(error: Any, key_id: str) -> KeyringError:
    """Describe the refusal with the key that was asked for, which KMS's own text often leaves out."""
    details = error.response.get("Error", {})
    under = f" under {key_id}" if key_id else ""
    text = ": ".join(part for part in (details.get("Code"), details.get("Message")) if part)
    said = f"{error.operation_name}: {text}"
    if details.get("Code") in {"InvalidCiphertextException", "IncorrectKeyException"}:
        return KeyUnwrapError(
            f"AWS KMS does not open the encrypted data key{under}: it was made by another key or with another "
            f"encryption context, or it was altered ({said})"
        )
    return KeyringError(f"AWS KMS refused{under} ({said})")


def with_bytes(answer: Any) -> Mapping[str, Any]:
    """Make an answer's blobs bytes. The AWS CLI's sessions leave them as they came, in base64, to print them."""
    if not isinstance(answer, Mapping):
        return answer  # type: ignore[no-any-return]  # what it is, the caller says
    texts = {name: answer[name] for name in ("Plaintext", "CiphertextBlob") if isinstance(answer.get(name), str)}
    try:
        return {**answer, **{name: base64.b64decode(text, validate=True) for name, text in texts.items()}}
    except ValueError:
        return answer


def check_key(answer: Mapping[str, Any], operation: str, asked: str, name: str = "KeyId") -> None:
    """Refuse what is of another key than was asked for, before anything in the answer is used.

    Args:
        answer: of KMS.
        operation: of which call.
        asked: the key as the caller named it.
        name: the member of the answer that names the key.

    Raises:
        KeyringError: the answer names another key.
    """
    answered = answer.get(name)
    if not names_the_key(answered, asked):
        raise KeyringError(f"AWS KMS was asked for {asked} and answered {operation} with the key {answered!a:.200}")
