"""Sessions of the wrong kind, what says that a client encrypts, and what help() and signatures tell."""

from __future__ import annotations

import contextlib
import inspect
import pydoc
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
import pytest

import s3ec
from s3ec import AesKeyring, EncryptionClient, KmsKeyring
from s3ec.client.encryption_client import plain_view, raw_view
from s3ec.errors import ConfigurationError, UnsupportedOperationError

KEY = bytes(range(32))
KEYRING = AesKeyring(KEY)
REGION = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}


class _Creating:
    """What an asynchronous session gives instead of a client."""

    async def __aenter__(self) -> Any:
        raise AssertionError("nobody enters it")

    async def __aexit__(self, *_: Any) -> None:
        """Nothing."""


class AsyncBotocoreSession(botocore.session.Session):
    """An asynchronous session as aiobotocore has it: the client is made by a coroutine behind a plain method."""

    def create_client(self, *_: Any, **__: Any) -> Any:
        return _Creating()

    async def _create_client(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nobody awaits it")


class AsyncSession(boto3.Session):
    """A boto3 session over it, as aioboto3 has it."""

    def __init__(self) -> None:
        super().__init__(botocore_session=AsyncBotocoreSession(), **REGION)


class Named(boto3.Session):
    """Of a package that is known to be asynchronous, whatever it looks like."""

    __module__ = "aioboto3.session"


class OtherClients(boto3.Session):
    """A session whose clients are of its own making."""

    def client(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        return boto3.client("s3", **REGION)


class NoClients(boto3.Session):
    """A session that answers anything."""

    def client(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        return object()


WRONG: dict[str, Callable[[], Any]] = {
    "an asynchronous session": AsyncSession,
    "one by its package": lambda: Named(**REGION),
    "a botocore session": botocore.session.get_session,
    "an asynchronous botocore session": AsyncBotocoreSession,
    "a client": lambda: boto3.client("s3", **REGION),
    "an encrypting client": lambda: EncryptionClient(keyring=KEYRING, **REGION),
    "a resource": lambda: boto3.resource("s3", **REGION),
    "a class": lambda: boto3.Session,
    "the module": lambda: boto3,
    "text": lambda: "default",
    "a dict": dict,
}


@pytest.mark.parametrize("kind", [*WRONG, "None"])
@pytest.mark.parametrize("door", ["EncryptionClient", "install", "uninstall"])
def test_sessions_of_the_wrong_kind(kind: str, door: str) -> None:
    """Each is refused by name, with the way out, and nothing is done to it."""
    if kind == "None" and door == "EncryptionClient":
        pytest.skip("the default session")
    thing = None if kind == "None" else WRONG[kind]()
    calls: dict[str, Callable[[], Any]] = {
        "EncryptionClient": lambda: EncryptionClient(keyring=KEYRING, session=thing),
        "install": lambda: s3ec.install(thing, keyring=KEYRING),
        "uninstall": lambda: s3ec.uninstall(thing),
    }
    with pytest.raises(ConfigurationError, match=r"boto3\.Session") as refusal:
        calls[door]()
    if "asynchronous" in kind or "package" in kind:
        assert "asynchronous" in str(refusal.value)
        assert "asyncio.to_thread" in str(refusal.value)
    with contextlib.suppress(AttributeError):
        thing.close()


@pytest.mark.parametrize("kind", [OtherClients, NoClients])
def test_a_session_that_makes_other_clients(kind: type) -> None:
    """What comes back encrypts, or nothing comes back."""
    with pytest.raises(ConfigurationError, match="does not encrypt"):
        EncryptionClient(keyring=KEYRING, session=kind(**REGION))


@pytest.mark.parametrize("where", ["creating-client-class", "creating-client-class.s3"])
@pytest.mark.parametrize("order", ["register_first", "register", "register_last"])
@pytest.mark.parametrize("deed", ["strips", "replaces"])
def test_handlers_that_undo_it(where: str, order: str, deed: str) -> None:
    """A handler that takes our class away, or puts a method in front of it, is noticed at every door."""

    def strip(base_classes: list[type], class_attributes: dict[str, Any], **_: Any) -> None:
        if deed == "strips":
            base_classes[:] = [base for base in base_classes if base is not EncryptionClient]
        else:
            class_attributes["_make_api_call"] = boto3.session.Session.client

    session = boto3.Session(**REGION)
    getattr(session.events, order)(where, strip)
    with contextlib.ExitStack() as stack:
        try:
            client = EncryptionClient(keyring=KEYRING, session=session)
        except ConfigurationError as error:
            assert "creating-client-class" in str(error)  # noqa: PT017 - either is right, neither is plaintext
        else:
            stack.enter_context(contextlib.closing(client))
            assert type(client)._make_api_call is EncryptionClient._make_api_call
    encrypting = s3ec.Session(keyring=KEYRING, **REGION)
    encrypting.events.register_last("creating-client-class", strip)
    for make in (encrypting.client, encrypting.resource):
        with pytest.raises(ConfigurationError):
            make("s3")


def test_is_encrypting() -> None:
    """The one-line check: of clients, views, resources and sessions, installed and not."""
    session = boto3.Session(**REGION)
    with contextlib.ExitStack() as stack:

        def opened(client: Any) -> Any:
            stack.callback(getattr(client, "meta", client).client.close if hasattr(client, "Bucket") else client.close)
            return client

        class Own(EncryptionClient):
            """A subclass."""

        client = opened(EncryptionClient(keyring=KEYRING, session=session))
        own = opened(Own(keyring=KEYRING, session=session))
        assert [s3ec.is_encrypting(found) for found in (client, own)] == [True, True]
        views = (raw_view(client), plain_view(client), opened(session.client("s3")))
        assert not any(s3ec.is_encrypting(found) for found in views)
        assert not s3ec.is_encrypting(session)
        assert not s3ec.is_encrypting(opened(session.resource("s3")))
        s3ec.install(session, keyring=KEYRING)
        for found in (session, session._session):
            assert s3ec.is_encrypting(found)
        resource = opened(session.resource("s3"))
        for found in (resource, resource.Bucket("b"), resource.Object("b", "k"), opened(session.client("s3"))):
            assert s3ec.is_encrypting(found)
        s3ec.uninstall(session)
        assert not s3ec.is_encrypting(session)
        assert s3ec.is_encrypting(resource)
        assert s3ec.is_encrypting(s3ec.Session(keyring=KEYRING))
        assert not s3ec.is_encrypting(AsyncSession())
        neither: list[Any] = [
            None,
            "s3",
            boto3,
            boto3.Session,
            EncryptionClient,
            KEYRING,
            client.get_paginator("list_objects_v2"),
            client.get_waiter("object_exists"),
            resource.Bucket("b").objects,
        ]
        for thing in neither:
            with pytest.raises(ConfigurationError, match="takes a client, a resource or a session"):
                s3ec.is_encrypting(thing)


@pytest.mark.slow
def test_the_default_session() -> None:
    """What is installed on boto3's default session lasts until somebody sets up another one."""
    script = """
import boto3, s3ec
boto3.setup_default_session(region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
s3ec.install(boto3.DEFAULT_SESSION, keyring=s3ec.AesKeyring(bytes(32)))
assert s3ec.is_encrypting(boto3.client("s3")) and s3ec.is_encrypting(boto3.resource("s3"))
assert not s3ec.is_encrypting(boto3.Session(region_name="us-east-1").client("s3"))
boto3.setup_default_session(region_name="us-east-1")
assert not s3ec.is_encrypting(boto3.DEFAULT_SESSION) and not s3ec.is_encrypting(boto3.client("s3"))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_repr() -> None:
    """It says that the client encrypts, with what, and where; never a secret."""
    with contextlib.closing(
        EncryptionClient(
            keyring=KmsKeyring("alias/payroll"), **{**REGION, "endpoint_url": "https://user:hidden@s3.test:9000/"}
        )
    ) as client:
        text = repr(client)
        for part in ("EncryptionClient", "encrypts", "KmsKeyring", "alias/payroll", "REQUIRE_ENCRYPT", "us-east-1"):
            assert part in text
        assert "https://s3.test:9000" in text
        assert "hidden" not in text
    session = s3ec.Session(keyring=KEYRING, region_name="eu-west-1")
    assert "encrypt with AesKeyring" in repr(session)
    assert KEY.hex() not in repr(session)
    s3ec.uninstall(session)
    assert "not encrypting any more" in repr(session)

    class Own:
        """A keyring that shows what it should not."""

        capabilities = KEYRING.capabilities
        on_encrypt = KEYRING.on_encrypt
        on_decrypt = KEYRING.on_decrypt

        def __repr__(self) -> str:
            return f"Own({KEY!r})"

    assert repr(KEY) not in repr(s3ec.Session(keyring=Own()))


def test_signatures_show_the_options() -> None:
    """All of them, by keyword and with their defaults, and then boto3's arguments."""
    for kind, theirs in ((EncryptionClient, "endpoint_url"), (s3ec.Session, "profile_name")):
        parameters = inspect.signature(kind).parameters
        assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
        options = inspect.signature(s3ec.Options).parameters
        assert list(parameters)[: len(options)] == list(options)
        assert all(parameters[name].default == option.default for name, option in options.items())
        assert theirs in parameters
        for name in options:
            assert f"{name}: " in (kind.__doc__ or "")


def test_help_of_methods() -> None:
    """It names the parameters that only this client has, beside AWS's own text."""
    with contextlib.closing(EncryptionClient(keyring=KEYRING, **REGION)) as client:
        for name in ("put_object", "create_multipart_upload", "get_object", "head_object"):
            text = pydoc.plain(pydoc.render_doc(getattr(client, name)))
            assert "EncryptionContext" in text
            assert "Request Syntax" in text
            assert ("InstructionFileSuffix" in text) == name.startswith(("get", "head"))
    plain = boto3.client("s3", **REGION)
    assert "s3ec" not in pydoc.render_doc(plain.put_object)
    plain.close()


def test_version() -> None:
    """The package says which one it is."""
    assert s3ec.__version__.split(".")[:2] == ["0", "1"]


MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a misspelt option": (
        lambda: EncryptionClient(keyring=KEYRING, comitment_policy=1),
        TypeError,
        "unexpected option 'comitment_policy': did you mean commitment_policy",
    ),
    "one of boto3": (lambda: EncryptionClient(keyring=KEYRING, region="x"), TypeError, "did you mean region_name"),
    "of a session": (lambda: s3ec.Session(keyring=KEYRING, bufer_size=1), TypeError, "did you mean buffer_size"),
    "of install": (
        lambda: s3ec.install(boto3.Session(), keyring=KEYRING, bind_objects=True),
        TypeError,
        "did you mean bind_object",
    ),
    "unlike all": (lambda: EncryptionClient(keyring=KEYRING, xyzzy=1), TypeError, "help"),
    "by position": (lambda: EncryptionClient(KEYRING), ConfigurationError, r"keywords only.*keyring="),
    "text": (lambda: EncryptionClient(keyring="alias/one"), ConfigurationError, r"KmsKeyring\('alias/one'\)"),
    "bytes": (lambda: EncryptionClient(keyring=KEY), ConfigurationError, r"AesKeyring\("),
    "a class": (lambda: EncryptionClient(keyring=KmsKeyring), ConfigurationError, r"KmsKeyring\(…\)"),
    "none": (lambda: EncryptionClient(), ConfigurationError, "neither is given"),
    "kms_client": (lambda: KmsKeyring("alias/one", kms_client=1), TypeError, "given as client="),
    "a policy": (
        lambda: EncryptionClient(keyring=KEYRING, commitment_policy="REQUIRE_ENCRYPT_ALLOW_DECRYPT"),
        ConfigurationError,
        "s3ec.CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT",
    ),
    "hexadecimal text": (lambda: AesKeyring(KEY.hex()), ConfigurationError, r"bytes\.fromhex"),
    "hexadecimal bytes": (lambda: AesKeyring(KEY.hex().encode()), ConfigurationError, r"bytes\.fromhex"),
    "16 bytes in hexadecimal": (lambda: AesKeyring(KEY[:16].hex().encode()), ConfigurationError, r"half as many bits"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str) -> None:
    """Each is told apart, and told how it is done."""
    call, kind, text = MISTAKES[mistake]
    with pytest.raises(kind, match=text) as refusal:
        call()
    assert KEY.hex() not in str(refusal.value)


@pytest.mark.parametrize("method", ["PUT", "put", "Put", "POST", "DELETE", "HEAD", 5, " PUT"])
@pytest.mark.parametrize("operation", ["get_object", "head_object", "delete_object", "list_parts", "list_objects_v2"])
def test_presigned_under_another_method(operation: str, method: Any) -> None:
    """A presigned PUT is an upload, whatever it is called."""
    params = {"Bucket": "b", "Key": "k", "UploadId": "u"}
    wanted = {"list_parts": params, "list_objects_v2": {"Bucket": "b"}}.get(operation, {"Bucket": "b", "Key": "k"})
    own = {"get_object": "GET", "head_object": "HEAD", "delete_object": "DELETE"}.get(operation, "GET")
    if method == own:
        pytest.skip("its own")
    session = s3ec.Session(keyring=KEYRING, **REGION)
    resource = session.resource("s3")
    with contextlib.closing(resource.meta.client) as client:
        with pytest.raises(UnsupportedOperationError, match="presigned_uploads"):
            client.generate_presigned_url(operation, wanted, HttpMethod=method)
        with pytest.raises(UnsupportedOperationError):
            resource.Bucket("b").meta.client.generate_presigned_url(operation, wanted, HttpMethod=method)
        assert client.generate_presigned_url(operation, wanted, HttpMethod=own.lower()).startswith("https://")
    allowing = EncryptionClient(keyring=KEYRING, presigned_uploads="allow", **REGION)
    with contextlib.closing(allowing):
        assert allowing.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}, HttpMethod="PUT")
