"""Runs the Python that the documentation shows, so that it cannot rot.

In every Markdown page:

* the ```` ```python ```` blocks run in order, in one namespace, in an empty folder, against moto;
* a comment ``<!-- setup … -->`` holds Python that runs in its place but is not shown;
* a ```` ```text output ```` block must equal what the Python block before it printed.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from support import aws

FENCE = re.compile(r"^(?P<mark>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=mark)[ \t]*$", re.MULTILINE | re.DOTALL)
SETUP = re.compile(r"^<!-- setup\n(?P<body>.*?)^-->$", re.MULTILINE | re.DOTALL)

LANGUAGES_NOT_RUN = frozenset(
    {
        "",
        "console",
        "python recipe",
        "ini",
        "json",
        "text",
        "text demo",
        "toml",
        "{toctree}",
        "{eval-rst}",
        "{automodule}",
    }
)
BUCKET = "my-bucket"
KEY_ALIASES = ("alias/my-key", "alias/payroll")


@dataclass(frozen=True)
class Block:
    """One piece of a page: ``kind`` is ``python``, ``output`` or the language of a block that is not run."""

    kind: str
    line: int
    body: str


def blocks(text: str) -> list[Block]:
    """Returns the blocks of a Markdown page in reading order; lines count from 1."""
    found = [(match.start(), "python", match) for match in SETUP.finditer(text)]
    for match in FENCE.finditer(text):
        info = match["info"].strip()
        found.append((match.start(), "output" if info == "text output" else info, match))
    return [
        Block(kind=kind, line=text.count("\n", 0, match.start("body")) + 1, body=match["body"])
        for _, kind, match in sorted(found, key=lambda entry: entry[0])
    ]


@contextlib.contextmanager
def documented_account(endpoint: str) -> Iterator[dict[str, str]]:
    """Prepares what every page takes for granted: a bucket and two keys; yields the environment that reaches them."""
    arguments = aws.client_arguments(endpoint)
    with contextlib.closing(boto3.client("kms", **arguments)) as kms:
        existing = {alias["AliasName"] for alias in kms.list_aliases()["Aliases"]}
        for alias in KEY_ALIASES:
            if alias not in existing:
                kms.create_alias(AliasName=alias, TargetKeyId=aws.create_kms_key(arguments))
    with contextlib.closing(boto3.client("s3", **arguments)) as s3:
        s3.create_bucket(Bucket=BUCKET)
        try:
            yield {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_DEFAULT_REGION": arguments["region_name"],
                "AWS_ACCESS_KEY_ID": arguments["aws_access_key_id"],
                "AWS_SECRET_ACCESS_KEY": arguments["aws_secret_access_key"],
            }
        finally:
            aws.empty_bucket(s3, BUCKET)


def run(page: Path) -> int:
    """Runs the Python of ``page``; returns how many blocks ran.

    Raises:
        AssertionError: a block printed something else than the page says.
    """
    namespace: dict[str, Any] = {"__name__": "__documentation__"}
    printed = ""
    ran = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "python":
            # Leading newlines make line numbers in tracebacks those of the page.
            code = compile("\n" * (block.line - 1) + block.body, str(page), "exec", dont_inherit=True)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(code, namespace)  # noqa: S102 - the repository's own documentation
            printed = output.getvalue()
            ran += 1
        elif block.kind == "output":
            assert printed == block.body, f"{page}:{block.line}: the code above printed {printed!r}"
    return ran
