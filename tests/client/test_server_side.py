"""Which requests carry which server-side mode, and what is refused: the rules themselves, before any client."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import logging
import pickle
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest

from s3ec.client.server_side import rules as server_side
from s3ec.client.server_side.presigned import apply_to_form, apply_to_url, post_policy
from s3ec.client.server_side.rules import DsseKms, ServerSideMode, SseC, SseKms, SseS3
from s3ec.errors import ConfigurationError

KEY = bytes(range(32))
KEY_BASE64 = base64.b64encode(KEY).decode()
KEY_MD5 = base64.b64encode(hashlib.md5(KEY, usedforsecurity=False).digest()).decode()
TRIPLE = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY_BASE64, "SSECustomerKeyMD5": KEY_MD5}
SOURCE_TRIPLE = {f"CopySource{member}": value for member, value in TRIPLE.items()}
CONTEXT = base64.b64encode(b'{"team":"hr"}').decode()
OBJECT = {"Bucket": "b", "Key": "k"}
MODE_MEMBERS = frozenset({"ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled"})


@pytest.fixture(scope="module")
def s3_model() -> Any:
    """Botocore's model of S3."""
    return botocore.session.get_session().get_service_model("s3")


def input_members(s3_model: Any, operation_name: str) -> frozenset[str]:
    """The names of an operation's request members."""
    shape = s3_model.operation_model(operation_name).input_shape
    return frozenset(shape.members) if shape else frozenset()


def test_modes_give_boto3_parameters() -> None:
    """Each mode asks for itself in boto3's own parameters, the context as base64 of compact JSON."""
    assert SseS3().parameters() == {"ServerSideEncryption": "AES256"}
    assert SseKms().parameters() == {"ServerSideEncryption": "aws:kms"}
    assert SseKms("alias/a", context={"team": "hr"}, bucket_key=False).parameters() == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "alias/a",
        "SSEKMSEncryptionContext": CONTEXT,
        "BucketKeyEnabled": False,
    }
    assert DsseKms("k", context={"team": "hr"}).parameters() == {
        "ServerSideEncryption": "aws:kms:dsse",
        "SSEKMSKeyId": "k",
        "SSEKMSEncryptionContext": CONTEXT,
    }
    assert SseC(KEY).parameters() == TRIPLE
    assert SseC(KEY).parameters("CopySourceSSECustomer") == SOURCE_TRIPLE


def test_context_survives_any_text() -> None:
    """Names and values outside ASCII come back as they were."""
    context = {"größe": "漢字 \U0001f512", "": ""}
    text = SseKms(context=context).parameters()["SSEKMSEncryptionContext"]
    assert json.loads(base64.b64decode(text)) == context


def test_an_empty_context_is_not_sent() -> None:
    """S3 has no use for an empty map."""
    assert "SSEKMSEncryptionContext" not in SseKms(context={}).parameters()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SseC(KEY[:31]), "31"),
        (lambda: SseC(KEY_BASE64.encode()), "base64"),
        (lambda: SseC("x" * 32), "raw bytes"),  # type: ignore[arg-type]  # what a caller may do
        (lambda: SseKms(""), "non-empty"),
        (lambda: SseKms(7), "non-empty"),  # type: ignore[arg-type]  # what a caller may do
        (lambda: SseKms(context={"a": 1}), "strings"),  # type: ignore[dict-item]  # what a caller may do
        (lambda: SseKms(context={1: "a"}), "strings"),  # type: ignore[dict-item]  # what a caller may do
        (lambda: SseKms(context="a=b"), "map"),  # type: ignore[arg-type]  # what a caller may do
        (lambda: SseKms(bucket_key="yes"), "bucket_key"),  # type: ignore[arg-type]  # what a caller may do
        (lambda: DsseKms(context={"a": None}), "strings"),  # type: ignore[dict-item]  # what a caller may do
        (lambda: DsseKms(""), "non-empty"),
    ],
)
def test_modes_check_themselves(make: Any, says: str) -> None:
    """A mode that can never work cannot be built."""
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_customer_key_is_never_shown() -> None:
    """Neither repr nor pickle nor an error text lets the key out; copies within the process are the object itself."""
    mode = SseC(KEY)
    with pytest.raises(TypeError, match="cannot be pickled") as raised:
        pickle.dumps(mode)
    shown = f"{mode!r} {mode} {raised.value}"
    assert KEY_BASE64 not in shown
    assert repr(KEY) not in shown
    assert copy.copy(mode) is mode
    assert copy.deepcopy({"mode": mode})["mode"] is mode
    assert SseC(KEY) == mode
    assert SseC(bytes(32)) != mode


