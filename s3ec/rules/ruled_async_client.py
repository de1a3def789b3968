"""The asynchronous client for buckets with rules of their own; see `ruled_client`, which is the same for boto3.

Imported where a program makes asynchronous clients: there aiobotocore is installed, and nowhere else is it needed.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import aiobotocore
from aiobotocore.client import AioBaseClient
from botocore.exceptions import ClientError

from s3ec.aio import making, multipart
from s3ec.aio.client import EncryptionClient
from s3ec.aio.wire import AsyncWire
from s3ec.client.calls import copies
from s3ec.client.calls.copies import CopySource
from s3ec.client.calls.operations import refuse_unless_supported
from s3ec.client.calls.views import generated_class
from s3ec.client.options import Options
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.rules import listed_sizes, recopied
from s3ec.rules.bucket_rules import BucketRule, BucketRules, Mode
from s3ec.rules.ruled import PlainEvents, Ruled, context_of, make_plain, with_context
from s3ec.s3 import instruction_files
from s3ec.s3.copy_object import source_request

__all__ = ["AsyncRuledClient", "encrypts_already", "hook_for_options", "hook_for_rules"]

_OLDEST = (2, 22)


def encrypts_already(bases: list[type]) -> bool:
    """True for a client that encrypts, with options that it was given by the program.

    Args:
        bases: of the class that is about to be made.

    Raises:
        ConfigurationError: it is not aiobotocore's, or that is older than what `s3ec.aio` is tested with.
    """
    if not issubclass(bases[0], AioBaseClient):
        raise ConfigurationError(f"it is a {bases[0].__module__}.{bases[0].__qualname__}, and not aiobotocore's")
    version = aiobotocore.__version__
    if tuple(int(number) for number in version.split(".")[:2]) < _OLDEST:
        raise ConfigurationError(f"aiobotocore {version} is too old: {'.'.join(map(str, _OLDEST))} or later is needed")
    return issubclass(bases[0], EncryptionClient)


def hook_for_options(session: Any, options: Options) -> making.Hook:
    """Return the handler of a session whose clients encrypt for all buckets alike.

    Args:
        session: an ``AioSession``.
        options: of its clients.
    """
    return making.Hook(options, making.Maker(session, {}), EncryptionClient)


def hook_for_rules(session: Any, rules: BucketRules) -> tuple[making.Hook, dict[str, Any]]:
    """Return the handler of a session whose clients keep to rules, and what the class of a client has to have.

    Args:
        session: an ``AioSession``.
        rules: of its buckets; key files are read now.
    """
    doors = tuple(_Door(rule, session) for rule in rules.encrypting)
    maker = making.Maker(session, {})
    return making.Hook(None, maker, EncryptionClient, AsyncRuledClient), {"_s3ec_rules": rules, "_s3ec_doors": doors}


class _Door:
    """A rule that encrypts, with what the clients of a session have in common under it."""

    def __init__(self, rule: BucketRule, session: Any) -> None:
        self.rule = rule
        self.options = rule.options()
        self.maker = making.Maker(session, {}, follows_client=True)


class AsyncRuledClient(Ruled, EncryptionClient):
    """An `s3ec.aio.EncryptionClient` whose options depend on the bucket."""

    _s3ec_doors: tuple[_Door, ...]

    def _s3ec_equip(self) -> None:
        generated = generated_class(self, EncryptionClient)
        view: Any = object.__new__(generated)
        view.__dict__ = self.__dict__
        self._s3ec_view = view
        self._s3ec_behind = {id(door.rule): _behind(self, generated, door) for door in self._s3ec_doors}
        self._s3ec_plain = make_plain(self, generated, self._s3ec_rules, _PlainEvents)

    async def _s3ec_close_kms(self) -> None:
        async with contextlib.AsyncExitStack() as closing:
            for behind in self._s3ec_behind.values():
                closing.push_async_callback(behind._s3ec_close_kms)

    async def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if "Bucket" not in api_params:
            # A list of buckets, or a mistake that botocore names; a handler may put in a plain bucket only.
            refuse_unless_supported(operation_name, on_aws=lambda: True)
            listed: dict[str, Any] = await self._s3ec_plain._make_api_call(operation_name, dict(api_params))
            return listed
        bucket = api_params["Bucket"]
        rule = self._s3ec_rule(bucket)
        source = self._s3ec_across(operation_name, api_params)
        if source is not None:
            copy = _copy_object_anew if operation_name == "CopyObject" else _copy_part_anew
            return await copy(self._s3ec_any(source.bucket), self._s3ec_for(bucket), source, dict(api_params))
        response: dict[str, Any] = await self._s3ec_any(bucket)._make_api_call(operation_name, dict(api_params))
        if rule.sizes == "plaintext":
            await _speak_of_plaintext(operation_name, bucket, response, lambda: self._s3ec_for(bucket)._s3ec_wire)
        return response

    # Managed transfers: each goes to the client of its bucket. aiobotocore has none for one that is plain.

    async def upload_file(
        self,
        Filename: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        *args: Any,
        **more: Any,
    ) -> None:
        """Upload a file; see boto3."""
        extra = self._s3ec_extra(Bucket, ExtraArgs)
        await self._s3ec_any(Bucket).upload_file(Filename, Bucket, Key, extra, *args, **more)

    async def upload_fileobj(
        self,
        Fileobj: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        *args: Any,
        **more: Any,
    ) -> None:
        """Upload a file-like object; see boto3."""
        extra = self._s3ec_extra(Bucket, ExtraArgs)
        await self._s3ec_any(Bucket).upload_fileobj(Fileobj, Bucket, Key, extra, *args, **more)

    async def download_file(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Filename: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        *args: Any,
        **more: Any,
    ) -> None:
        """Download into a file; see boto3."""
        extra = self._s3ec_extra(Bucket, ExtraArgs, reading=True)
        await self._s3ec_any(Bucket).download_file(Bucket, Key, Filename, extra, *args, **more)

    async def download_fileobj(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fileobj: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        *args: Any,
        **more: Any,
    ) -> None:
        """Download into a file-like object; see boto3."""
        extra = self._s3ec_extra(Bucket, ExtraArgs, reading=True)
        await self._s3ec_any(Bucket).download_fileobj(Bucket, Key, Fileobj, extra, *args, **more)

    async def copy(
        self,
        CopySource: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        SourceClient: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Copy an object of any size under one rule; see boto3. What another rule holds for, `copy_object` copies."""
        place = copies.parse_copy_source(CopySource)
        target, source = self._s3ec_rule(Bucket), self._s3ec_rule(place.bucket)
        if target is source and target.mode is Mode.ENCRYPT:
            reader = SourceClient._s3ec_for(place.bucket) if isinstance(SourceClient, Ruled) else SourceClient
            await self._s3ec_for(Bucket).copy(CopySource, Bucket, Key, ExtraArgs, Callback, reader, Config)
            return
        if target.mode is source.mode is Mode.PLAIN:
            await self._s3ec_plain.copy(CopySource, Bucket, Key, ExtraArgs, Callback, SourceClient, Config)
            return
        raise UnsupportedOperationError(
            f"copy() from bucket {place.bucket} to bucket {Bucket} is refused on an asynchronous client: they are "
            f"under different rules ({source.origin}, {target.origin}). copy_object() reads it and encrypts it again"
        )

    # Presigned requests.

    async def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - boto3's name
        Params: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
        HttpMethod: str | None = None,  # noqa: N803 - boto3's name
    ) -> str:
        """Presign a request; see `EncryptionClient`. In a bucket that is plain it is aiobotocore's own."""
        # Without a bucket it is for a list of them; whatever else has one fails there, since it must be named.
        named = isinstance(Params, Mapping) and "Bucket" in Params
        client = self._s3ec_any(Params["Bucket"]) if named else self._s3ec_plain
        return str(await client.generate_presigned_url(ClientMethod, Params, ExpiresIn, HttpMethod))

    async def generate_presigned_post(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fields: Any = None,  # noqa: N803 - boto3's name
        Conditions: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
    ) -> dict[str, Any]:
        """Presign a POST form; see `EncryptionClient`. In a bucket that is plain it is aiobotocore's own."""
        client = self._s3ec_any(Bucket)
        return dict(await client.generate_presigned_post(Bucket, Key, Fields, Conditions, ExpiresIn))


