"""One client for buckets with rules of their own: each call goes to the key of its bucket, past all keys, or nowhere.

Code that was not written for encryption uses one client for all its buckets. Behind this one stand as many encrypting
ones as there are rules with a key; they share its connections, credentials and events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.client.calls import copies
from s3ec.client.calls.operations import refuse_unless_supported
from s3ec.client.calls.views import generated_class
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.multipart.handlers import SharedUploads
from s3ec.client.options import Options
from s3ec.errors import UnsupportedOperationError
from s3ec.rules.borrowed_sessions import borrowing_session
from s3ec.rules.bucket_rules import BucketRule, Mode
from s3ec.rules.listed_sizes import speak_of_plaintext
from s3ec.rules.recopied import copy_object_anew, copy_part_anew
from s3ec.rules.ruled import Ruled, context_of, make_plain, with_context

__all__ = ["Door", "RuledClient"]

_KEPT = 32


class Door:
    """A rule that encrypts, with what the clients of a session have in common under it.

    Attributes:
        rule: the rule.
        uploads: uploads of all these clients.
    """

    def __init__(self, rule: BucketRule) -> None:
        """Take a rule; its key files are read now."""
        self.rule = rule
        self.uploads = SharedUploads()
        self._options = rule.options()
        self._made: dict[tuple[str | None, int], tuple[Any, Options]] = {}

    def options_for(self, client: BaseClient) -> Options:
        """Return the rule's options, with a KMS client that has the Region and credentials of an S3 client.

        Args:
            client: a client of the session.
        """
        credentials = client.__dict__["_request_signer"]._credentials
        region = None if client.meta.region_name == "aws-global" else client.meta.region_name
        # The credentials are kept beside the number by which they are found, which would be given out again otherwise.
        found = self._made.get((region, id(credentials)))
        if found is None:
            profile = getattr(client, "_s3ec_profile", None)
            session = borrowing_session(lambda: credentials, region=region, profile=profile)
            options = self._options.for_client(session=session, region_name=region)
            found = credentials, options
            # A program that makes clients with credentials of their own, one after the other, does not fill the memory.
            while len(self._made) >= _KEPT:
                self._made.pop(next(iter(self._made), (None, 0)), None)
            self._made[region, id(credentials)] = found
        return found[1]


class RuledClient(Ruled, EncryptionClient):
    """An `EncryptionClient` whose options depend on the bucket."""

    _s3ec_doors: tuple[Door, ...]
    _s3ec_profile: str | None
    _s3ec_view: Any

    def _s3ec_equip(self) -> None:
        generated = generated_class(self, EncryptionClient)
        self._s3ec_view = object.__new__(generated)
        self._s3ec_view.__dict__ = self.__dict__
        self._s3ec_behind = {id(door.rule): _behind(self, generated, door) for door in self._s3ec_doors}
        self._s3ec_plain = make_plain(self, generated, self._s3ec_rules)

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if "Bucket" not in api_params:
            # A list of buckets, or a mistake that botocore names; a handler may put in a plain bucket only.
            refuse_unless_supported(operation_name, on_aws=lambda: True)
            listed: dict[str, Any] = self._s3ec_plain._make_api_call(operation_name, dict(api_params))
            return listed
        bucket = api_params["Bucket"]
        rule = self._s3ec_rule(bucket)
        source = self._s3ec_across(operation_name, api_params)
        if source is not None:
            copy = copy_object_anew if operation_name == "CopyObject" else copy_part_anew
            return copy(self._s3ec_any(source.bucket), self._s3ec_for(bucket), source, dict(api_params))
        response: dict[str, Any] = self._s3ec_any(bucket)._make_api_call(operation_name, dict(api_params))
        if rule.sizes == "plaintext":
            speak_of_plaintext(operation_name, api_params, response, lambda: self._s3ec_for(bucket)._s3ec_wire)
        return response

    # Managed transfers: each goes to the client of its bucket.

    def upload_file(self, Filename: Any, Bucket: str, Key: str, ExtraArgs: Any = None, *args: Any, **more: Any) -> None:  # noqa: N803
        """Upload a file; see boto3."""
        self._s3ec_any(Bucket).upload_file(Filename, Bucket, Key, self._s3ec_extra(Bucket, ExtraArgs), *args, **more)

    def upload_fileobj(
        self,
        Fileobj: Any,  # noqa: N803 - boto3's name
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        ExtraArgs: Any = None,  # noqa: N803 - boto3's name
        *args: Any,
        **more: Any,
    ) -> None:
        """Upload a file-like object; see boto3."""
        self._s3ec_any(Bucket).upload_fileobj(Fileobj, Bucket, Key, self._s3ec_extra(Bucket, ExtraArgs), *args, **more)

    def download_file(
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
        self._s3ec_any(Bucket).download_file(Bucket, Key, Filename, extra, *args, **more)

    def download_fileobj(
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
        self._s3ec_any(Bucket).download_fileobj(Bucket, Key, Fileobj, extra, *args, **more)

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
        """Copy an object of any size; see boto3. Between buckets with different keys it is encrypted again."""
        place = copies.parse_copy_source(CopySource)
        target, source = self._s3ec_rule(Bucket), self._s3ec_rule(place.bucket)
        if target is source and target.mode is Mode.ENCRYPT:
            ours = isinstance(SourceClient, EncryptionClient)
            reader = SourceClient._s3ec_for(place.bucket) if ours else SourceClient
            self._s3ec_for(Bucket).copy(CopySource, Bucket, Key, ExtraArgs, Callback, reader, Config)
            return
        if SourceClient is not None and target.mode is Mode.ENCRYPT:
            raise UnsupportedOperationError(
                "a copy from a bucket with another key cannot be read through SourceClient: leave it out"
            )
        # s3transfer's own, whose calls come back here one by one.
        generated: Any = generated_class(self, EncryptionClient)
        generated.copy(self, CopySource, Bucket, Key, ExtraArgs, Callback, SourceClient, Config)

    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 - boto3's name
        Params: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
        HttpMethod: str | None = None,  # noqa: N803 - boto3's name
    ) -> str:
        """Presign a request; see `EncryptionClient`. In a bucket that is plain it is boto3's own."""
        if not isinstance(Params, Mapping) or "Bucket" not in Params:
            # Of a list of buckets; whatever has a bucket fails there, since it must be named.
            return str(self._s3ec_plain.generate_presigned_url(ClientMethod, Params, ExpiresIn, HttpMethod))
        client = self._s3ec_any(Params["Bucket"])
        return str(client.generate_presigned_url(ClientMethod, Params, ExpiresIn, HttpMethod))

    def generate_presigned_post(
        self,
        Bucket: str,  # noqa: N803 - boto3's name
        Key: str,  # noqa: N803 - boto3's name
        Fields: Any = None,  # noqa: N803 - boto3's name
        Conditions: Any = None,  # noqa: N803 - boto3's name
        ExpiresIn: int = 3600,  # noqa: N803 - boto3's name
    ) -> dict[str, Any]:
        """Presign a POST form; see `EncryptionClient`. In a bucket that is plain it is boto3's own."""
        client = self._s3ec_any(Bucket)
        return dict(client.generate_presigned_post(Bucket, Key, Fields, Conditions, ExpiresIn))


class _BehindRules(EncryptionClient):
    """The client of one rule, whose calls carry the rule's context."""

    _s3ec_door: Door

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        return super()._make_api_call(operation_name, with_context(self._s3ec_door.rule, operation_name, api_params))

    def _s3ec_context(self, *, reading: bool) -> dict[str, Any]:
        return context_of(self._s3ec_door.rule, reading=reading)


def _behind(client: RuledClient, generated: type, door: Door) -> EncryptionClient:
    """Make the client of one rule: the same connections, credentials and events, with options of its own."""
    made = type(
        "S3",
        (_BehindRules, generated),
        {"_s3ec_options": door.options_for(client), "_s3ec_shared_uploads": door.uploads, "_s3ec_door": door},
    )
    behind: EncryptionClient = object.__new__(made)
    behind.__dict__.update(client.__dict__)
    behind._s3ec_equip()
    return behind