def test_modes_are_values() -> None:
    """Modes without a secret are compared, hashed and pickled by what they say."""
    for mode in (SseS3(), SseKms("a", context={"b": "c"}, bucket_key=True), DsseKms("a")):
        assert pickle.loads(pickle.dumps(mode)) == mode  # noqa: S301 - bytes made one line above
        assert {mode: 1}[mode] == 1


def test_every_operation_that_takes_a_mode_is_known(s3_model: Any) -> None:
    """Where botocore has mode parameters the client default goes in, and nowhere else."""
    for operation_name in s3_model.operation_names:
        members = input_members(s3_model, operation_name)
        completed = server_side.apply(operation_name, OBJECT, SseKms("k", bucket_key=True), secure=True)
        added = completed.keys() - OBJECT.keys()
        if operation_name in {"WriteGetObjectResponse", "CreateSession"}:
            assert not added
        else:
            assert added == (
                {"ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled"} if members >= MODE_MEMBERS else set()
            ), operation_name


def test_every_operation_that_takes_a_customer_key_is_known(s3_model: Any) -> None:
    """Where botocore has SSE-C parameters the client default goes in, for the target and for the source of copies."""
    for operation_name in s3_model.operation_names:
        members = input_members(s3_model, operation_name)
        added = server_side.apply(operation_name, OBJECT, SseC(KEY), secure=True).keys() - OBJECT.keys()
        wanted = {*TRIPLE, *SOURCE_TRIPLE} & members
        if operation_name == "WriteGetObjectResponse":
            wanted = set()
        assert added == wanted, operation_name


def test_a_session_takes_a_mode_and_no_default() -> None:
    """AWS advises to leave the mode to the directory bucket; a caller may name one all the same."""
    named = {"Bucket": "b", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}
    assert server_side.apply("CreateSession", {"Bucket": "b"}, SseKms("d"), secure=True) == {"Bucket": "b"}
    assert server_side.apply("CreateSession", named, SseKms("d"), secure=True) == named


@pytest.mark.parametrize(
    "default", [SseS3(), SseKms("d", context={"a": "b"}, bucket_key=True), DsseKms("d"), SseC(KEY)]
)
@pytest.mark.parametrize(
    "own",
    [
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms"},
        {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "own"},
        {"ServerSideEncryption": "aws:fsx"},
        SseC(bytes(32)).parameters(),
    ],
)
def test_a_mode_in_the_request_wins_entirely(default: ServerSideMode, own: dict[str, Any]) -> None:
    """Nothing of the default is mixed into a mode that the request names."""
    assert server_side.apply("PutObject", {**OBJECT, **own}, default, secure=True) == {**OBJECT, **own}