class _BehindRules(EncryptionClient):
    """The client of one rule, whose calls carry the rule's context."""

    _s3ec_door: _Door

    async def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        return await super()._make_api_call(
            operation_name, with_context(self._s3ec_door.rule, operation_name, api_params)
        )

    def _s3ec_context(self, *, reading: bool) -> dict[str, Any]:
        return context_of(self._s3ec_door.rule, reading=reading)


def _behind(client: AsyncRuledClient, generated: type, door: _Door) -> EncryptionClient:
    """Make the client of one rule: the same connections, credentials and events, with options of its own."""
    own = {"_s3ec_options": door.options, "_s3ec_maker": door.maker, "_s3ec_door": door}
    behind: EncryptionClient = object.__new__(type("S3", (_BehindRules, generated), own))
    behind.__dict__.update(client.__dict__)
    behind._s3ec_equip()
    return behind


class _PlainEvents(PlainEvents):
    """The emitter for calls to buckets that are plain, on an event loop."""

    async def emit(self, event_name: str, **arguments: Any) -> Any:
        """Ask handlers, as aiobotocore's emitter does."""
        answers = await self._events.emit(event_name, **arguments)
        self._check(event_name, arguments)
        return answers


async def _speak_of_plaintext(
    operation_name: str, bucket: str, response: dict[str, Any], wire: Callable[[], AsyncWire]
) -> None:
    """Put the lengths of plaintext into S3's answer; see `listed_sizes.speak_of_plaintext`."""
    hidden = set()
    for key in listed_sizes.called_like_instruction_files(operation_name, response):
        calls = wire()
        with contextlib.suppress(ClientError):
            if await calls.run(instruction_files.is_ours(calls, {"Bucket": bucket, "Key": key})):
                hidden.add(key)
    listed_sizes.restate(operation_name, response, hidden)


