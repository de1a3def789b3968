from __future__ import annotations

import contextlib
import copy
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3ec import EncryptionClient
from s3ec.algorithms import AlgorithmSuite, WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError, LegacyAlgorithmError
from s3ec.keyrings import KmsDiscoveryKeyring, KmsKeyring
from s3ec.materials import EncryptedDataKey, Keyring

from support.keyrings import CBC, COMMITTING, GCM, read_back, read_request, write_request

ARN = "arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BLOB = b"an encrypted data key"
DATA_KEY = bytes(range(32))


@pytest.fixture
def stub(kms: Any) -> Iterator[Stubber]:
    """A real client whose answers are written down: botocore checks requests and answers against the API's model."""
    with Stubber(kms) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which a client made without arguments finds the test's KMS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


contexts = st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=4)


@pytest.mark.parametrize("suite", [COMMITTING, GCM])
@given(context=contexts)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_it_writes_it_reads(suite: AlgorithmSuite, context: dict[str, str], kms: Any, kms_key: str) -> None:
    """The data key comes back with the stored context, and with no other; the caller's order of pairs is kept."""
    keyring = KmsKeyring(kms_key, client=kms)
    given_context = dict(context)
    written = keyring.on_encrypt(write_request(suite, encryption_context=context))
    assert context == given_context
    assert written.algorithm_suite is suite
    assert written.encrypted_data_key.wrapping_algorithm is WrappingAlgorithm.KMS_CONTEXT
    assert len(written.plaintext_data_key) == 32
    content_algorithm = "115" if suite is COMMITTING else "AES/GCM/NoPadding"
    assert list(written.description.items()) == [*context.items(), ("aws:x-amz-cek-alg", content_algorithm)]
    assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key
    for other in ({**written.description, "more": "1"}, context):
        with pytest.raises(KeyUnwrapError):
            keyring.on_decrypt(read_back(written, description=other))


def test_the_requests_are_those_of_the_other_clients(stub: Stubber, kms: Any) -> None:
    """The key is always named as configured, and the context is what is stored, with the content algorithm's pair."""
    keyring = KmsKeyring("alias/payroll", client=kms)
    stub.add_response(
        "generate_data_key",
        {"Plaintext": DATA_KEY, "CiphertextBlob": BLOB, "KeyId": ARN},
        {
            "KeyId": "alias/payroll",
            "KeySpec": "AES_256",
            "EncryptionContext": {"z": "1", "a": "2", "aws:x-amz-cek-alg": "115"},
        },
    )
    written = keyring.on_encrypt(write_request(encryption_context={"z": "1", "a": "2"}))
    assert written.encrypted_data_key == EncryptedDataKey(BLOB, WrappingAlgorithm.KMS_CONTEXT)
    stored = {"kms_cmk_id": "somebody's", "z": "1", "aws:x-amz-cek-alg": "115"}
    stub.add_response(
        "decrypt",
        {"Plaintext": DATA_KEY, "KeyId": ARN},
        {"KeyId": "alias/payroll", "CiphertextBlob": BLOB, "EncryptionContext": stored},
    )
    assert keyring.on_decrypt(read_back(written, description=stored)).plaintext_data_key == DATA_KEY


def test_grant_tokens_go_with_every_call(stub: Stubber, kms: Any) -> None:
    """Grant tokens are sent to make and to open data keys."""
    keyring = KmsKeyring("alias/payroll", client=kms, grant_tokens=iter(["one", "two"]))
    stub.add_response(
        "generate_data_key",
        {"Plaintext": DATA_KEY, "CiphertextBlob": BLOB},
        {
            "KeyId": "alias/payroll",
            "KeySpec": "AES_256",
            "EncryptionContext": {"aws:x-amz-cek-alg": "115"},
            "GrantTokens": ["one", "two"],
        },
    )
    written = keyring.on_encrypt(write_request())
    stub.add_response(
        "decrypt",
        {"Plaintext": DATA_KEY},
        {
            "KeyId": "alias/payroll",
            "CiphertextBlob": BLOB,
            "EncryptionContext": {"aws:x-amz-cek-alg": "115"},
            "GrantTokens": ["one", "two"],
        },
    )
    keyring.on_decrypt(read_back(written))