def test_the_callers_request_is_not_changed() -> None:
    """The request comes back as a new dict."""
    request: Mapping[str, Any] = {**OBJECT, "SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
    before = dict(request)
    assert server_side.apply("PutObject", request, None, secure=True) == {**OBJECT, **TRIPLE}
    assert request == before


@pytest.mark.parametrize("key", [KEY, bytearray(KEY), memoryview(KEY), KEY.decode("latin-1")])
@pytest.mark.parametrize("operation_name", ["GetObject", "ListParts", "GetObjectAttributes", "CompleteMultipartUpload"])
def test_raw_keys_are_put_into_wire_form(key: Any, operation_name: str) -> None:
    """A raw key is encoded for every operation, also for those where botocore forgets to."""
    request = {**OBJECT, "SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    assert server_side.apply(operation_name, request, None, secure=True) == {**OBJECT, **TRIPLE}


def test_a_key_in_wire_form_stays_as_it_is() -> None:
    """Base64 with its digest, as boto3 lets callers give it, is not encoded twice."""
    request = {**OBJECT, **TRIPLE, **SOURCE_TRIPLE}
    assert server_side.apply("CopyObject", request, None, secure=True) == request


def test_the_source_key_of_a_copy_is_chosen_on_its_own() -> None:
    """Under an SSE-C default a copy reads with the default key, unless the request names the source's."""
    target = {**OBJECT, "ServerSideEncryption": "AES256"}
    assert server_side.apply("CopyObject", target, SseC(KEY), secure=True) == {**target, **SOURCE_TRIPLE}
    own_source = {**OBJECT, **SseC(bytes(32)).parameters("CopySourceSSECustomer")}
    assert server_side.apply("CopyObject", own_source, SseC(KEY), secure=True) == {**own_source, **TRIPLE}


def test_urls_carry_the_mode_and_never_a_customer_key() -> None:
    """A presigned URL signs the default mode, and of SSE-C the algorithm only: URLs end up in logs."""
    url = apply_to_url
    algorithm = {"SSECustomerAlgorithm": "AES256"}
    assert url("PutObject", OBJECT, SseKms("k"), secure=True) == {**OBJECT, **SseKms("k").parameters()}
    assert url("GetObject", OBJECT, SseKms("k"), secure=True) == OBJECT
    assert url("GetObject", OBJECT, None, secure=False) == OBJECT
    assert url("GetObject", OBJECT, SseC(KEY), secure=True) == {**OBJECT, **algorithm}
    assert url("PutObject", {**OBJECT, **algorithm}, SseKms("k"), secure=True) == {**OBJECT, **algorithm}
    assert url("DeleteObject", OBJECT, SseC(KEY), secure=True) == OBJECT
    own = {**OBJECT, "ServerSideEncryption": "AES256"}
    assert url("PutObject", own, SseC(KEY), secure=True) == own
    assert url("GetObject", {**OBJECT, **TRIPLE}, SseKms("k"), secure=True) == {**OBJECT, **TRIPLE}


@pytest.mark.parametrize(
    ("operation_name", "members", "default", "secure"),
    [
        ("PutObject", {"BucketKeyEnabled": True}, None, True),
        ("GetObject", {"ServerSideEncryption": "AES256"}, SseC(KEY), True),
        ("PutObject", {"SSECustomerAlgorithm": "AES256", "SSEKMSKeyId": "k"}, None, True),
        ("GetObject", {}, SseC(KEY), False),
        ("GetObject", {"SSECustomerAlgorithm": "AES256"}, None, False),
        ("GetObject", {**TRIPLE, "SSECustomerKeyMD5": "AAAA"}, None, True),
    ],
)
def test_urls_are_checked_when_they_are_made(
    operation_name: str, members: dict[str, Any], default: Any, secure: bool
) -> None:
    """What S3 would refuse is refused before anybody holds the URL."""
    with pytest.raises(ConfigurationError):
        apply_to_url(operation_name, {**OBJECT, **members}, default, secure=secure)


BAD_REQUESTS = [
    pytest.param(
        "PutObject", {"ServerSideEncryption": "aws:kms:dsse", "BucketKeyEnabled": True}, "bucket key", id="dsse"
    ),
    pytest.param("PutObject", {"BucketKeyEnabled": True}, "without a KMS mode", id="bucket-key-alone"),
    pytest.param("PutObject", {"SSEKMSKeyId": "k"}, "without a KMS mode", id="key-alone"),
    pytest.param("CopyObject", {"SSEKMSKeyId": "k"}, "without a KMS mode", id="key-alone-copy"),
    pytest.param(
        "CreateMultipartUpload", {"SSEKMSEncryptionContext": CONTEXT}, "without a KMS mode", id="context-alone"
    ),
    pytest.param(
        "PutObject", {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "k"}, "without a KMS", id="s3-with-key"
    ),
    pytest.param(
        "PutObject", {"ServerSideEncryption": "AES256", "BucketKeyEnabled": True}, "without a KMS", id="s3-bk"
    ),
    pytest.param(
        "PutObject", {"ServerSideEncryption": "aws:fsx", "SSEKMSKeyId": "k"}, "without a KMS", id="fsx-with-key"
    ),
    pytest.param("PutObject", {"ServerSideEncryption": "AES-256"}, "one of", id="unknown"),
    pytest.param("PutObject", {"ServerSideEncryption": "AWS:KMS"}, "one of", id="case"),
    pytest.param("PutObject", {"ServerSideEncryption": ["aws:kms"]}, "one of", id="no-text"),
    pytest.param("PutObject", {"ServerSideEncryption": "aws:kms", **TRIPLE}, "mode of its own", id="c-and-kms"),
    pytest.param("PutObject", {"ServerSideEncryption": "AES256", **TRIPLE}, "mode of its own", id="c-and-s3"),
    pytest.param("PutObject", {"SSEKMSKeyId": "k", **TRIPLE}, "mode of its own", id="c-and-key"),
    pytest.param("PutObject", {"SSECustomerKey": KEY}, "needs both", id="c-without-algorithm"),
    pytest.param("GetObject", {"SSECustomerAlgorithm": "AES256"}, "needs both", id="c-without-key"),
    pytest.param("HeadObject", {"SSECustomerKeyMD5": KEY_MD5}, "needs both", id="c-digest-alone"),
    pytest.param("PutObject", {**TRIPLE, "SSECustomerAlgorithm": "AES128"}, "AES256", id="c-algorithm"),
    pytest.param("PutObject", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY[:16]}, "has 16", id="c-short"),
    pytest.param(
        "PutObject", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY_BASE64}, "KeyMD5", id="c-no-digest"
    ),
    pytest.param("PutObject", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": 7}, "bytes or str", id="c-type"),
    pytest.param(
        "PutObject", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "\ud800"}, "has 3", id="c-surrogate"
    ),
    pytest.param("PutObject", {**TRIPLE, "SSECustomerKey": "-" * 44}, "base64 already", id="c-not-base64"),
    pytest.param(
        "PutObject",
        {**TRIPLE, "SSECustomerKey": KEY_BASE64[:4] + "\n" + KEY_BASE64[4:]},
        "base64",
        id="c-folded-base64",
    ),
    pytest.param("PutObject", {**TRIPLE, "SSECustomerKey": "ä"}, "base64 already", id="c-not-ascii"),
    pytest.param("PutObject", {**TRIPLE, "SSECustomerKey": CONTEXT}, "has 13", id="c-encoded-short"),
    pytest.param("PutObject", {**TRIPLE, "SSECustomerKeyMD5": "AAAA"}, "not the MD5", id="c-wrong-digest"),
    pytest.param("UploadPart", {**TRIPLE, "SSECustomerKeyMD5": "AAAA"}, "not the MD5", id="c-wrong-digest-part"),
    pytest.param(
        "CopyObject", {**SOURCE_TRIPLE, "CopySourceSSECustomerKeyMD5": "AAAA"}, "not the MD5", id="source-digest"
    ),
    pytest.param("UploadPartCopy", {"CopySourceSSECustomerKey": KEY}, "needs both", id="source-incomplete"),
    pytest.param("GetObject", {"ServerSideEncryption": "AES256"}, "takes no", id="get"),
    pytest.param("HeadObject", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}, "takes no", id="head"),
    pytest.param("UploadPart", {"ServerSideEncryption": "aws:kms"}, "takes no", id="part"),
    pytest.param("CompleteMultipartUpload", {"BucketKeyEnabled": True}, "takes no", id="complete"),
    pytest.param("PutObject", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ""}, "non-empty", id="empty-key"),
    *(
        pytest.param(
            "PutObject", {"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": bad}, "of strings", id=name
        )
        for name, bad in {
            "context-no-base64": "{}",
            "context-bad-base64": "????",
            "context-folded-base64": CONTEXT[:4] + "\n" + CONTEXT[4:],
            "context-no-json": base64.b64encode(b"team=hr").decode(),
            "context-no-utf8": base64.b64encode(b"\xff\xfe\xfd").decode(),
            "context-list": base64.b64encode(b"[]").decode(),
            "context-number": base64.b64encode(b'{"a":1}').decode(),
            "context-nested": base64.b64encode(b'{"a":{"b":"c"}}').decode(),
            "context-dict": {"a": "b"},
        }.items()
    ),
]


