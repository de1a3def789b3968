"""`EncryptionClient`: aiobotocore's S3 client, with one choke point put in front of the generated class."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiobotocore.client import AioBaseClient
from aiobotocore.parsers import AioResponseParserFactory

from s3ec.aio import making, multipart, operations, transfers
from s3ec.aio.ciphertext import send_independently
from s3ec.aio.emitter import emit_quickly
from s3ec.aio.handlers import AsyncHeard, send_after_handlers
from s3ec.aio.keys import KmsOnLoop
from s3ec.aio.soundness import make_sound
from s3ec.aio.sums import sum_off_the_loop
from s3ec.aio.wire import AsyncWire
from s3ec.client.calls import answers, carried, checksums, presigning, retries, seals, shortcuts
from s3ec.client.calls.handlers import make_sender
from s3ec.client.calls.operations import Treatment, refuse_unless_supported, treatment
from s3ec.client.calls.views import generated_class, make_raw_view, raw_view
from s3ec.client.options import Options
from s3ec.client.server_side.copying import speaks_to_aws
from s3ec.client.sessions.reference import described
from s3ec.errors import S3ECError
from s3ec.s3.names import located

__all__ = ["EncryptionClient", "raw_view"]

_log = logging.getLogger("s3ec")

# The source of a copy is looked at before handlers see its parameters.
_HEARING_THEMSELVES = frozenset({"CopyObject", "UploadPartCopy"})


class EncryptionClient(AioBaseClient):  # type: ignore[misc]  # aiobotocore has no types
    """An aiobotocore S3 client that encrypts before upload and decrypts after download.

    Made like aiobotocore's, with ``async with EncryptionClient(keyring=…, region_name=…) as s3``. Every argument of
    ``AioSession.create_client`` works here, and so do the options of `s3ec.Options`, given by keyword. ``session``
    takes an ``AioSession`` or an ``aioboto3.Session`` to be made from; ``kms_key_id`` is short for
    ``keyring=KmsKeyring(kms_key_id)``.

    Raises:
        ConfigurationError: the options can never work, or the session makes other clients.
        TypeError: a misspelt option.
    """

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **keywords: Any) -> EncryptionClient | making.Opening:
            """Make what ``async with`` takes; botocore itself makes the client, with this class in front."""
            if "_s3ec_options" in cls.__dict__:
                return super().__new__(cls)
            return making.Opening(cls, EncryptionClient, args, keywords)

        def __init__(self, *args: Any, **keywords: Any) -> None:
            """Let botocore initialise the object."""
            super().__init__(*args, **keywords)
            self._s3ec_equip()
            self._s3ec_register()

    _s3ec_options: Options
    _s3ec_maker: making.Maker

    def __repr__(self) -> str:
        wire = self.__dict__.get("_s3ec_wire")
        if wire is None:
            return "<s3ec.aio.EncryptionClient that is not made yet>"
        endpoint = urlsplit(self.meta.endpoint_url)
        # Without the user name and password that a URL may hold.
        place = f"{endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}"
        how = wire.options.summary()
        return f"<s3ec.aio.EncryptionClient for S3 in {self.meta.region_name} at {place}: encrypts with {how}>"

    def _s3ec_equip(self) -> None:
        making.refuse_other_connections(self)
        options, self._s3ec_kms = type(self)._s3ec_maker.with_kms(type(self)._s3ec_options, self)
        self._s3ec_view = make_raw_view(self, EncryptionClient, _pass_call)
        self._s3ec_sender = make_sender(generated_class(self, EncryptionClient))
        self._s3ec_wire = AsyncWire(
            options=options,
            service_model=self._service_model,
            secure=self.meta.endpoint_url.startswith("https:"),
            exceptions=self.exceptions,
            reading=options.reading(),
            writing=options.writing(),
            send=self._s3ec_send,
            send_as_it_is=partial(send_after_handlers, self, self._s3ec_sender),
            hear=partial(AsyncHeard.ask, self),
        )
        self._s3ec_uploads = type(self)._s3ec_maker.uploads(self)
        of_objects = operations.handlers()
        self._s3ec_handlers = {**of_objects, **multipart.handlers(self._s3ec_uploads, of_objects["GetObject"])}

    def _s3ec_register(self) -> None:
        events = self.meta.events
        events.register_first("needs-retry.s3", retries.end_retries, unique_id="s3ec-no-retry-of-own-errors")
        seals.watch(events)
        sum_off_the_loop(self)
        # Behind every other handler: what answers in the server's place gets the body as botocore made it.
        events.register_last("before-send", send_independently, unique_id="s3ec-independent-bodies")
        checksums.choose_behind_others(self)
        answers.refuse_senseless_numbers(self)
        carried.send_carried(self)
        shortcuts.take_shortcuts(self, AioResponseParserFactory)
        emit_quickly(self)
        make_sound(self)

    def _s3ec_for(self, bucket: Any) -> EncryptionClient:
        """Return the client that works with a bucket: this one, but where buckets have rules of their own."""
        return self

    def _s3ec_context(self, *, reading: bool) -> dict[str, Any]:
        """The encryption context of who gives none, as a parameter: that of a rule, where there is one."""
        return {}

    async def _s3ec_send(self, operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        sent: Any = super()._make_api_call(operation_name, parameters)
        response: dict[str, Any] = await sent
        return response

    async def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        parameters = dict(api_params)
        wire = self._s3ec_wire
        try:
            refuse_unless_supported(operation_name, on_aws=partial(speaks_to_aws, self))
            if treatment(operation_name) is Treatment.PASSED:
                return await wire.call(operation_name, parameters)
            handle = self._s3ec_handlers.get(operation_name)
            if handle is None:
                raise operations.refused(operation_name)
            if operation_name in _HEARING_THEMSELVES:
                return await handle(wire, parameters)
            heard = await wire.hear(operation_name, parameters)
            parameters = heard.parameters
            return await heard.answered(await handle(wire.after(heard), dict(parameters)))
        except S3ECError as error:
            raise located(error, parameters) from error.__cause__

    async def __aexit__(self, *details: object) -> None:
        try:
            leaving: Any = super()  # what leaves the connections of S3
            await leaving.__aexit__(*details)
        finally:
            await self._s3ec_close_kms()

    async def close(self) -> None:
        """Close the connections, those to KMS among them."""
        try:
            closing: Any = super().close()
            await closing
        finally:
            await self._s3ec_close_kms()

    async def _s3ec_close_kms(self) -> None:
        kms: KmsOnLoop | None = self._s3ec_kms
        if kms is not None:
            await kms.close()

    # Presigned requests.

    async def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - boto3's name
        Params: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
        HttpMethod: str | None = None,  # noqa: N803 - boto3's name
    ) -> str:
        """Presign a request; uploads are refused unless the client allows them.

        Raises:
            ConfigurationError: a server-side mode that S3 would refuse.
            UnsupportedOperationError: the holder of the URL would store plaintext.
        """
        parameters = presigning.check_url(self, self._s3ec_wire, ClientMethod, Params, HttpMethod)
        plain: Any = super()
        url = await plain.generate_presigned_url(
            ClientMethod, Params=parameters, ExpiresIn=ExpiresIn, HttpMethod=HttpMethod
        )
        return str(url)

    async def generate_presigned_post(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fields: Any = None,  # noqa: N803 - boto3's name
        Conditions: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
    ) -> dict[str, Any]:
        """Presign a POST form; refused unless the client allows presigned uploads.

        Raises:
            UnsupportedOperationError: the holder of the form would store plaintext.
        """
        fields, conditions = presigning.check_form(self._s3ec_wire, Fields, Conditions)
        plain: Any = super()
        return dict(
            await plain.generate_presigned_post(Bucket, Key, Fields=fields, Conditions=conditions, ExpiresIn=ExpiresIn)
        )

    # Managed transfers: boto3's names and signatures. aioboto3's clients have others, which these replace.

    async def upload_file(
        self,
        Filename: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Upload a file; see boto3. ``ExtraArgs`` takes ``EncryptionContext`` too."""
        await transfers.upload_file(self, Filename, Bucket, Key, ExtraArgs, Callback, Config)

    async def upload_fileobj(
        self,
        Fileobj: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
        Processing: Any = None,  # noqa: N803 - aioboto3's name
    ) -> None:
        """Upload a file-like object; see boto3. Its ``read`` may be a coroutine function.

        Raises:
            UnsupportedOperationError: ``Processing`` is given, which aioboto3 has.
        """
        transfers.refuse_processing(Processing)
        await transfers.upload_fileobj(self, Fileobj, Bucket, Key, ExtraArgs, Callback, Config)

    async def download_file(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Filename: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Download into a file, which gets its name only after the content verified; see boto3."""
        await transfers.download_file(self, Bucket, Key, Filename, ExtraArgs, Callback, Config)

    async def download_fileobj(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fileobj: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Download into a file-like object, which gets nothing unverified; see boto3."""
        await transfers.download_fileobj(self, Bucket, Key, Fileobj, ExtraArgs, Callback, Config)

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
        """Copy an object of any size inside S3, with its content metadata; see boto3."""
        await transfers.copy(self, CopySource, Bucket, Key, ExtraArgs, Callback, SourceClient, Config)


EncryptionClient.__signature__ = making.signature_of_client()
EncryptionClient.__doc__ = described(EncryptionClient.__doc__)


async def _pass_call(view: Any, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = await view._s3ec_wire.call(operation_name, api_params)
    return response
