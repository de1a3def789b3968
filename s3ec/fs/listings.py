"""Listings in plaintext's terms: what an object's size is, and which entries are no files of the user's.

Both have to be the same after a listing and without one: a size that is 16 bytes too long makes a negative range end
in the wrong place, without an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from s3ec.aio.work import several
from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.options import Options
from s3ec.errors import S3ECError
from s3ec.formats import INSTRUCTION_FILE_SUFFIX
from s3ec.formats.lengths import noted_length
from s3ec.s3 import instruction_files
from s3ec.s3.lists import Trail
from s3ec.transport import Front, UnreadableAnswerError

__all__ = ["in_plaintext", "lead_on", "leading_on", "reads_gcm_only", "state_size", "tag_less"]

_AT_ONCE = 16
_IN_A_BATCH = 256


def reads_gcm_only(options: Options) -> bool:
    """True if every object that a client can read is 16 bytes longer than its plaintext."""
    return options.unencrypted_objects == "refuse" and not options.enable_legacy_unauthenticated_modes


def tag_less(stored: int) -> int:
    """Plaintext bytes of a GCM object; what is shorter than a tag is none, a marker of a folder for instance."""
    return stored - GCM_TAG_LENGTH if stored >= GCM_TAG_LENGTH else stored


async def state_size(fs: Any, request: Mapping[str, Any], head: dict[str, Any]) -> None:
    """Make the length in the answer to a HEAD the one that a listing gives.

    Args:
        fs: the file system.
        request: the HEAD.
        head: the client's answer, which is changed. It speaks of plaintext where the object's own metadata tells.
    """
    described = head["ResponseMetadata"].get("ClientSideEncryption") or {}
    if described.get("format") is not None:
        return
    if fs.sizes_are_certain:
        head["ContentLength"] = tag_less(head["ContentLength"])
    elif fs.hides_instruction_files and head["ContentLength"]:
        head["ContentLength"] = await _length_by_file(fs, request, head)


async def _length_by_file(fs: Any, request: Mapping[str, Any], head: Mapping[str, Any]) -> int:
    """Plaintext bytes of an object that either is not encrypted, or has its content metadata in an instruction file."""
    wire = (await fs.get_s3(request["Bucket"]))._s3ec_wire
    named = {"Bucket": request["Bucket"], "Key": request["Key"]}
    stored: int = head["ContentLength"]
    try:
        metadata = await wire.run(instruction_files.fetch(wire, named, head.get("Metadata", {}), None))
    except (S3ECError, ClientError):
        # A reader will be told what is wrong; this only describes.
        return stored
    if not metadata.algorithm_suite.is_legacy:
        return tag_less(stored)
    noted = noted_length(metadata, stored)
    return stored if noted is None else noted


async def is_instruction_file(fs: Any, bucket: str, key: str) -> bool:
    """True if a key holds what provably is an instruction file; one who may list and not read sees every name."""
    wire = (await fs.get_s3(bucket))._s3ec_wire
    try:
        found: bool = await wire.run(instruction_files.is_ours(wire, {"Bucket": bucket, "Key": key}))
    except ClientError:
        return False
    return found


async def leading_on(pages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """The pages of a listing, until one has come before.

    Raises:
        UnreadableAnswerError: the list goes in circles, or is empty without an end; botocore's paginators look for
            that, s3fs does not.
    """
    trail = Trail()
    async for page in pages:
        if trail.leads_nowhere(page):
            raise UnreadableAnswerError("what came back as a list goes in circles")
        yield page


def lead_on(client: Any) -> Any:
    """Let a client's paginators give the pages of `leading_on`, and return it: older s3fs lists by these."""
    if "get_paginator" not in vars(client):
        own = client.get_paginator
        client.get_paginator = lambda operation_name: _Paginator(own(operation_name))
    return client


class _Paginator(Front):
    def paginate(self, **keywords: Any) -> _Pages:
        return _Pages(self.behind.paginate(**keywords))


class _Pages(Front):
    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return leading_on(self.behind)


async def in_plaintext(fs: Any, bucket: str, entries: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """Give a listing's entries the sizes of plaintext, and leave out the instruction files beside their objects.

    Args:
        fs: the file system.
        bucket: what is listed.
        entries: as s3fs has them; ``Size`` stays as S3 gave it.
    """
    seen: set[str] = set()
    doubtful: list[dict[str, Any]] = []
    batch: list[dict[str, Any]] = []
    async for entry in entries:
        if entry["type"] != "file":
            yield entry
            continue
        # S3 lists by name: an object comes before what is called like its instruction file.
        if fs.hides_instruction_files:
            seen.add(entry["Key"])
            if entry["Key"].endswith(INSTRUCTION_FILE_SUFFIX) and entry["Key"][: -len(INSTRUCTION_FILE_SUFFIX)] in seen:
                doubtful.append(entry)
                continue
        batch.append(entry)
        if fs.sizes_are_certain or len(batch) == _IN_A_BATCH:
            for each in await _sized(fs, bucket, batch):
                yield each
            batch = []
    # By a look at each: an object of the user's may have such a name, and must not be lost from a listing.
    hidden = await several(
        [partial(is_instruction_file, fs, bucket, _key_of(bucket, entry)) for entry in doubtful], _AT_ONCE
    )
    batch += [entry for entry, is_hidden in zip(doubtful, hidden, strict=True) if not is_hidden]
    for each in await _sized(fs, bucket, batch):
        yield each


def _key_of(bucket: str, entry: dict[str, Any]) -> str:
    key: str = entry["Key"]
    return key[len(bucket) + 1 :]


async def _sized(fs: Any, bucket: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if fs.sizes_are_certain:
        for entry in entries:
            entry["size"] = tag_less(entry["Size"])
        return entries

    async def ask(entry: dict[str, Any]) -> None:
        version = {"VersionId": entry["VersionId"]} if entry.get("VersionId") not in (None, "null") else {}
        try:
            head = await fs._call_s3("head_object", Bucket=bucket, Key=_key_of(bucket, entry), **version)
        except (FileNotFoundError, PermissionError):
            # Deleted meanwhile, or not to be read by this caller, for whom its size is of no use.
            return
        entry["size"] = head["ContentLength"]

    # A listing cannot know what kind of object it is; only what is empty is certainly not encrypted.
    await several([partial(ask, entry) for entry in entries if entry["Size"]], _AT_ONCE)
    return entries
