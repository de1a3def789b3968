"""s3ec.aio.inspect: what an object is, with nothing decrypted and no key touched."""

from __future__ import annotations

import inspect as signatures
from functools import partial
from typing import Any

import aiohttp
from aiobotocore.client import AioBaseClient
from botocore import xform_name

from s3ec.aio import driver
from s3ec.aio.client import raw_view
from s3ec.aio.reader import AsyncReader
from s3ec.client.tools.inspection import Inspection, inspection_of
from s3ec.s3.flow import Call, CloseBody, Effect, ReadBody, UnreachableError
from s3ec.s3.inspect_object import inspect_object

__all__ = ["inspect"]


async def inspect(
    client: AioBaseClient,
    *,
    Bucket: str,  # noqa: N803 - boto3's name
    Key: str,  # noqa: N803 - boto3's name
    InstructionFileSuffix: str | None = None,  # noqa: N803 - the client's name
    **parameters: Any,
) -> Inspection:
    """Say what an object is: format, suite, wrapping, context, where the metadata lies, and S3's own mode.

    One HEAD, and a GET of the instruction file where the object's own metadata is not complete.

    Args:
        client: any S3 client of aiobotocore's, encrypting or not.
        Bucket: as for head_object.
        Key: as for head_object.
        InstructionFileSuffix: look into this instruction file instead of the object.
        **parameters: other parameters of head_object, such as ``VersionId`` or the SSE-C key.

    Raises:
        botocore.exceptions.ClientError: as from head_object.
        AuthenticationError: S3's answer does not say how long the object is.
    """
    request = {"Bucket": Bucket, "Key": Key, **parameters}
    seen = await driver.run(inspect_object(request, InstructionFileSuffix), partial(_perform, raw_view(client)))
    return inspection_of(Bucket, Key, seen)


async def _perform(view: Any, effect: Effect) -> object:
    """Carry out an effect with any client, by its public methods."""
    if isinstance(effect, Call):
        return await getattr(view, xform_name(effect.operation))(**effect.parameters)
    if isinstance(effect, ReadBody):
        try:
            return await AsyncReader(effect.body, has_tag=effect.has_tag).read(effect.size)
        except aiohttp.ClientError as cut_off:
            raise UnreachableError(cut_off) from cut_off
    assert isinstance(effect, CloseBody)  # noqa: S101 - a HEAD and instruction files need nothing else
    closing = effect.body.close()
    return await closing if signatures.isawaitable(closing) else closing
