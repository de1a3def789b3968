"""What help(), inspect.signature() and completion say: the options, and the parameters that only this client has."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from botocore.docs.docstring import ClientMethodDocstring

from s3ec.client.options import Options

__all__ = ["described", "document", "signature"]

_CONTEXT = (
    "**s3ec:** ``EncryptionContext`` (dict of str to str) is one more parameter: pairs that AWS KMS binds to the data "
    "key, in clear in its logs. "
)
_SUFFIX = (
    "``InstructionFileSuffix`` (str) names another instruction file than the default one, ``.instruction``, to read "
    "the object with. "
)
_WRITES = _CONTEXT + "The body is encrypted before it leaves; everything said about it means the plaintext."
_READS = (
    _CONTEXT + "On reads they must be those of the write; ``s3ec.STORED_CONTEXT`` takes the stored ones. " + _SUFFIX
)
_METHODS = {
    "put_object": _WRITES,
    "create_multipart_upload": _WRITES,
    "get_object": _READS + "The content is verified before it is handed out.",
    "head_object": _READS + "``ContentLength`` is that of the plaintext.",
    "upload_part": "**s3ec:** the part is encrypted before it leaves, as a piece of one stream.",
    "copy_object": (
        "**s3ec:** content metadata goes along. A source that is not encrypted is refused unless the client was made "
        'with ``unencrypted_objects="allow"``.'
    ),
}


class _MethodDocstring(ClientMethodDocstring):
    """Return AWS's text, made when it is asked for, with ours before it."""

    def _write_docstring(self, structure: Any, *args: Any, **keywords: Any) -> None:
        method = keywords.get("method_name")
        operation = keywords["operation_model"].name if "operation_model" in keywords else ""
        for name, text in _METHODS.items():
            if name == method or name.replace("_", "") == operation.lower():
                structure.write(f"{text}\n\n")
        super()._write_docstring(structure, *args, **keywords)  # type: ignore[misc]  # the stubs leave it out


def document(class_attributes: dict[str, Any]) -> None:
    """Have the methods of a client's class say what only this client takes.

    Args:
        class_attributes: as botocore has made them, each with a text that is generated when it is asked for.
    """
    for name in _METHODS:
        text = getattr(class_attributes.get(name), "__doc__", None)
        if type(text) is ClientMethodDocstring:
            text.__class__ = _MethodDocstring


def signature(
    options: type[Options], boto: Callable[..., Any], *, leave_out: frozenset[str], **more: Any
) -> inspect.Signature:
    """The options and boto3's arguments, all by name.

    Args:
        options: the options.
        boto: what boto3 makes such a thing with.
        leave_out: arguments of that which are not given.
        **more: arguments of neither, with their defaults.
    """
    keyword = inspect.Parameter.KEYWORD_ONLY
    ours = [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=field.type)
        for field in dataclasses.fields(options)
    ]
    theirs = [
        parameter.replace(kind=keyword)
        for name, parameter in inspect.signature(boto).parameters.items()
        if name not in leave_out
    ]
    others = [inspect.Parameter(name, keyword, default=default) for name, default in more.items()]
    return inspect.Signature([*ours, *others, *theirs])


def described(text: str | None) -> str | None:
    """A class's docstring with the options, as those explain themselves."""
    if text is None or Options.__doc__ is None:
        return text  # python -OO
    explained = Options.__doc__.partition("Attributes:\n")[2].partition("\n\n    Raises:")[0]
    return f"{text.rstrip()}\n\n    Keyword Args:\n{explained}\n    "
