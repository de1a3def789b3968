"""What KMS answers, brought to the form that keyrings expect."""

from __future__ import annotations

import base64
from traceback import walk_tb
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter

import s3ec
from s3ec.client.calls.shortcuts import KmsRequests
from s3ec.keyrings import KmsKeyring
from s3ec.keyrings.arn import names_the_key
from s3ec.keyrings.kms import KmsBase
from s3ec.keyrings.kms_answers import forget_answers, translate, with_bytes
from s3ec.keyrings.kms_calls import PlainCalls

from support.keyrings import write_request


def test_blobs_that_are_text_are_decoded() -> None:
    """The AWS CLI's sessions leave them in base64."""
    text = base64.b64encode(b"key").decode()
    answer = {"Plaintext": text, "CiphertextBlob": text, "KeyId": text}
    assert with_bytes(answer) == {"Plaintext": b"key", "CiphertextBlob": b"key", "KeyId": text}
    assert answer["Plaintext"] == text


@pytest.mark.parametrize("answer", [{"Plaintext": "no base64!"}, {"Plaintext": b"key"}, {}, None, "text", 17])
def test_other_answers_stay_as_they_are(answer: Any) -> None:
    """What they are is for the keyring to refuse."""
    assert with_bytes(answer) == answer


def test_the_package_puts_the_shortcut_in() -> None:
    """Whoever imports s3ec has it; without it, a keyring asks the client's own methods, by name and keywords."""
    assert s3ec._KmsRequests is KmsRequests
    asked: list[tuple[str, dict[str, Any]]] = []

    class Client:
        def generate_data_key(self, **parameters: Any) -> dict[str, bytes]:
            asked.append(("generate_data_key", parameters))
            return {"Plaintext": bytes(32), "CiphertextBlob": b"blob"}

    assert KmsBase.calls_of is PlainCalls
    KmsKeyring("alias/payroll", client=Client(), grant_tokens=["one"]).on_encrypt(write_request())
    ((method, parameters),) = asked
    assert method == "generate_data_key"
    assert parameters.keys() == {"KeyId", "KeySpec", "EncryptionContext", "GrantTokens"}


HOME = "arn:aws:kms:eu-west-3:111122223333:"
ID, OTHER_ID = "1234abcd-12ab-34cd-56ef-1234567890ab", "99999999-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (f"{HOME}key/{ID}", f"{HOME}key/{ID}"),
        (ID, f"{HOME}key/{ID}"),
        (ID, ID),
        ("mrk-1", f"{HOME}key/mrk-1"),
        ("alias/payroll", f"{HOME}key/{ID}"),
        ("alias/payroll", None),
        (f"{HOME}alias/payroll", f"{HOME}key/{ID}"),
        (f"{HOME}alias/payroll", ID),
        (f"{HOME}key/{ID}", ID),
        (f"{HOME}key/{ID}", None),
        (ID, None),
        (f"{HOME}key/mrk-1", f"{HOME}key/mrk-1"),
        (f"{HOME}key/mrk-1", f"{HOME.replace('eu-west-3', 'us-east-1')}key/mrk-1"),
    ],
)
def test_the_key_that_was_asked_for(asked: str, answered: str | None) -> None:
    """KMS answers with the ARN of what was named in whichever way; replicas of a multi-Region key are one key.

    Imitations of KMS answer with less.
    """
    assert names_the_key(answered, asked) is True


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (f"{HOME}key/{ID}", f"{HOME}key/{OTHER_ID}"),
        (f"{HOME}key/{ID}", f"{HOME.replace('eu-west-3', 'us-east-1')}key/{ID}"),
        (f"{HOME}key/{ID}", f"{HOME.replace('1111', '9999')}key/{ID}"),
        (f"{HOME}key/{ID}", f"{HOME}key/{ID}0"),
        (f"{HOME}key/{ID}", ""),
        (f"{HOME}key/{ID}", 7),
        (f"{HOME}key/mrk-1", f"{HOME}key/mrk-2"),
        (f"{HOME}key/mrk-1", f"{HOME.replace('1111', '9999')}key/mrk-1"),
        (f"{HOME}key/mrk-1", f"{HOME.replace('aws', 'aws-cn')}key/mrk-1"),
        (f"{HOME}alias/payroll", f"{HOME.replace('1111', '9999')}key/{ID}"),
        (f"{HOME}alias/payroll", f"{HOME.replace('eu-west-3', 'us-east-1')}key/{ID}"),
        (f"{HOME}alias/payroll", f"{HOME}alias/books"),
        (ID, f"{HOME}key/{OTHER_ID}"),
        (ID, f"{HOME}key/0{ID}"),
        (ID, OTHER_ID),
    ],
)
def test_another_key_than_was_asked_for(asked: str, answered: object) -> None:
    """Another ID, account, Region or partition, and none where one can be compared."""
    assert names_the_key(answered, asked) is False


def test_the_refusal_names_the_key_if_one_was_asked_for() -> None:
    """And no more than there is."""
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Decrypt")
    assert str(translate(error, "alias/a")) == "AWS KMS refused under alias/a (Decrypt: AccessDenied: no)"
    assert str(translate(error, "")) == "AWS KMS refused (Decrypt: AccessDenied: no)"
    assert str(translate(ClientError({}, "Decrypt"), "")) == "AWS KMS refused (Decrypt: )"


@pytest.mark.parametrize("linked", ["raise KeyError('y')", "raise KeyError('y') from error"])
def test_frames_of_the_whole_chain_are_forgotten(linked: str) -> None:
    """Those of what an error was raised from, and of what it was raised amid."""
    source = "def fail(held):\n raise ValueError('x')\n"
    source += f"def run():\n try:\n  fail('key')\n except ValueError as error:\n  {linked}\n"
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - frames that have ended
    with pytest.raises(KeyError) as caught:
        names["run"]()
    first = caught.value.__context__
    assert first is not None
    frame = list(walk_tb(first.__traceback__))[-1][0]
    assert frame.f_locals == {"held": "key"}
    forget_answers(caught.value)
    assert frame.f_locals == {}


def test_a_handlers_mistake_is_not_the_parsers() -> None:
    """Even if botocore called the handler, and it is of the same class as the parser's errors."""

    class Client:
        def generate_data_key(self, **_: Any) -> None:
            hooks = HierarchicalEmitter()
            hooks.register("before-call", lambda **_: None.mistake)  # type: ignore[attr-defined]  # the mistake
            hooks.emit("before-call")

    with pytest.raises(AttributeError, match="mistake"):
        KmsKeyring("alias/a", client=Client()).on_encrypt(write_request())