@pytest.mark.parametrize("length", [16, 24, 32])
def test_the_legacy_wrapping(stub: Stubber, kms: Any, length: int) -> None:
    """`kms` is opened with the opt-in only, by the configured key and the whole stored map; any length of key goes."""
    stored = {"kms_cmk_id": "alias/of-old", "team": "hr"}
    request = read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS), CBC, stored)
    with pytest.raises(LegacyAlgorithmError, match="enable_legacy_wrapping_algorithms"):
        KmsKeyring("alias/payroll", client=kms).on_decrypt(request)
    stub.add_response(
        "decrypt",
        {"Plaintext": DATA_KEY[:length], "KeyId": ARN},
        {"KeyId": "alias/payroll", "CiphertextBlob": BLOB, "EncryptionContext": stored},
    )
    keyring = KmsKeyring("alias/payroll", client=kms, enable_legacy_wrapping_algorithms=True)
    assert keyring.on_decrypt(request).plaintext_data_key == DATA_KEY[:length]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"CiphertextBlob": BLOB},
        {"Plaintext": DATA_KEY},
        {"Plaintext": b"", "CiphertextBlob": BLOB},
        {"Plaintext": DATA_KEY[:16], "CiphertextBlob": BLOB},
        {"Plaintext": DATA_KEY + b"x", "CiphertextBlob": BLOB},
        {"Plaintext": DATA_KEY, "CiphertextBlob": b""},
    ],
)
def test_a_malformed_new_data_key_is_refused(stub: Stubber, kms: Any, answer: dict[str, bytes]) -> None:
    """An answer without a whole key, or without its encrypted form, is never written with."""
    stub.add_response("generate_data_key", answer)
    with pytest.raises(KeyringError, match="GenerateDataKey without") as caught:
        KmsKeyring(ARN, client=kms).on_encrypt(write_request())
    assert not isinstance(caught.value, KeyUnwrapError)


@pytest.mark.parametrize(
    ("suite", "answer"),
    [
        (COMMITTING, {}),
        (COMMITTING, {"Plaintext": b""}),
        (COMMITTING, {"Plaintext": DATA_KEY[:16]}),
        (COMMITTING, {"Plaintext": DATA_KEY + b"x"}),
        (GCM, {"Plaintext": DATA_KEY[:15]}),
        (CBC, {"Plaintext": DATA_KEY[:31]}),
    ],
)
def test_a_malformed_opened_data_key_is_refused(
    stub: Stubber, kms: Any, suite: AlgorithmSuite, answer: dict[str, bytes]
) -> None:
    """An answer without a key, or with one that the content cannot use, is refused in words."""
    stub.add_response("decrypt", answer)
    with pytest.raises(KeyringError, match="Decrypt without a data key"):
        KmsKeyring(ARN, client=kms).on_decrypt(
            read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS_CONTEXT), suite)
        )


def test_an_answer_of_another_key_is_refused(stub: Stubber, kms: Any) -> None:
    """What a key made or opened that is not the configured one is not used, and is not in the error."""
    named = {"KeyId": ARN.replace("1234abcd", "99999999")}
    keyring = KmsKeyring(ARN, client=kms)
    stub.add_response("generate_data_key", {"Plaintext": DATA_KEY, "CiphertextBlob": BLOB, **named})
    with pytest.raises(KeyringError, match=f"asked for {ARN} and answered GenerateDataKey with the key") as made:
        keyring.on_encrypt(write_request())
    stub.add_response("decrypt", {"Plaintext": DATA_KEY, **named})
    with pytest.raises(KeyringError, match=f"asked for {ARN} and answered Decrypt with the key") as opened:
        keyring.on_decrypt(read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS_CONTEXT)))
    # It is not that the data key does not open, after which another keyring may be tried.
    assert {type(made.value), type(opened.value)} == {KeyringError}