async def _copy_object_anew(source: Any, target: Any, place: CopySource, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer CopyObject by reading the source and putting it; see `recopied.copy_object_anew`."""
    wire: AsyncWire = target._s3ec_wire
    wire.validate("CopyObject", parameters)
    with copies.of_the_copy(wire):
        answer = await source._make_api_call("GetObject", source_request(wire, parameters, place))
    try:
        request = recopied.put_request(wire, parameters, answer)
        if recopied.takes_tags_along(parameters, answer):
            tags = await source._make_api_call("GetObjectTagging", place.parameters())
            request["Tagging"] = recopied.tagging(tags)
        put = await target._make_api_call("PutObject", {**request, "Body": answer["Body"]})
    finally:
        closing = answer["Body"].close()
        if inspect.isawaitable(closing):
            await closing
    return recopied.copied(answer, put)


async def _copy_part_anew(source: Any, target: Any, _: CopySource, parameters: dict[str, Any]) -> dict[str, Any]:
    """Answer UploadPartCopy by reading the source, or a range of it; see `recopied.copy_part_anew`."""

    async def read(wire: AsyncWire, request: dict[str, Any]) -> dict[str, Any]:
        handlers = getattr(source, "_s3ec_handlers", None)
        if handlers is None or not isinstance(source, EncryptionClient):
            plain: dict[str, Any] = await source._make_api_call("GetObject", request)
            return plain
        theirs = recopied.of_the_source(source._s3ec_wire, wire)
        context = context_of(source._s3ec_door.rule, reading=True)
        verified: dict[str, Any] = await handlers["GetObject"](theirs, {**context, **request})
        return verified

    copy = multipart.handlers(target._s3ec_uploads, read)["UploadPartCopy"]
    return await copy(target._s3ec_wire, parameters)
