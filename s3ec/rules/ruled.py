"""What clients for buckets with rules of their own decide, whatever they carry it out with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient

from s3ec.client.calls import copies, handlers
from s3ec.client.calls.copies import CopySource
from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.materials import STORED_CONTEXT
from s3ec.rules.bucket_rules import BucketRule, BucketRules, Mode

__all__ = ["PlainEvents", "Ruled", "context_of", "make_plain", "with_context"]

_WITH_SOURCE = frozenset({"CopyObject", "UploadPartCopy"})
_WRITES = frozenset({"PutObject", "CreateMultipartUpload"})


class Ruled:
    """A client that stands before others: one for each rule with a key, and one for buckets that are plain."""

    _s3ec_rules: BucketRules
    _s3ec_plain: Any
    _s3ec_behind: dict[int, Any]
    """By the identity of the rule, since rules hold maps and have no hash."""

    def __repr__(self) -> str:
        return f"<s3ec client by the rules of {self._s3ec_rules.origin}>"

    def _s3ec_rule(self, bucket: Any) -> BucketRule:
        """The rule of a bucket.

        Raises:
            ConfigurationError: it is refused.
        """
        rule = self._s3ec_rules.of(bucket) if isinstance(bucket, str) else None
        if rule is None or rule.mode is Mode.REFUSE:
            raise self._s3ec_rules.refusal(str(bucket))
        return rule

    def _s3ec_for(self, bucket: Any) -> Any:
        rule = self._s3ec_rule(bucket)
        if rule.mode is Mode.PLAIN:
            raise ConfigurationError(f"bucket {bucket} is plain by {rule.origin}: there is nothing to encrypt with")
        return self._s3ec_behind[id(rule)]

    def _s3ec_any(self, bucket: Any) -> Any:
        """The client that works with a bucket, plain or not."""
        return self._s3ec_plain if self._s3ec_rule(bucket).mode is Mode.PLAIN else self._s3ec_for(bucket)

    def _s3ec_across(self, operation_name: str, parameters: Mapping[str, Any]) -> CopySource | None:
        """The source of a copy that S3 cannot make, since another rule holds there; None for all other calls.

        Raises:
            ConfigurationError: one of the buckets is refused.
            UnsupportedOperationError: ciphertext would get into a plain bucket.
        """
        if operation_name not in _WITH_SOURCE or "CopySource" not in parameters:
            return None
        place = copies.parse_copy_source(parameters["CopySource"])
        source, target = self._s3ec_rule(place.bucket), self._s3ec_rule(parameters["Bucket"])
        if source is target or source.mode is target.mode is Mode.PLAIN:
            return None
        if target.mode is Mode.PLAIN:
            raise UnsupportedOperationError(
                f"the copy from s3://{place.bucket}/{place.key} to bucket {parameters['Bucket']} is refused: "
                f"{source.origin} encrypts the one, {target.origin} leaves the other plain, and the copy would be "
                "ciphertext where readers expect plaintext. Read it and put it there instead"
            )
        return place

    def _s3ec_extra(self, bucket: str, extra: Any, *, reading: bool = False) -> Any:
        """``ExtraArgs`` of a transfer, with the rule's context."""
        rule = self._s3ec_rule(bucket)
        if rule.mode is Mode.PLAIN:
            return extra
        return {**context_of(rule, reading=reading), **(extra or {})}


def context_of(rule: BucketRule, *, reading: bool) -> dict[str, Any]:
    """The encryption context in force: given to what is written, asserted of what is read, else the stored one."""
    context = dict(rule.settings.context)
    if context:
        return {"EncryptionContext": context}
    return {"EncryptionContext": STORED_CONTEXT} if reading else {}


def with_context(rule: BucketRule, operation_name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A call's parameters, with the context of the rule that its bucket is under.

    Args:
        rule: one that encrypts.
        operation_name: as botocore spells it.
        parameters: the caller's, whose own context counts.
    """
    if operation_name in _WRITES or operation_name in ("GetObject", "UploadPartCopy"):
        return {**context_of(rule, reading=operation_name not in _WRITES), **parameters}
    return parameters


class PlainEvents:
    """A client's emitter for calls to buckets that are plain: no handler turns them to another bucket."""

    def __init__(self, events: Any, rules: BucketRules) -> None:
        """Take the emitter."""
        self._events = events
        self._rules = rules

    def emit(self, event_name: str, **arguments: Any) -> Any:
        """Ask handlers, as botocore's emitter does."""
        answers = self._events.emit(event_name, **arguments)
        self._check(event_name, arguments)
        return answers

    def _check(self, event_name: str, arguments: Mapping[str, Any]) -> None:
        """Look at what handlers made of the parameters of a call.

        Raises:
            UnsupportedOperationError: it is none to a plain bucket any more.
        """
        if not event_name.startswith("before-parameter-build."):
            return
        params = arguments["params"]
        named = [params["Bucket"]] if isinstance(params.get("Bucket"), str) else []
        if "CopySource" in params:
            named.append(copies.heard_source(params["CopySource"]).bucket)
        for bucket in named:
            if self._rules.of(bucket).mode is not Mode.PLAIN:
                raise UnsupportedOperationError(
                    f"an event handler has turned a request for a plain bucket to {bucket}, which is not plain"
                )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._events, name)


def make_plain(client: BaseClient, generated: type, rules: BucketRules, events: type[PlainEvents] = PlainEvents) -> Any:
    """The client as botocore made it, for buckets that are plain on purpose.

    Args:
        client: the one before it.
        generated: the class that botocore generated for it.
        rules: all of them.
        events: of its emitter.
    """
    view: Any = object.__new__(handlers.make_sender(generated))
    view.__dict__ = client.__dict__
    meta: Any = object.__new__(type(client.meta))
    meta.__dict__.update(client.meta.__dict__, events=events(client.meta.events, rules))
    view.meta = meta
    return view