def test_each_way_to_name_a_key(kms: Any, kms_key: str) -> None:
    """A key ARN, a key ID, an alias and its ARN are all answered by the key's ARN, which is accepted."""
    alias = f"alias/{kms_key.rpartition('/')[2]}"
    kms.create_alias(AliasName=alias, TargetKeyId=kms_key)
    before, _, key_id = kms_key.rpartition("key/")
    for name in (kms_key, key_id, alias, before + alias):
        keyring = KmsKeyring(name, client=kms)
        written = keyring.on_encrypt(write_request())
        assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidCiphertextException", KeyUnwrapError),
        ("IncorrectKeyException", KeyUnwrapError),
        ("AccessDeniedException", KeyringError),
        ("ThrottlingException", KeyringError),
        ("DisabledException", KeyringError),
        ("NotFoundException", KeyringError),
    ],
)
def test_what_kms_refuses(stub: Stubber, kms: Any, code: str, kind: type[KeyringError]) -> None:
    """KMS's code and words are in the error, its `ClientError` is the cause, and only some codes speak of the key."""
    stub.add_client_error("decrypt", code, "the words of KMS")
    with pytest.raises(KeyringError, match=f"{code}: the words of KMS") as caught:
        KmsKeyring(ARN, client=kms).on_decrypt(read_request(EncryptedDataKey(BLOB, WrappingAlgorithm.KMS_CONTEXT)))
    assert type(caught.value) is kind
    assert f" under {ARN}" in str(caught.value)
    assert isinstance(caught.value.__cause__, ClientError)


def test_real_refusals(aws: dict[str, Any], kms: Any, kms_key: str) -> None:
    """Another key's data key does not open, a key that does not exist makes none, and a disabled one says so."""
    written = KmsKeyring(kms_key, client=kms).on_encrypt(write_request())
    other = kms.create_key()["KeyMetadata"]["Arn"]
    with pytest.raises(KeyringError):
        KmsKeyring(other, client=kms).on_decrypt(read_back(written))
    with pytest.raises(KeyringError, match="NotFoundException"):
        KmsKeyring("alias/nobody", client=kms).on_encrypt(write_request())
    damaged = EncryptedDataKey(written.encrypted_data_key.ciphertext[:-1], WrappingAlgorithm.KMS_CONTEXT)
    with pytest.raises(KeyUnwrapError):
        KmsKeyring(kms_key, client=kms).on_decrypt(read_request(damaged, description=written.description))


@pytest.mark.parametrize("content", [b'{"Plaintext": 5}', b'{"Plaintext": "A"}', b'{"CiphertextBlob": {}}', b"null"])
def test_an_answer_that_cannot_be_read(kms: Any, content: bytes) -> None:
    """Whatever botocore's parser runs into is a keyring error, with that as its cause; another error passes."""

    class Raw:
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield content

    kms.meta.events.register_first("before-send.kms", lambda **_: AWSResponse("http://kms", 200, {}, Raw()))
    with pytest.raises(KeyringError, match="answered generate_data_key with something that cannot be read") as caught:
        KmsKeyring(ARN, client=kms).on_encrypt(write_request())
    assert caught.value.__cause__ is not None
    kms.meta.events.register_first("before-parameter-build.kms", lambda **_: {}["a handler's own mistake"])
    with pytest.raises(KeyError, match="mistake"):
        KmsKeyring(ARN, client=kms).on_encrypt(write_request())


def test_errors_of_botocore_itself() -> None:
    """They are keyring errors, with botocore's error as their cause."""

    class Client:
        def generate_data_key(self, **_: Any) -> None:
            raise NoCredentialsError

    with pytest.raises(KeyringError, match="could not be asked") as caught:
        KmsKeyring(ARN, client=Client()).on_encrypt(write_request())
    assert isinstance(caught.value.__cause__, NoCredentialsError)


@pytest.mark.slow
def test_kms_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection, a region or credentials it is a keyring error, with botocore's error as its cause."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    config = Config(connect_timeout=1, retries={"total_max_attempts": 1})
    arguments: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "config": config}
    keyrings = [
        KmsKeyring(ARN, endpoint_url="http://127.0.0.1:1", **arguments),
        KmsKeyring("alias/a", **arguments),
        KmsKeyring(ARN, endpoint_url="http://127.0.0.1:1", config=config),
    ]
    for keyring in keyrings:
        with pytest.raises(KeyringError, match="could not be asked") as caught:
            keyring.on_encrypt(write_request())
        assert isinstance(caught.value.__cause__, BotoCoreError)


