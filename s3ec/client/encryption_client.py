"""`EncryptionClient`: boto3's S3 client, with one choke point put in front of the generated class.

Everything in boto3 that talks to S3 through a client object (methods, paginators, waiters, resources, transfers) ends
in ``_make_api_call``; the only thing that does not is the CRT transfer client, which is kept away here.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from s3ec.client.calls import (
    answers,
    carried,
    checksums,
    framing,
    handlers,
    presigning,
    puts,
    ranges,
    retries,
    seals,
    shortcuts,
)
from s3ec.client.calls.operations import Treatment, refuse_unless_supported, treatment
from s3ec.client.calls.views import generated_class, make_raw_view, raw_view, view_as_made
from s3ec.client.calls.wire import Wire
from s3ec.client.multipart import handlers as multipart
from s3ec.client.options import Options
from s3ec.client.server_side.copying import speaks_to_aws
from s3ec.client.sessions import hook
from s3ec.client.sessions.reference import described, signature
from s3ec.client.transfers import managed as transfers
from s3ec.errors import S3ECError
from s3ec.s3.copy_object import copy_object, rename_object
from s3ec.s3.delete_object import delete_object, delete_objects
from s3ec.s3.flow import Flow
from s3ec.s3.head_object import head_object
from s3ec.s3.names import located
from s3ec.s3.surroundings import Surroundings
from s3ec.transport import make_sound

if TYPE_CHECKING:
    from s3ec.client.sessions.typing import TypedClient as _Base
else:
    _Base = BaseClient

__all__ = ["EncryptionClient", "plain_view", "raw_view", "with_buffer_size"]

_log = logging.getLogger("s3ec")


# The source of a copy is looked at before handlers see its parameters; see `s3ec.s3.copy_object`.
_HEARING_THEMSELVES = frozenset({"CopyObject", "UploadPartCopy"})


class EncryptionClient(_Base):
    """A boto3 S3 client that encrypts before upload and decrypts after download.

    Made like ``boto3.client("s3", …)``; every argument of that works here, and so do the options of `s3ec.Options`,
    given by keyword. ``session`` takes a `boto3.Session` to be made from.

    Raises:
        ConfigurationError: the options can never work, or the session makes other clients.
        TypeError: a misspelt option.
    """

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **keywords: Any) -> EncryptionClient:
            """Make a client of a session; botocore itself makes the object, with this class in front."""
            if "_s3ec_options" in cls.__dict__:
                # botocore instantiates the class that the hook has prepared.
                return super().__new__(cls)
            return hook.make_client(cls, EncryptionClient, *args, **keywords)

        def __init__(self, *args: Any, **keywords: Any) -> None:
            """Let botocore initialise the object once; Python calls again after ``__new__``."""
            if "meta" in self.__dict__:
                return
            super().__init__(*args, **keywords)
            self._s3ec_prepare()

    def __repr__(self) -> str:
        wire = self.__dict__.get("_s3ec_wire")
        if wire is None:
            return "<s3ec.EncryptionClient that is not made yet>"
        endpoint = urlsplit(self.meta.endpoint_url)
        # Without the user name and password that a URL may hold.
        place = f"{endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}"
        how = wire.options.summary()
        return f"<s3ec.EncryptionClient for S3 in {self.meta.region_name} at {place}: encrypts with {how}>"

    def _s3ec_prepare(self) -> None:
        self._s3ec_equip()
        self._s3ec_register()

    def _s3ec_equip(self) -> None:
        self._s3ec_view = make_raw_view(self, EncryptionClient, _pass_call)
        self._s3ec_sender = handlers.make_sender(generated_class(self, EncryptionClient))
        options = type(self)._s3ec_options.for_client(**_way(self))
        self._s3ec_wire = Wire(
            options=options,
            send=self._s3ec_send,
            send_as_it_is=partial(handlers.send_after_handlers, self, self._s3ec_sender),
            hear=partial(handlers.Heard, self),
            service_model=self._service_model,
            secure=self.meta.endpoint_url.startswith("https:"),
            exceptions=self.exceptions,
            reading=options.reading(),
            writing=options.writing(),
        )
        self._s3ec_ranges = ranges.RangeReader()
        self._s3ec_uploads = type(self)._s3ec_shared_uploads.of(
            self.meta.endpoint_url, self.__dict__["_request_signer"]._credentials
        )
        self._s3ec_handlers: dict[str, Callable[[Wire, dict[str, Any]], dict[str, Any]]] = {
            "AbortMultipartUpload": _work(self._s3ec_uploads.abort),
            "CompleteMultipartUpload": _work(self._s3ec_uploads.complete),
            "CopyObject": _flow(copy_object),
            "CreateMultipartUpload": _work(self._s3ec_uploads.create),
            "DeleteObject": _flow(delete_object),
            "DeleteObjects": _flow(delete_objects),
            "GetObject": self._s3ec_ranges.get_object,
            "HeadObject": _flow(head_object),
            "PutObject": puts.put_object,
            "RenameObject": _flow(rename_object),
            "UploadPart": _work(self._s3ec_uploads.upload_part),
            "UploadPartCopy": partial(self._s3ec_uploads.upload_part_copy, self._s3ec_ranges.get_object),
        }

    def _s3ec_register(self) -> None:
        self.meta.events.register_first(
            "needs-retry.s3",
            retries.end_retries,
            unique_id="s3ec-no-retry-of-own-errors",
        )
        # Behind those of botocore, which learn from an answer where a bucket is.
        self.meta.events.register_last(
            "needs-retry.s3", framing.end_retries_of_passing, unique_id="s3ec-no-second-sending"
        )
        self.meta.events.register_last("before-call.s3", framing.trail, unique_id="s3ec-trailer-of-passing")
        framing.leave_unsigned(self.meta.events)
        checksums.choose_behind_others(self)
        seals.watch(self.meta.events)
        # Behind every other handler, of the root event too (more specific ones come before it): what answers in the
        # server's place gets the body as botocore made it, and nothing changes it after the last look at its seal.
        self.meta.events.register_last("before-send", framing.frame, unique_id="s3ec-frame-of-known-length")
        answers.refuse_senseless_numbers(self)
        carried.send_carried(self)
        shortcuts.take_shortcuts(self)
        make_sound(self)

    def _s3ec_for(self, bucket: Any) -> EncryptionClient:
        """Return the client that works with a bucket: this one, but where buckets have rules of their own."""
        return self

    def _s3ec_context(self, *, reading: bool) -> dict[str, Any]:
        """The encryption context of who gives none, as a parameter: that of a rule, where there is one."""
        return {}

    _s3ec_options: Options
    _s3ec_shared_uploads: multipart.SharedUploads

    def _s3ec_send(self, operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        # Looked up at each call, so that a later patch of botocore's method takes effect.
        response: dict[str, Any] = super()._make_api_call(operation_name, parameters)
        return response

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        parameters = dict(api_params)
        wire = self._s3ec_wire
        try:
            refuse_unless_supported(operation_name, on_aws=partial(speaks_to_aws, self))
            if treatment(operation_name) is Treatment.PASSED:
                return wire.call(operation_name, parameters)
            if operation_name not in _HEARING_THEMSELVES:
                heard = wire.hear(operation_name, parameters)
                wire, parameters = wire.after(heard), heard.parameters
                return heard.answer(self._s3ec_handlers[operation_name](wire, dict(parameters)))
            return self._s3ec_handlers[operation_name](wire, dict(parameters))
        except S3ECError as error:
            raise located(error, parameters) from error.__cause__

    def _get_credentials(self) -> None:
        """Return None, which tells boto3 that the CRT transfer client cannot be used: it bypasses every Python client.

        The same holds for libraries that start the AWS CLI with a client's credentials: it would store plaintext.
        """
        _log.info(
            "credentials are kept back from what works beside the client (a CRT transfer client, a program): it would "
            "not encrypt"
        )

    # Managed transfers: boto3's names and signatures.

    def upload_file(
        self,
        Filename: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Upload a file; see boto3. ``ExtraArgs`` takes ``EncryptionContext`` too."""
        transfers.upload_file(self._s3ec_wire, self._s3ec_view, Filename, Bucket, Key, ExtraArgs, Callback, Config)

    def upload_fileobj(
        self,
        Fileobj: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Upload a file-like object; see boto3."""
        transfers.upload_fileobj(self._s3ec_wire, self._s3ec_view, Fileobj, Bucket, Key, ExtraArgs, Callback, Config)

    def download_file(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Filename: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Download into a file, which gets its name only after the content verified; see boto3."""
        transfers.download_file(self._s3ec_wire, self._s3ec_view, Bucket, Key, Filename, ExtraArgs, Callback, Config)

    def download_fileobj(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fileobj: Any,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        Callback: Any = None,  # noqa: N803 - boto3's name
        Config: Any = None,  # noqa: N803 - boto3's name
    ) -> None:
        """Download into a file-like object, which gets nothing unverified; see boto3."""
        transfers.download_fileobj(self._s3ec_wire, self._s3ec_view, Bucket, Key, Fileobj, ExtraArgs, Callback, Config)

    def copy(
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
        transfers.copy(
            self._s3ec_wire, self._s3ec_view, CopySource, Bucket, Key, ExtraArgs, Callback, SourceClient, Config
        )

    # Presigned requests.

    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - boto3's name
        Params: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
        HttpMethod: str | None = None,  # noqa: N803 - boto3's name
    ) -> str:
        """Presign a request; uploads are refused unless the client allows them.

        The client's server-side mode is signed into it: the holder of the URL sends those headers too.

        Raises:
            ConfigurationError: a server-side mode that S3 would refuse.
            UnsupportedOperationError: the holder of the URL would store plaintext.
        """
        parameters = presigning.check_url(self, self._s3ec_wire, ClientMethod, Params, HttpMethod)
        return str(
            super().generate_presigned_url(ClientMethod, Params=parameters, ExpiresIn=ExpiresIn, HttpMethod=HttpMethod)
        )

    def generate_presigned_post(
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
        return dict(
            super().generate_presigned_post(Bucket, Key, Fields=fields, Conditions=conditions, ExpiresIn=ExpiresIn)
        )


EncryptionClient.__signature__ = signature(  # type: ignore[attr-defined]
    Options, boto3.Session.client, leave_out=frozenset({"self", "service_name"}), session=None
)
EncryptionClient.__doc__ = described(EncryptionClient.__doc__)


def with_buffer_size(client: EncryptionClient, buffer_size: int) -> EncryptionClient:
    """Return the same client with another ``buffer_size``: it shares connections, uploads and verified ranges.

    Args:
        client: an `EncryptionClient`.
        buffer_size: as the option of that name. Uploads keep the one that they were begun with.
    """
    view: EncryptionClient = object.__new__(type(client))
    options = dataclasses.replace(client._s3ec_wire.options, buffer_size=buffer_size)
    view.__dict__ = {**client.__dict__, "_s3ec_wire": client._s3ec_wire.with_options(options)}
    return view


def plain_view(client: BaseClient) -> BaseClient:
    """Return the same client as botocore made it: without encryption, and without the client's server-side default.

    Args:
        client: an `EncryptionClient`, or a plain client, which is its own view.
    """
    return view_as_made(client, EncryptionClient)


def _flow(
    operation: Callable[[Surroundings, dict[str, Any]], Flow[dict[str, Any]]],
) -> Callable[[Wire, dict[str, Any]], dict[str, Any]]:
    """The handler of an operation that is a flow."""
    return lambda wire, parameters: wire.run(operation(wire, parameters))


def _work(
    operation: Callable[[Wire, dict[str, Any]], multipart.Work],
) -> Callable[[Wire, dict[str, Any]], dict[str, Any]]:
    """The handler of an operation of an upload, which runs under options of its own."""

    def handle(wire: Wire, parameters: dict[str, Any]) -> dict[str, Any]:
        options, flow = operation(wire, parameters)
        return wire.with_options(options).run(flow)

    return handle


def _way(client: EncryptionClient) -> dict[str, Any]:
    """How a client reaches S3, for the one that is to reach KMS in the same way."""
    verify = getattr(getattr(client.__dict__["_endpoint"], "http_session", None), "_verify", True)
    # botocore has completed the user agent, and the region is S3's: neither is what the caller configured.
    config = client.meta.config.merge(Config(user_agent=None, region_name=None))
    return {"config": config, "verify": None if verify is True else verify}


def _pass_call(view: Any, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = view._s3ec_wire.call(operation_name, api_params)
    return response
