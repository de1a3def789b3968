"""What others wrote (keys, headers, answers of S3 and KMS) forges no line of a log and commands no terminal."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import pickle
from typing import Any

import pytest
from botocore.stub import Stubber

from s3ec import AesKeyring, EncryptionClient, KmsKeyring, errors
from s3ec.cli import progress
from s3ec.cli.output import Output
from s3ec.errors import KeyringError, S3ECError, escaped

from support.lying_s3 import LyingS3, lying_s3

NASTY = "a\nCRITICAL root: forged \x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2066 \x85\u2028\x9b2J\r\x00 é"


def is_clean(text: str) -> bool:
    """Whether every character is shown as it is."""
    return text.isprintable()


ALL_ERRORS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error(kind: type[S3ECError]) -> None:
    """In the text, the arguments, the place and the repr; letters of any language stay."""
    error = kind(f"the key {NASTY}\udc80").locate(f"s3://b/{NASTY}\udc80")
    for text in (str(error), str(error.args[0]), str(error.location), repr(error)):
        assert is_clean(text)
        assert "é" in text
    assert "\\n" in str(error)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert str(again.args[0]) == str(error.args[0])


def test_what_is_readable_stays() -> None:
    """Text without such characters is left alone, and escaping twice changes nothing more."""
    for text in ("", "plain", "Zürich 東京 \\n", "emoji 🎉"):
        assert escaped(text) == text
    assert escaped(escaped(NASTY)) == escaped(NASTY)


@pytest.fixture
def server() -> Any:
    """A lying server."""
    with lying_s3() as running:
        yield running


def test_keys_and_headers(server: LyingS3, caplog: pytest.LogCaptureFixture) -> None:
    """Errors of reads, of every kind of header, and the log lines about instruction files."""
    key = "x\x1b[31m\nCRITICAL \u202e"
    with contextlib.closing(EncryptionClient(keyring=AesKeyring(bytes(32)), **server.arguments())) as client:
        client.put_object(Bucket="b", Key=key, Body=b"x")
        stored = server.state.objects[f"b/{key}"]
        calls = 0
        for name in list(stored.metadata):
            if name.startswith("x-amz-meta-x-amz-"):
                server.state.objects[f"b/{key}"] = type(stored)(stored.body, {**stored.metadata, name: "\x1b[31m\x9b"})
                with pytest.raises(S3ECError) as refused:
                    client.get_object(Bucket="b", Key=key)["Body"].read()
                assert is_clean(str(refused.value))
                calls += 1
        assert calls >= 5
        client.meta.events.register("before-send.s3.HeadObject", _forbidden)
        with caplog.at_level(logging.DEBUG, "s3ec"):
            client.delete_object(Bucket="b", Key=key)
        lines = [record.getMessage() for record in caplog.records if record.name == "s3ec"]
        assert lines
        assert all(map(is_clean, lines))


def _forbidden(request: Any, **_: Any) -> Any:
    from types import SimpleNamespace

    from botocore.awsrequest import AWSResponse, HeadersDict

    return AWSResponse(
        request.url, 403, HeadersDict({"Content-Length": "0"}), SimpleNamespace(stream=lambda: iter([b""]))
    )


def test_answers_of_kms(kms: Any, aws: dict[str, Any]) -> None:
    """Code and message of a refusal."""
    with (
        Stubber(kms) as stubber,
        contextlib.closing(EncryptionClient(keyring=KmsKeyring("k", client=kms), **aws)) as s3,
    ):
        stubber.add_client_error("generate_data_key", NASTY, NASTY)
        with pytest.raises(KeyringError) as refused:
            s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    assert is_clean(str(refused.value))
    assert "forged" in str(refused.value)


def test_progress_never_lets_a_key_speak_to_the_terminal() -> None:
    """Neither the bar of a job, nor its lines where there is no terminal, nor a table."""
    key = "a\x1b[2J\x1b]0;title\x07\nb"
    stream = io.StringIO()
    bar = progress._Rich("verified", progress._display(stream))
    bar.say(f"failed: {key}")
    output = Output(as_json=False)
    output.stderr = output.stdout = stream
    progress._Lines("verified", output).say(f"failed: {key}")
    output.line(key)
    assert stream.getvalue().count("a\\x1b[2J") == 3
    assert not {"\x1b", "\x07"} & set(stream.getvalue())
