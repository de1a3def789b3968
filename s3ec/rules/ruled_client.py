"""One client for buckets with rules of their own: each call goes to the key of its bucket, past all keys, or nowhere.

Code that was not written for encryption uses one client for all its buckets. Behind this one stand as many encrypting
ones as there are rules with a key; they share its connections, credentials and events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.client.calls import copies, handlers
from s3ec.client.calls.operations import refuse_unless_supported
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.multipart.handlers import SharedUploads
from s3ec.client.options import Options
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.materials import STORED_CONTEXT
from s3ec.rules.borrowed_sessions import borrowing_session
from s3ec.rules.bucket_rules import BucketRule, BucketRules, Mode
from s3ec.rules.listed_sizes import speak_of_plaintext
from s3ec.rules.recopied import copy_object_anew, copy_part_anew

__all__ = ["Door", "RuledClient"]

_KEPT = 32
_WITH_SOURCE = frozenset({"CopyObject", "UploadPartCopy"})
_WRITES = frozenset({"PutObject", "CreateMultipartUpload"})


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


class RuledClient(EncryptionClient):
    """An `EncryptionClient` whose options depend on the bucket."""

    _s3ec_rules: BucketRules
    _s3ec_doors: tuple[Door, ...]
    _s3ec_profile: str | None
    _s3ec_view: Any
    _s3ec_plain: Any

    def __repr__(self) -> str:
        return f"<s3ec client by the rules of {self._s3ec_rules.origin}>"

    def _s3ec_equip(self) -> None:
        generated = self._s3ec_generated()
        self._s3ec_view = object.__new__(generated)
        self._s3ec_view.__dict__ = self.__dict__
        # By the rule's place, since rules hold maps and have no hash.
        self._s3ec_behind = {id(door.rule): _behind(self, generated, door) for door in self._s3ec_doors}
        self._s3ec_plain = _plain(self, generated, self._s3ec_rules)

    def _s3ec_generated(self) -> type:
        order = type(self).__mro__
        return order[order.index(EncryptionClient) + 1]

    def _s3ec_rule(self, bucket: Any) -> BucketRule:
        """The rule of a bucket.

        Raises:
            ConfigurationError: it is refused.
        """
        rule = self._s3ec_rules.of(bucket) if isinstance(bucket, str) else None
        if rule is None or rule.mode is Mode.REFUSE:
            raise self._s3ec_rules.refusal(str(bucket))
        return rule

    def _s3ec_for(self, bucket: Any) -> EncryptionClient:
        rule = self._s3ec_rule(bucket)
        if rule.mode is Mode.PLAIN:
            raise ConfigurationError(f"bucket {bucket} is plain by {rule.origin}: there is nothing to encrypt with")
        return self._s3ec_behind[id(rule)]

    def _s3ec_any(self, bucket: Any) -> Any:
        """The client that works with a bucket, plain or not."""
        return self._s3ec_plain if self._s3ec_rule(bucket).mode is Mode.PLAIN else self._s3ec_for(bucket)

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if "Bucket" not in api_params:
            # A list of buckets, or a mistake that botocore names; a handler may put in a plain bucket only.
            refuse_unless_supported(operation_name, on_aws=lambda: True)
            listed: dict[str, Any] = self._s3ec_plain._make_api_call(operation_name, dict(api_params))
            return listed
        bucket = api_params["Bucket"]
        rule = self._s3ec_rule(bucket)
        if operation_name in _WITH_SOURCE and "CopySource" in api_params:
            source = self._s3ec_rule(copies.parse_copy_source(api_params["CopySource"]).bucket)
            if source is not rule and not (source.mode is rule.mode is Mode.PLAIN):
                return self._s3ec_copy_across(operation_name, dict(api_params), source, rule)
        response: dict[str, Any] = self._s3ec_any(bucket)._make_api_call(operation_name, dict(api_params))
        if rule.sizes == "plaintext":
            speak_of_plaintext(operation_name, api_params, response, lambda: self._s3ec_for(bucket)._s3ec_wire)
        return response

    def _s3ec_copy_across(
        self, operation_name: str, parameters: dict[str, Any], source: BucketRule, target: BucketRule
    ) -> dict[str, Any]:
        place = copies.parse_copy_source(parameters["CopySource"])
        if target.mode is Mode.PLAIN:
            raise UnsupportedOperationError(
                f"the copy from s3://{place.bucket}/{place.key} to bucket {parameters['Bucket']} is refused: "
                f"{source.origin} encrypts the one, {target.origin} leaves the other plain, and the copy would be "
                "ciphertext where readers expect plaintext. Read it and put it there instead"
            )
        copy = copy_object_anew if operation_name == "CopyObject" else copy_part_anew
        return copy(self._s3ec_any(place.bucket), self._s3ec_for(parameters["Bucket"]), place, parameters)

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
        generated = self._s3ec_generated()
        generated.copy(self, CopySource, Bucket, Key, ExtraArgs, Callback, SourceClient, Config)  # type: ignore[attr-defined]

    def _s3ec_extra(self, bucket: str, extra: Any, *, reading: bool = False) -> Any:
        rule = self._s3ec_rule(bucket)
        if rule.mode is Mode.PLAIN:
            return extra
        return {**_context(rule, reading=reading), **(extra or {})}

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


def _context(rule: BucketRule, *, reading: bool) -> dict[str, Any]:
    """The encryption context in force: given to what is written, asserted of what is read, else the stored one."""
    context = dict(rule.settings.context)
    if context:
        return {"EncryptionContext": context}
    return {"EncryptionContext": STORED_CONTEXT} if reading else {}


class _BehindRules(EncryptionClient):
    """The client of one rule, whose calls carry the rule's context."""

    _s3ec_door: Door

    def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> dict[str, Any]:
        if operation_name in _WRITES or operation_name in ("GetObject", "UploadPartCopy"):
            context = _context(self._s3ec_door.rule, reading=operation_name not in _WRITES)
            api_params = {**context, **api_params}
        return super()._make_api_call(operation_name, api_params)


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


class _PlainEvents:
    """A client's emitter for calls to buckets that are plain: no handler turns them to another bucket."""

    def __init__(self, events: Any, rules: BucketRules) -> None:
        self._events = events
        self._rules = rules

    def emit(self, event_name: str, **arguments: Any) -> Any:
        answers = self._events.emit(event_name, **arguments)
        if event_name.startswith("before-parameter-build."):
            params = arguments["params"]
            named = [params["Bucket"]] if isinstance(params.get("Bucket"), str) else []
            if "CopySource" in params:
                named.append(copies.heard_source(params["CopySource"]).bucket)
            for bucket in named:
                if self._rules.of(bucket).mode is not Mode.PLAIN:
                    raise UnsupportedOperationError(
                        f"an event handler has turned a request for a plain bucket to {bucket}, which is not plain"
                    )
        return answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)


def _plain(client: RuledClient, generated: type, rules: BucketRules) -> Any:
    """The client as botocore made it, for buckets that are plain on purpose."""
    view: Any = object.__new__(handlers.make_sender(generated))
    view.__dict__ = client.__dict__
    meta: Any = object.__new__(type(client.meta))
    meta.__dict__.update(client.meta.__dict__, events=_PlainEvents(client.meta.events, rules))
    view.meta = meta
    return view
