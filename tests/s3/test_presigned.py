"""Presigned requests without a network: what may be made, what is handed over, and what opens an answer."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from s3ec import AesKeyring, encryption, formats
from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import AuthenticationError, ConfigurationError, NotEncryptedError, UnsupportedOperationError
from s3ec.keyrings import DefaultMaterialsManager
from s3ec.s3 import presigned
from s3ec.s3.flow import Hear, NewDataKey, Unwrap
from s3ec.secrets import Secret

from support.flows import ByHand, Surroundings

MANAGER = DefaultMaterialsManager(AesKeyring(bytes(32)))
PLACE = {"Bucket": "b", "Key": "k"}


def stored() -> tuple[dict[str, str], Any]:
    """Raw headers of an encrypted object of 100 bytes, and its cipher."""
    metadata, cipher = encryption.begin(
        materials_manager=MANAGER,
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        algorithm_suite=None,
        encryption_context=None,
    )
    raw = {f"X-Amz-Meta-{name}": value for name, value in formats.render_object(metadata).items()}
    return {**raw, "Content-Length": "116"}, cipher


@pytest.mark.parametrize("name", ["PutObject", "UploadPart", "CompleteMultipartUpload", "SelectObjectContent"])
def test_operations(name: str) -> None:
    """Uploads, and what the client refuses itself, unless the client allows them."""
    refused = name == "SelectObjectContent"
    with pytest.raises(UnsupportedOperationError, match=f"a presigned {name} is refused"):
        presigned.check_operation(name, is_refused=refused, uploads="refuse")
    presigned.check_operation(name, is_refused=refused, uploads="allow")
    presigned.check_operation("GetObject", is_refused=False, uploads="refuse")


@pytest.mark.parametrize("method", ["PUT", "POST", 5])
def test_methods(method: Any) -> None:
    """Another one makes another operation of a request."""
    with pytest.raises(UnsupportedOperationError, match="HttpMethod"):
        presigned.check_method("GetObject", "GET", method, uploads="refuse")
    presigned.check_method("GetObject", "GET", method, uploads="allow")
    for own in (None, "get", "GET"):
        presigned.check_method("GetObject", "GET", own, uploads="refuse")


class TestUploads:
    """What is signed, and what its holder has."""

    def test_the_request(self) -> None:
        """Is for one body, unless the caller says otherwise, and for one request; handlers hear that it is signed."""
        plain, files = Surroundings(MANAGER), Surroundings(MANAGER, instruction_file_writes=True)
        for overwrite, named in ((False, {**PLACE, "IfNoneMatch": "*"}), (True, PLACE)):
            flow = ByHand(presigned.upload_to_sign(plain, PLACE, None, overwrite=overwrite))
            assert flow.asked == Hear("PutObject", named, presigned=True)
        with pytest.raises(UnsupportedOperationError, match="instruction files"):
            next(presigned.upload_to_sign(files, PLACE, None, overwrite=True))

    def test_its_key(self) -> None:
        """One is asked for; the wrapped one goes into the metadata, and no body into the request."""

        class Heard:
            parameters: ClassVar[dict[str, Any]] = {**PLACE, "Body": b"of a handler", "Metadata": {"mine": "1"}}

        flow = ByHand(presigned.upload_to_sign(Surroundings(MANAGER), PLACE, None, overwrite=True))
        flow.answer(heard := Heard())
        assert isinstance(flow.asked, NewDataKey)
        flow.answer(Secret(MANAGER.get_encryption_materials(flow.asked.request)))
        ready = flow.result
        assert ready.heard is heard
        assert (ready.request.keys(), ready.request["Metadata"]["mine"]) == ({"Bucket", "Key", "Metadata"}, "1")
        assert formats.parse_object(ready.request["Metadata"]).algorithm_suite is ready.cipher.suite
        assert "mine" not in repr(ready)

    def test_headers(self) -> None:
        """Those that are signed, and those without which the object would not open or be another; nothing else."""
        headers = dict.fromkeys(["Host", "X-Amz-Meta-a", "If-None-Match", "Content-Type", "X-Other", "B"], "1")
        url = "https://h/k?X-Amz-Expires=5&X-Amz-SignedHeaders=b%3Bhost%3Bx-amz-meta-a&X-Amz-Signature=s"
        assert presigned.headers_to_send(url, headers).keys() == {"X-Amz-Meta-a", "If-None-Match", "Content-Type", "B"}
        assert presigned.headers_to_send("https://h/k?Signature=s", {"B": "b"}) == {}

    def test_the_text(self) -> None:
        """Gives the same again, and anything else is refused."""
        _, cipher = stored()
        handed = presigned.HandedOver("https://h/k", {"a": "b"}, cipher)
        text = presigned.text_of(handed)
        again = presigned.handed_over(text)
        assert (again.url, again.headers) == (handed.url, handed.headers)
        assert again.cipher.key.reveal() == cipher.key.reveal()
        assert (again.cipher.iv, again.cipher.aad, again.cipher.suite) == (cipher.iv, cipher.aad, cipher.suite)
        assert cipher.key.reveal().hex() not in repr(handed)
        for other in ("", "[]", "{}", json.dumps({**json.loads(text), "headers": []}), "[" * 100_000):
            with pytest.raises(ConfigurationError, match="to_json"):
                presigned.handed_over(other)


class TestDownloads:
    """What stands between an answer and its plaintext."""

    def test_an_answer(self) -> None:
        """Its headers pass the gate, and then a key is touched."""
        headers, cipher = stored()
        flow = ByHand(presigned.open_answer(Surroundings(MANAGER).reading, headers, None, ""))
        assert isinstance(flow.asked, Unwrap)
        flow.answer(flow.asked.checked.ask())
        assert (flow.result.length, flow.result.plaintext_length) == (116, 100)
        assert flow.result.cipher.key.reveal() == cipher.key.reveal()

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"Content-Length": "15"}, AuthenticationError),
            ({"Content-Length": "many"}, AuthenticationError),
            (None, NotEncryptedError),
        ],
    )
    def test_refused_before_a_key_is_touched(self, change: dict[str, str] | None, error: type[Exception]) -> None:
        """What cannot be whole, and what is not encrypted."""
        headers = {"Content-Length": "116"} if change is None else {**stored()[0], **change}
        with pytest.raises(error):
            ByHand(presigned.open_answer(Surroundings(MANAGER).reading, headers, None, ""))

    def test_the_place(self) -> None:
        """Is whole or not given; it is needed where objects are bound to it."""
        free, bound = Surroundings(MANAGER).reading, Surroundings(MANAGER, bind_object=True).reading
        assert presigned.place_of(free, None, None) == ""
        assert presigned.place_of(bound, "b", "k") == "arn:aws:s3:::b/k"
        for rules, bucket, key in ((free, "b", None), (free, None, "k"), (bound, None, None)):
            with pytest.raises(ConfigurationError, match="Bucket and Key"):
                presigned.place_of(rules, bucket, key)

    def test_a_refusal(self) -> None:
        """Has S3's own code, where its text has one."""
        error = presigned.error_of(403, "<Error><Code>AccessDenied</Code></Error>")
        assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
        assert presigned.error_of(500, "text")["Error"]["Code"] == "500"
