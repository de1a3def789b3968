"""Keyrings for AWS KMS: the only place below the client that calls an AWS service.

Source: S3 Encryption Client specification, materials/s3-kms-keyring.md; AWS KMS API, GenerateDataKey and Decrypt.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3ec import forks
from s3ec.algorithms import CONTEXT_CONTENT_ALGORITHM, DATA_KEY_LENGTH, WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError
from s3ec.keyrings.arn import KeyArn, parse_arn
from s3ec.keyrings.checks import check_request
from s3ec.keyrings.kms_answers import check_key, forget_answers, is_of_parser, translate, with_bytes
from s3ec.keyrings.kms_calls import Calls, PlainCalls
from s3ec.keyrings.kms_config import shared_config
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
)
from s3ec.secrets import Secret

__all__ = ["KmsBase", "KmsKeyring"]

K = TypeVar("K", bound="KmsBase")
T = TypeVar("T")

_CLIENT_ARGUMENTS = frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}
_IDENTITY = frozenset({"session", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"})


class KmsBase:
    """What both keyrings share: the client, the calls, and the translation of what KMS answers."""

    __slots__ = (
        "__weakref__",
        "_alike",
        "_arguments",
        "_calls",
        "_capabilities",
        "_client_lock",
        "_given_client",
        "_grant_tokens",
        "_has_defaults",
    )

    calls_of: ClassVar[Callable[[Any], Calls]] = staticmethod(PlainCalls)
    """How a client's calls are made. The package puts `shortcuts.KmsRequests` here, which makes the same ones."""

    def __init__(
        self,
        client: Any,
        grant_tokens: Iterable[str],
        client_arguments: dict[str, Any],
        *,
        encrypts: bool,
        enable_legacy_wrapping_algorithms: bool,
    ) -> None:
        unknown = client_arguments.keys() - _CLIENT_ARGUMENTS - {"session"}
        if unknown:
            hint = ": the KMS client is given as client=" if "kms_client" in unknown else ""
            raise TypeError(
                f"{type(self).__name__} got unexpected keyword arguments: {', '.join(sorted(unknown))}{hint}"
            )
        if client is not None and client_arguments:
            raise ConfigurationError(
                f"give either client or the arguments to make one ({', '.join(sorted(client_arguments))}), not both"
            )
        tokens = grant_tokens if isinstance(grant_tokens, str) else tuple(grant_tokens)
        if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
            raise ConfigurationError("grant_tokens takes a sequence of str")
        self._given_client = client
        self._alike: dict[str | None, Any] = {}
        self._has_defaults = False
        self._calls: Calls | None = None if client is None else type(self).calls_of(client)
        self._client_lock: threading.Lock
        forks.make_in_each_process(self, _client_lock=threading.Lock)
        self._arguments = {name: value for name, value in client_arguments.items() if value is not None}
        self._grant_tokens = tokens
        self._capabilities = KeyringCapabilities(
            wrapping_algorithms=frozenset(a for a in WrappingAlgorithm if a.family == "kms"),
            encrypts=encrypts,
            binds_encryption_context=True,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Capabilities: opens the KMS wrappings and binds the encryption context."""
        return self._capabilities

    def with_client_defaults(self: K, **defaults: Any) -> K:
        """Return this keyring, or one like it that makes its client the way an S3 client is made.

        A keyring that was not told whose credentials to use (no client, session or credentials) takes them, and
        the region if it has none, from here. One without a client or session of its own takes how to get there as well:
        ``verify``, and of ``config`` what is not about S3. What it was told stays.

        Args:
            **defaults: ``session``, ``region_name``, ``config``, ``verify`` and credentials as in
                ``boto3.Session.client``; others and None are left out.
        """
        missing = self._missing(defaults)
        if not missing:
            return self
        # Clients of one session that are configured alike share one keyring, and with it one KMS client.
        how = repr((missing.get("config"), missing.get("verify")))
        alike = how if missing.keys() <= {"config", "verify"} else None
        made: K | None = self._alike.get(alike)
        if made is None:
            if "config" in missing:
                missing["config"] = Config(**missing["config"])
            made = type(self)(**self._settings(), **{**missing, **self._arguments})
            made._has_defaults = True
            if alike is not None:
                self._alike[alike] = made
        return made

    def with_client_made_by(self: K, make: Callable[[Mapping[str, Any]], Any], **defaults: Any) -> K:
        """Return a keyring like this one, whose client is made in another way than by boto3.

        Args:
            make: gives a client, of the arguments of ``boto3.Session.client``; ``config`` may be a dict of the
                arguments for one.
            **defaults: as for `with_client_defaults`, but for the session.

        Returns:
            This keyring itself, if it has a client or a session of its own.
        """
        missing = self._missing(defaults)
        if missing is None:
            return self
        return type(self)(**self._settings(), client=make({**missing, **self._arguments}))

    def _missing(self, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
        """What is taken of the defaults, with ``config`` as a dict; None where there is a client or a session."""
        own_session = "session" in self._arguments and not self._has_defaults
        if self._given_client is not None or own_session:
            return None
        names = {"verify"} if self._arguments.keys() & _IDENTITY else {"verify", "region_name", *_IDENTITY}
        taken = {name: defaults[name] for name in names if defaults.get(name) is not None}
        if shared := shared_config(defaults.get("config")):
            taken["config"] = shared
        return {name: value for name, value in taken.items() if name not in self._arguments}

    def __reduce_ex__(self, protocol: object) -> Any:
        """Pickle the settings, so that another process makes its own client; refuse where those hold secrets."""
        if self._given_client is not None or self._arguments.keys() & _IDENTITY:
            raise TypeError(
                f"a {type(self).__name__} with a client, a session or credentials of its own cannot be pickled or "
                "copied; let it find credentials by itself in each process"
            )
        return functools.partial(type(self), **self._settings(), **self._arguments), ()

    def _settings(self) -> dict[str, Any]:
        return {
            "grant_tokens": self._grant_tokens,
            "enable_legacy_wrapping_algorithms": self._capabilities.enable_legacy_wrapping_algorithms,
        }

    def _kms(self) -> Calls:
        # One client for all threads: boto3's clients are thread-safe, making one is not.
        with self._client_lock:
            if self._calls is None:
                arguments = dict(self._arguments)
                session = arguments.pop("session", None) or boto3.Session()
                try:
                    self._calls = type(self).calls_of(session.client("kms", **arguments))
                except ValueError as error:
                    raise ConfigurationError(f"the keyring's arguments make no KMS client: {error}") from error
            return self._calls

    def _call(self, method: str, **parameters: Any) -> Secret[Mapping[str, Any]]:
        named = self._with_tokens(parameters)
        return self._asked(method, named, lambda: Secret(with_bytes(self._kms().call(method, named))))

    def _begin(
        self, method: str, several: Sequence[Mapping[str, Any]]
    ) -> list[Callable[[], Secret[Mapping[str, Any]]]] | None:
        """Send several requests before the first answer is read; None where calls are made one at a time."""
        begun = self._asked(method, several[0], lambda: self._kms().begin(method, several))

        def reading(read: Callable[[], Any], parameters: Mapping[str, Any]) -> Callable[[], Secret[Mapping[str, Any]]]:
            return lambda: self._asked(method, parameters, lambda: Secret(with_bytes(read())))

        return None if begun is None else list(map(reading, begun, several))

    def _with_tokens(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, "GrantTokens": list(self._grant_tokens)} if self._grant_tokens else parameters

    def _asked(self, method: str, parameters: Mapping[str, Any], ask: Callable[[], T]) -> T:
        """Return what is returned, and translate what is raised."""
        try:
            return ask()
        except BaseException as error:
            forget_answers(error)
            if isinstance(error, ClientError):
                raise translate(error, str(parameters.get("KeyId") or "")) from error
            if isinstance(error, BotoCoreError):
                raise KeyringError(f"AWS KMS could not be asked: {error}") from error
            if is_of_parser(error):
                raise KeyringError(f"AWS KMS answered {method} with something that cannot be read") from error
            raise

    def decrypt_data_key(
        self, request: DecryptionMaterialsRequest, **key: str
    ) -> tuple[Secret[DecryptionMaterials], str]:
        """Ask KMS to open a data key with the stored context, exactly as stored; return which key it was as well."""
        answer = self._call(
            "decrypt",
            CiphertextBlob=request.encrypted_data_key.ciphertext,
            EncryptionContext=dict(request.description),
            **key,
        )
        if _data_key_length(answer) not in request.algorithm_suite.key_lengths:
            raise KeyringError("AWS KMS answered Decrypt without a data key of a length that the content allows")
        if "KeyId" in key:
            check_key(answer.reveal(), "Decrypt", key["KeyId"])
        materials = Secret(DecryptionMaterials(plaintext_data_key=answer.reveal()["Plaintext"]))
        return materials, str(answer.reveal().get("KeyId"))


class KmsKeyring(KmsBase):
    """Data keys made and opened by an AWS KMS key.

    The encryption context is bound: KMS opens a data key only with the context it was made with, which names the
    content algorithm too. `Decrypt` always names the configured key, so that no object can bring a key of its own.

    A keyring that was given no client makes one at its first call, once. It can be pickled, and makes another one in
    the other process.

    Args:
        key_id: key ID, key ARN, alias name (``alias/…``) or alias ARN. An ARN also gives the region, unless
            `region_name` does.
        client: a boto3 KMS client.
        grant_tokens: tokens to send with every call.
        enable_legacy_wrapping_algorithms: also open data keys wrapped by ``kms``, which binds no content algorithm.
        **client_arguments: ``session`` (a `boto3.Session`) and the arguments of ``boto3.Session.client``
            (``region_name``, ``config``, …) for the client that the keyring makes.

    Raises:
        ConfigurationError: the key ID or the grant tokens are invalid, or a client and arguments for one are given.
        TypeError: an argument that ``boto3.Session.client`` does not take.
    """

    __slots__ = ("_key_id",)

    def __init__(
        self,
        key_id: str,
        *,
        client: Any = None,
        grant_tokens: Iterable[str] = (),
        enable_legacy_wrapping_algorithms: bool = False,
        **client_arguments: Any,
    ) -> None:
        arn = _key_arn(key_id)
        if client is None and arn is not None and client_arguments.get("region_name") is None:
            client_arguments["region_name"] = arn.region
        self._key_id = key_id
        super().__init__(
            client,
            grant_tokens,
            client_arguments,
            encrypts=True,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    def __repr__(self) -> str:
        return f"KmsKeyring({getattr(self, '_key_id', None)!r})"

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Let KMS make a data key (GenerateDataKey).

        Raises:
            KeyringError: KMS refuses, cannot be reached, names another key or answers without a usable one.
        """
        parameters = self._for_data_key(request)
        return self._materials(request, parameters, self._call("generate_data_key", **parameters))

    def begin_encrypting(
        self, requests: Sequence[EncryptionMaterialsRequest]
    ) -> list[Callable[[], EncryptionMaterials]] | None:
        """Ask KMS for several data keys before the first answer is read, as `PrefetchingMaterialsManager` does.

        Args:
            requests: one for each data key, at least one. The very same object again is the same request again.

        Returns:
            For each what reads the answer, once: it returns or raises what `on_encrypt` would. None where nothing was
            asked, because the KMS client makes one call at a time.

        Raises:
            KeyringError: KMS cannot be asked.
        """
        made = {id(request): self._with_tokens(self._for_data_key(request)) for request in requests}
        several = [made[id(request)] for request in requests]
        begun = self._begin("generate_data_key", several)

        def making(
            request: EncryptionMaterialsRequest, parameters: Mapping[str, Any], read: Callable[[], Secret[Any]]
        ) -> Callable[[], EncryptionMaterials]:
            return lambda: self._materials(request, parameters, read())

        return None if begun is None else list(map(making, requests, several, begun))

    def _for_data_key(self, request: EncryptionMaterialsRequest) -> dict[str, Any]:
        # The caller's order is kept: PHP's client compares contexts in the order in which they are stored.
        context = {**request.encryption_context, CONTEXT_CONTENT_ALGORITHM: request.content_algorithm}
        return {"KeyId": self._key_id, "KeySpec": "AES_256", "EncryptionContext": context}

    def _materials(
        self, request: EncryptionMaterialsRequest, parameters: Mapping[str, Any], answer: Secret[Mapping[str, Any]]
    ) -> EncryptionMaterials:
        ciphertext = answer.reveal().get("CiphertextBlob")
        if _data_key_length(answer) != DATA_KEY_LENGTH:
            raise KeyringError(f"AWS KMS answered GenerateDataKey without a data key of {DATA_KEY_LENGTH} bytes")
        if not isinstance(ciphertext, bytes) or not ciphertext:
            raise KeyringError("AWS KMS answered GenerateDataKey without an encrypted data key")
        check_key(answer.reveal(), "GenerateDataKey", self._key_id)
        return EncryptionMaterials(
            algorithm_suite=request.algorithm_suite,
            plaintext_data_key=answer.reveal()["Plaintext"],
            encrypted_data_key=EncryptedDataKey(ciphertext, WrappingAlgorithm.KMS_CONTEXT),
            description=dict(parameters["EncryptionContext"]),
        )

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Let KMS open the data key (Decrypt) with the configured key and the stored context, exactly as stored.

        Raises:
            KeyUnwrapError: it was made by another key or with another context, or was altered.
            KeyringError: KMS refuses, cannot be reached, names another key or answers without a usable one.
        """
        check_request(request, self._capabilities)
        materials, _ = self.decrypt_data_key(request, KeyId=self._key_id)
        return materials.reveal()

    def _settings(self) -> dict[str, Any]:
        return {"key_id": self._key_id, **super()._settings()}


def _data_key_length(answer: Secret[Mapping[str, Any]]) -> int | None:
    """Return the length of the data key in an answer of KMS; None if there is none."""
    found = answer.reveal().get("Plaintext")
    return len(found) if isinstance(found, bytes) else None


def _key_arn(key_id: object) -> KeyArn | None:
    if not isinstance(key_id, str) or not key_id:
        raise ConfigurationError("key_id must be a KMS key ID, key ARN, alias name or alias ARN")
    arn = parse_arn(key_id)
    if key_id.startswith("arn:") and arn is None:
        raise ConfigurationError(f"{key_id} is not the ARN of a KMS key or alias")
    return arn