class TestOwnClient:
    """A keyring that makes its client itself."""

    def test_it_needs_no_arguments(self, environment: None, kms_key: str) -> None:
        """Region, credentials and endpoint are found as boto3 finds them."""
        keyring = KmsKeyring(kms_key)
        written = keyring.on_encrypt(write_request())
        assert keyring.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key

    @pytest.mark.slow
    def test_it_takes_boto3s_arguments(self, aws: dict[str, Any], kms_key: str) -> None:
        """The arguments of boto3's own `client` make it."""
        assert KmsKeyring(kms_key, **aws, config=Config(read_timeout=5)).on_encrypt(write_request())

    def test_it_takes_a_session(self, endpoint: str, kms_key: str) -> None:
        """A session gives credentials and region."""
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        assert KmsKeyring(kms_key, session=session, endpoint_url=endpoint).on_encrypt(write_request())

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("key_id", "arguments", "region"),
        [
            (ARN, {}, "eu-west-3"),
            ("arn:aws-cn:kms:cn-north-1:111122223333:alias/a", {}, "cn-north-1"),
            (ARN, {"region_name": "eu-west-1"}, "eu-west-1"),
            (ARN, {"region_name": None}, "eu-west-3"),
            ("alias/a", {"region_name": "eu-west-1"}, "eu-west-1"),
            ("alias/a", {}, "us-east-1"),
        ],
    )
    def test_its_region(
        self, environment: None, key_id: str, arguments: dict[str, Any], region: str, calls: list[Any]
    ) -> None:
        """The region is the one given, else that of the ARN, else boto3's default."""
        with contextlib.suppress(KeyringError):
            KmsKeyring(key_id, **arguments).on_encrypt(write_request())
        assert calls == [region]

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The region of each KMS client that is made."""
        made: list[Any] = []
        real = boto3.Session.client

        def client(self: boto3.Session, service: str, *args: Any, **keywords: Any) -> Any:
            made_client = real(self, service, *args, **keywords)
            made.append(made_client.meta.region_name)
            return made_client

        monkeypatch.setattr(boto3.Session, "client", client)
        return made

    def test_it_is_made_once_and_late(self, environment: None, kms_key: str, calls: list[Any]) -> None:
        """No client is made before the first call, and one by however many threads ask first at the same time."""
        keyring = KmsKeyring(kms_key)
        assert calls == []
        start = threading.Barrier(8)

        def write(_: int) -> bytes:
            start.wait()
            return keyring.on_encrypt(write_request()).plaintext_data_key

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(write, range(8)))) == 8
        assert len(calls) == 1

    @pytest.mark.parametrize(
        "make",
        [
            lambda **keywords: KmsKeyring(ARN, **keywords),
            lambda **keywords: KmsDiscoveryKeyring(accounts=["111122223333"], regions={"eu-west-3"}, **keywords),
        ],
    )
    def test_it_is_made_anew_in_another_process(self, make: Callable[..., Keyring]) -> None:
        """A keyring without secrets is pickled and copied with its settings, and without its client."""
        keyring = make(grant_tokens=["t"], enable_legacy_wrapping_algorithms=True, use_ssl=False)
        for again in (pickle.loads(pickle.dumps(keyring)), copy.copy(keyring), copy.deepcopy(keyring)):  # noqa: S301 - our own
            assert type(again) is type(keyring)
            assert repr(again) == repr(keyring)
            assert again.capabilities == keyring.capabilities
            assert again.capabilities.enable_legacy_wrapping_algorithms
            assert again._settings() == keyring._settings()
            assert again._arguments == keyring._arguments

    @pytest.mark.slow
    def test_a_copy_works(self, environment: None, kms_key: str) -> None:
        """A keyring that has made its client already goes to other processes all the same."""
        keyring = KmsKeyring(kms_key)
        written = keyring.on_encrypt(write_request())
        again = pickle.loads(pickle.dumps(keyring))  # noqa: S301 - our own
        assert again.on_decrypt(read_back(written)).plaintext_data_key == written.plaintext_data_key

    def test_secrets_stay(self, kms: Any) -> None:
        """A client, a session or credentials of its own are in no repr, no pickle and no copy."""
        for arguments in (
            {"client": kms},
            {"session": boto3.Session("AKIDEXAMPLE", "verysecret")},
            {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "verysecret"},
            {"aws_session_token": "verysecret"},
        ):
            keyring = KmsKeyring(ARN, **arguments)
            assert repr(keyring) == f"KmsKeyring({ARN!r})"
            for take in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled or copied") as caught:
                    take(keyring)
                assert "secret" not in str(caught.value)


class TestDefaults:
    """What a keyring takes over from the S3 client that it serves."""

    DEFAULTS = {"region_name": "eu-west-1", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}

    def test_a_bare_keyring_takes_them(self, endpoint: str, kms_key: str) -> None:
        """Credentials and region of the S3 client serve a keyring that has none; its settings stay as they are."""
        bare = KmsKeyring("alias/a", grant_tokens=["t"], enable_legacy_wrapping_algorithms=True, endpoint_url=endpoint)
        keyring = bare.with_client_defaults(**self.DEFAULTS, session=None, verify=False, endpoint_url="http://s3")
        assert keyring is not bare
        assert keyring._arguments == {**self.DEFAULTS, "verify": False, "endpoint_url": endpoint}
        assert keyring._settings() == bare._settings()
        assert bare._arguments == {"endpoint_url": endpoint}
        assert (
            KmsKeyring(kms_key, endpoint_url=endpoint).with_client_defaults(**self.DEFAULTS).on_encrypt(write_request())
        )
        assert isinstance(KmsDiscoveryKeyring().with_client_defaults(**self.DEFAULTS), KmsDiscoveryKeyring)

    def test_what_a_keyring_has_stays(self, kms: Any) -> None:
        """A region, an ARN's region, and whole identities of its own are not replaced nor mixed with others."""
        assert KmsKeyring(ARN).with_client_defaults(**self.DEFAULTS)._arguments["region_name"] == "eu-west-3"
        for arguments in ({"client": kms}, {"session": boto3.Session()}, {"aws_access_key_id": "mine"}):
            keyring = KmsKeyring("alias/a", **arguments)
            assert keyring.with_client_defaults(**self.DEFAULTS) is keyring
        keyring = KmsKeyring("alias/a", aws_access_key_id="mine", verify=False)
        assert keyring.with_client_defaults(**self.DEFAULTS, verify=True) is keyring

    def test_two_identities_share_no_keyring(self) -> None:
        """However alike they are otherwise: one's KMS client must not make the calls of the other."""
        bare = KmsKeyring("alias/a")
        for changed in ({"aws_access_key_id": "other"}, {"region_name": "eu-west-2"}, {"session": boto3.Session()}):
            keyrings = [bare.with_client_defaults(**defaults) for defaults in (self.DEFAULTS, self.DEFAULTS | changed)]
            assert keyrings[0] is not keyrings[1]
            assert keyrings[1]._arguments == self.DEFAULTS | changed

    def test_the_region_of_an_arn(self) -> None:
        """Is taken where no other is given, a replica's for instance."""
        assert KmsKeyring(ARN)._arguments == {"region_name": "eu-west-3"}
        assert KmsKeyring(ARN, region_name="eu-west-1")._arguments == {"region_name": "eu-west-1"}

    def test_none_is_nothing_of_ones_own(self) -> None:
        """An argument that is None is not given."""
        keyring = KmsKeyring("alias/a", region_name=None, aws_access_key_id=None)
        assert keyring.with_client_defaults(**self.DEFAULTS)._arguments == self.DEFAULTS
        assert copy.copy(keyring)._arguments == {}

    def test_a_client_that_is_made_in_another_way(self, kms: Any) -> None:
        """It is made of the same arguments; a keyring that has a client, or a session, keeps it."""
        asked: list[Mapping[str, Any]] = []

        def make(arguments: Mapping[str, Any]) -> Any:
            asked.append(arguments)
            return kms

        bare = KmsKeyring("alias/a", grant_tokens=["t"], endpoint_url="http://kms")
        keyring = bare.with_client_made_by(make, **self.DEFAULTS, session=None)
        assert asked == [{**self.DEFAULTS, "endpoint_url": "http://kms"}]
        assert (keyring._given_client, keyring._settings()) == (kms, bare._settings())
        for arguments in ({"client": kms}, {"session": boto3.Session()}):
            own = KmsKeyring("alias/a", **arguments)
            assert own.with_client_made_by(make, **self.DEFAULTS) is own
        assert len(asked) == 1


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        None,
        17,
        b"alias/a",
        "arn:aws:s3:::bucket",
        "arn:aws:s3:eu-west-1:111122223333:accesspoint/a",
        "arn:aws:kms:eu-west-1:1:",
        "arn:",
    ],
)
def test_what_is_no_key_id_is_refused(key_id: Any) -> None:
    """A key ID that cannot be one is found at construction."""
    with pytest.raises(ConfigurationError):
        KmsKeyring(key_id)