@pytest.mark.parametrize(("operation_name", "members", "says"), BAD_REQUESTS)
def test_bad_combinations_are_refused(operation_name: str, members: dict[str, Any], says: str) -> None:
    """What S3 refuses or would misunderstand is refused here, with or without a default, and no key is in the text."""
    for default in (None, SseS3(), SseKms("d"), SseC(bytes(32))):
        with pytest.raises(ConfigurationError, match=says) as raised:
            server_side.apply(operation_name, {**OBJECT, **members}, default, secure=True)
        assert KEY_BASE64 not in str(raised.value)


@pytest.mark.parametrize("operation_name", ["PutObject", "GetObject", "HeadObject", "UploadPart", "CopyObject"])
def test_customer_keys_stay_off_plain_http(operation_name: str) -> None:
    """An SSE-C key in a request or in the default is refused before it is on the network."""
    with pytest.raises(ConfigurationError, match="plain http"):
        server_side.apply(operation_name, {**OBJECT, **TRIPLE}, None, secure=False)
    with pytest.raises(ConfigurationError, match="plain http"):
        server_side.apply(operation_name, OBJECT, SseC(KEY), secure=False)
    assert server_side.apply("DeleteObject", OBJECT, SseC(KEY), secure=False) == OBJECT


def test_the_source_key_stays_off_plain_http() -> None:
    """The key of a copy's source is a key as well."""
    with pytest.raises(ConfigurationError, match="plain http"):
        server_side.apply("CopyObject", {**OBJECT, **SOURCE_TRIPLE}, None, secure=False)


def test_other_modes_go_over_http() -> None:
    """Only SSE-C puts a secret into the request."""
    for mode in (SseS3(), SseKms("k"), DsseKms("k")):
        assert server_side.apply("PutObject", OBJECT, mode, secure=False) == {**OBJECT, **mode.parameters()}


