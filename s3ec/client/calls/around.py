"""What an encrypting client knows without asking S3: its options, and botocore's model of the service.

Both clients, that of boto3 and the asynchronous one, have it in common; it is what flows see as their surroundings.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from botocore.httpchecksum import resolve_request_checksum_algorithm
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from s3ec.client.bodies.sources import is_readable_body
from s3ec.client.options import Options
from s3ec.client.server_side import rules as server_side
from s3ec.s3.surroundings import ReadRules, WriteRules

__all__ = ["Around"]

A = TypeVar("A", bound="Around")
_LINE_BREAK = re.compile(r"[\r\n]")
_WITH_CHECKSUMS = Config(request_checksum_calculation="when_supported")
_CARRIED_OVER = ("RequestPayer", "ExpectedBucketOwner")


@dataclass(frozen=True, slots=True)
class Around:
    """The client as flows see it; no request is made here.

    Attributes:
        options: the client's options.
        service_model: botocore's model of S3, for validation before any key is touched.
        secure: True if the endpoint is https.
        exceptions: the client's ``exceptions``, to raise S3's own errors as S3 would.
        reading: the options that decide about reads.
        writing: the options that decide about writes.
    """

    options: Options
    service_model: ServiceModel
    secure: bool
    exceptions: Any
    reading: ReadRules
    writing: WriteRules

    def with_options(self: A, options: Options) -> A:
        """The same with other options of the client's."""
        if options is self.options:
            return self
        return dataclasses.replace(self, options=options, reading=options.reading(), writing=options.writing())

    def validate(self, operation_name: str, parameters: Mapping[str, Any]) -> None:
        """Refuse what botocore would refuse, before any key is touched; bodies may be of more kinds than it takes.

        Raises:
            ConfigurationError: a server-side mode that S3 would refuse.
            botocore.exceptions.ParamValidationError: as a plain client would raise it.
            botocore.exceptions.BotoCoreError: a checksum algorithm that botocore does not know, or cannot compute here.
        """
        shape = self.service_model.operation_model(operation_name).input_shape
        # The forms that botocore itself turns into strings only later: raw SSE-C keys, and a copy source as a map.
        ready = server_side.apply(operation_name, parameters, self.options.server_side_encryption, secure=self.secure)
        as_map = {"CopySource"} if isinstance(ready.get("CopySource"), Mapping) else set()
        if shape is None:
            return
        if is_readable_body(ready.get("Body")):
            del ready["Body"]
        known = {name: value for name, value in ready.items() if name not in as_map}
        if as_map:
            known["CopySource"] = ""
        report = ParamValidator().validate(known, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())
        _refuse_line_breaks(known, shape)
        if "ChecksumAlgorithm" in known:
            # Those of an upload are computed for its parts.
            summed = "UploadPart" if operation_name == "CreateMultipartUpload" else operation_name
            request = {"headers": {}, "url": "", "context": {"client_config": _WITH_CHECKSUMS}}
            resolve_request_checksum_algorithm(request, self.service_model.operation_model(summed), known)

    def source_companion(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a read of a copy's source: the source's own SSE-C key."""
        return server_side.source_companion(parameters)

    def refusal(self, operation_name: str, status: int, code: str, message: str, **details: str) -> ClientError:
        """The error that S3 would answer with, for a request that is not sent."""
        answer = {
            "Error": {"Code": code, "Message": message, **details},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        error: type[ClientError] = self.exceptions.from_code(code)
        return error(answer, operation_name)  # type: ignore[arg-type]  # the stubs want every field of S3's own answer

    def members(self, operation_name: str) -> Collection[str]:
        """The names of an operation's parameters."""
        shape = self.service_model.operation_model(operation_name).input_shape
        return shape.members if shape is not None else ()

    def companion(self, operation_name: str, parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Parameters of an extra call of ours about the same object: who pays, who owns, and the SSE-C key.

        Conditions, ranges and response overrides of the caller's request are left behind on purpose.
        """
        members = self.members(operation_name)
        carried = {name: parameters[name] for name in _CARRIED_OVER if name in parameters}
        carried |= server_side.companion(parameters)
        basic = {"Bucket": parameters["Bucket"], "Key": parameters["Key"]}
        return {name: value for name, value in {**basic, **carried, **more}.items() if name in members}


def _refuse_line_breaks(parameters: Mapping[str, Any], shape: Any) -> None:
    """What the HTTP library refuses of a header's value, while no key is touched.

    Raises:
        botocore.exceptions.ParamValidationError: a value or a name in ``Metadata`` has a line break.
    """
    for name, value in parameters.items():
        if isinstance(value, str):
            broken = _LINE_BREAK.search(value) and shape.members[name].serialization.get("location") == "header"
        else:
            broken = name == "Metadata" and any(map(_LINE_BREAK.search, itertools.chain(value, value.values())))
        if broken:
            raise ParamValidationError(report=f"Invalid value for parameter {name}: a header has no line breaks")