def test_arguments_that_make_no_client() -> None:
    """What botocore finds wrong with the arguments when it makes the client is a mistake of configuration."""
    with pytest.raises(ConfigurationError, match="no KMS client"):
        KmsKeyring("alias/a", region_name="eu west").on_encrypt(write_request())


@pytest.mark.parametrize("tokens", ["one", [1], [None]])
def test_what_are_no_grant_tokens_is_refused(tokens: Any) -> None:
    """A single text in place of a list would be sent letter by letter."""
    with pytest.raises(ConfigurationError, match="grant_tokens"):
        KmsKeyring(ARN, grant_tokens=tokens)


def test_arguments_are_checked_at_construction(kms: Any) -> None:
    """A misspelt argument is a `TypeError`, and a client with arguments for another one a mistake."""
    with pytest.raises(TypeError, match=r"KmsKeyring got unexpected keyword arguments: reigon_name, service_name$"):
        KmsKeyring(ARN, reigon_name="eu-west-1", service_name="s3")
    with pytest.raises(TypeError, match=r"arguments: kms_client: the KMS client is given as client=$"):
        KmsKeyring(ARN, kms_client=kms)
    with pytest.raises(ConfigurationError, match="region_name"):
        KmsKeyring(ARN, client=kms, region_name="eu-west-1")