def test_object_lambda_answers_report_a_mode() -> None:
    """WriteGetObjectResponse says how an object was stored; nothing is asked for, so nothing is refused or added."""
    report = {
        "RequestRoute": "r",
        "RequestToken": "t",
        "ServerSideEncryption": "aws:kms",
        "SSECustomerAlgorithm": "AES256",
    }
    assert server_side.apply("WriteGetObjectResponse", report, SseKms("k"), secure=True) == report


@pytest.mark.parametrize("mode", [SseS3(), SseKms("k", context={"a": "b"}, bucket_key=True), DsseKms("k"), SseC(KEY)])
def test_a_mode_is_read_back_from_its_parameters(mode: ServerSideMode) -> None:
    """What a mode asks for is the same mode when it is read from a request."""
    assert server_side.requested_mode(mode.parameters()) == mode


def test_companions_carry_the_customer_key_only() -> None:
    """Our own extra calls get the object's SSE-C key in wire form, and nothing else of the request."""
    raw = {**OBJECT, "SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY, "IfNoneMatch": "*"}
    assert server_side.companion(raw) == TRIPLE
    assert server_side.companion({**OBJECT, **TRIPLE}) == TRIPLE
    assert server_side.companion({**OBJECT, "ServerSideEncryption": "aws:kms"}) == {}
    source = {**OBJECT, **TRIPLE, **SseC(bytes(32)).parameters("CopySourceSSECustomer")}
    assert server_side.source_companion(source) == SseC(bytes(32)).parameters()
    assert server_side.source_companion({**OBJECT, **TRIPLE}) == {}


def test_post_policy_binds_the_form_to_the_mode() -> None:
    """Fields and conditions of a POST upload have S3's own names; an SSE-C key is left to whoever fills in the form."""
    fields, conditions = post_policy(SseKms("k", context={"team": "hr"}, bucket_key=True))
    assert fields == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "k",
        "x-amz-server-side-encryption-context": CONTEXT,
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
    }
    assert conditions == [{name: value} for name, value in fields.items()]
    fields, conditions = post_policy(SseC(KEY))
    assert KEY_BASE64 not in json.dumps([fields, conditions])
    assert fields["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert {"x-amz-server-side-encryption-customer-key-MD5": KEY_MD5} in conditions
    assert ["starts-with", "$x-amz-server-side-encryption-customer-key", ""] in conditions


def test_a_mode_in_the_form_wins() -> None:
    """The default is added to a form without a mode, keeps the caller's fields, and steps aside for another mode."""
    assert apply_to_form(None, None, None) == ({}, [])
    mode = {"x-amz-server-side-encryption": "AES256"}
    assert apply_to_form({"acl": "private"}, [{"acl": "private"}], SseS3()) == (
        {**mode, "acl": "private"},
        [{"acl": "private"}, mode],
    )
    own = {"X-Amz-Server-Side-Encryption": "aws:kms"}
    assert apply_to_form(own, [own], SseS3()) == (own, [own])


ARN = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("asked", "answer", "confirmed"),
    [
        ({}, {}, True),
        ({"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "AES256"}, True),
        ({"ServerSideEncryption": "AES256"}, {}, False),
        ({"ServerSideEncryption": "aws:kms:dsse"}, {"ServerSideEncryption": "aws:kms"}, False),
        (SseKms("alias/a").parameters(), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, True),
        (SseKms(ARN).parameters(), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, True),
        (SseKms(ARN).parameters(), {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"{ARN}0"}, False),
        (TRIPLE, {"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": KEY_MD5}, True),
        (TRIPLE, {"SSECustomerAlgorithm": "AES256", "SSECustomerKeyMD5": "AAAA"}, False),
        (TRIPLE, {}, False),
    ],
)
def test_an_unconfirmed_mode_is_noticed(
    asked: dict[str, Any], answer: dict[str, Any], confirmed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that does not answer with the mode asked for gets a warning, which never shows a key."""
    with caplog.at_level(logging.WARNING, "s3ec"):
        assert server_side.warn_unless_confirmed("PutObject", {**OBJECT, **asked}, answer) is confirmed
    assert [record.name for record in caplog.records] == ([] if confirmed else ["s3ec"])
    assert KEY_BASE64 not in caplog.text
    assert confirmed or "s3://b/k" in caplog.text


def test_only_what_makes_objects_is_confirmed() -> None:
    """Parts and reads do not repeat the mode on every server, and need not."""
    assert server_side.warn_unless_confirmed("UploadPart", {**OBJECT, **TRIPLE}, {})
