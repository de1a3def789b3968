"""The operations table: every operation of botocore's S3 has been looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest

from s3ec.client.calls import operations
from s3ec.client.calls.operations import OPERATIONS, Treatment
from s3ec.errors import UnsupportedOperationError

from support.lying_s3 import LyingS3

MODEL = botocore.session.get_session().get_service_model("s3")
MINIMAL: dict[str, dict[str, Any]] = {
    "SelectObjectContent": {
        "Bucket": "b",
        "Key": "k",
        "Expression": "select 1",
        "ExpressionType": "SQL",
        "InputSerialization": {"CSV": {}},
        "OutputSerialization": {"CSV": {}},
    },
    "PutObjectAnnotation": {"Bucket": "b", "Key": "k", "AnnotationName": "n", "AnnotationPayload": b"x"},
    "WriteGetObjectResponse": {"RequestRoute": "r", "RequestToken": "t", "Body": b"secret"},
    "GetObjectTorrent": {"Bucket": "b", "Key": "k"},
    "DeleteObjectAnnotation": {"Bucket": "b", "Key": "k", "AnnotationName": "n"},
    "RenameObject": {"Bucket": "b", "Key": "k", "RenameSource": "s"},
    "UpdateObjectEncryption": {"Bucket": "b", "Key": "k", "ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "k"}}},
}


def test_the_table_names_every_operation_of_this_botocore() -> None:
    """An operation that AWS adds fails here, and not at a customer."""
    assert set(MODEL.operation_names) - set(OPERATIONS) == set()


def test_every_operation_with_a_streaming_body_is_encrypted_or_refused() -> None:
    """What can carry content up is never merely passed."""
    carriers = {name for name in MODEL.operation_names if MODEL.operation_model(name).has_streaming_input}
    assert {name: OPERATIONS[name] for name in carriers if OPERATIONS[name] is Treatment.PASSED} == {}


@pytest.mark.parametrize("operation_name", sorted(operations.REFUSED))
def test_a_refused_operation_says_why_and_sends_nothing(
    http_liar: LyingS3, lied_to: Callable[..., Any], operation_name: str
) -> None:
    """The text names the operation and the way out; no request is made."""
    if operation_name not in MODEL.operation_names:
        pytest.skip(f"this botocore has no {operation_name}")
    client = lied_to(http_liar)
    with pytest.raises(UnsupportedOperationError, match=f"{operation_name} is refused: .{{20,}}"):
        client._make_api_call(operation_name, MINIMAL[operation_name])
    assert http_liar.state.requests == []


@pytest.mark.parametrize("operation_name", sorted(operations.DESTRUCTIVE_ELSEWHERE))
def test_what_other_servers_mistake_goes_to_aws_only(
    http_liar: LyingS3, lied_to: Callable[..., Any], operation_name: str
) -> None:
    """A server that does not know these operations would destroy the object; on AWS they are not refused."""
    if operation_name not in MODEL.operation_names:
        pytest.skip(f"this botocore has no {operation_name}")
    client = lied_to(http_liar)
    with pytest.raises(UnsupportedOperationError, match="not AWS's"):
        client._make_api_call(operation_name, MINIMAL[operation_name])
    assert http_liar.state.requests == []
    operations.refuse_unless_supported(operation_name, on_aws=lambda: True)


def test_an_unknown_operation_is_refused(http_liar: LyingS3, lied_to: Callable[..., Any]) -> None:
    """What a newer botocore brings is refused at run time until it has been looked at."""
    client = lied_to(http_liar)
    with pytest.raises(UnsupportedOperationError, match="does not know the operation"):
        client._make_api_call("PutObjectFromTheFuture", {"Bucket": "b", "Key": "k", "Body": b"secret"})
    assert http_liar.state.requests == []