def test_another_kind_of_wrapping_is_refused(stub: Stubber, kms: Any) -> None:
    """A data key of another family is refused without a call."""
    for algorithm in WrappingAlgorithm:
        if algorithm.family != "kms":
            keyring = KmsKeyring(ARN, client=kms, enable_legacy_wrapping_algorithms=True)
            with pytest.raises(KeyringError, match=algorithm.family):
                keyring.on_decrypt(read_request(EncryptedDataKey(b"x", algorithm)))


def test_it_is_a_keyring() -> None:
    """It has the members of the protocol and says what it can do."""
    keyring = KmsKeyring(ARN)
    assert isinstance(keyring, Keyring)
    assert keyring.capabilities.encrypts
    assert keyring.capabilities.binds_encryption_context
    assert keyring.capabilities.wrapping_algorithms == {WrappingAlgorithm.KMS, WrappingAlgorithm.KMS_CONTEXT}


def test_a_session_that_leaves_blobs_in_base64(aws: dict[str, Any], kms_key: str, bucket: str) -> None:
    """The AWS CLI's session parses no blobs, to print them; a keyring that reaches KMS through it works."""
    session = boto3.Session()
    session._session.get_component("response_parser_factory").set_parser_defaults(blob_parser=lambda text: text)
    client: Any = EncryptionClient(keyring=KmsKeyring(kms_key, session=session, **aws), session=session, **aws)
    client.put_object(Bucket=bucket, Key="k", Body=b"hello", EncryptionContext={"team": "hr"})
    answer = client.get_object(Bucket=bucket, Key="k", EncryptionContext={"team": "hr"})
    assert answer["Body"].read() == b"hello"
    client.close()
