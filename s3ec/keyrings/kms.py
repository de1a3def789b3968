"""Keyrings for AWS KMS: the only place below the client that calls an AWS service.

Source: S3 Encryption Client specification, materials/s3-kms-keyring.md; AWS KMS API reference, GenerateDataKey, Decrypt.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from s3ec.algorithms import WrappingAlgorithm
from s3ec.errors import ConfigurationError, KeyringError, KeyUnwrapError
from s3ec.keyrings.checks import check_request
from s3ec.materials import (
    DecryptionMaterials,
    DecryptionMaterialsRequest,
    EncryptedDataKey,
    EncryptionMaterials,
    EncryptionMaterialsRequest,
    KeyringCapabilities,
)

__all__ = ["KmsDiscoveryKeyring", "KmsKeyring"]

_DATA_KEY_LENGTH = 32
_CONTENT_ALGORITHM_KEY = "aws:x-amz-cek-alg"
_CLIENT_ARGUMENTS = frozenset(inspect.signature(boto3.Session.client).parameters) - {"self", "service_name"}
_CREDENTIALS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})


class _KeyArn(NamedTuple):
    region: str
    account: str


def _parse_arn(text: str) -> _KeyArn | None:
    """Region and account of ``arn:partition:kms:region:account:key/…`` or ``…:alias/…``; None for anything else."""
    parts = text.split(":", 5)
    if len(parts) == 6 and parts[0] == "arn" and parts[2] == "kms" and all(parts):
        return _KeyArn(parts[3], parts[4])
    return None


class _KmsBase:
    """What both keyrings share: the client, the calls, and the translation of what KMS answers."""

    __slots__ = ("_arguments", "_capabilities", "_client", "_client_lock", "_given_client", "_grant_tokens")

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
            raise TypeError(f"{type(self).__name__} got unexpected keyword arguments: {', '.join(sorted(unknown))}")
        if client is not None and client_arguments:
            raise ConfigurationError(
                f"give either client or the arguments to make one ({', '.join(sorted(client_arguments))}), not both"
            )
        tokens = grant_tokens if isinstance(grant_tokens, str) else tuple(grant_tokens)
        if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
            raise ConfigurationError("grant_tokens takes a sequence of str")
        self._given_client = client
        self._client = client
        self._client_lock = threading.Lock()
        self._arguments = client_arguments
        self._grant_tokens = tokens
        self._capabilities = KeyringCapabilities(
            wrapping_algorithms=frozenset(a for a in WrappingAlgorithm if a.family == "kms"),
            encrypts=encrypts,
            binds_encryption_context=True,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    @property
    def capabilities(self) -> KeyringCapabilities:
        """Opens the KMS wrappings and binds the encryption context."""
        return self._capabilities

    def __reduce_ex__(self, protocol: object) -> Any:
        """Pickle the settings, so that another process makes its own client; refuse where those hold secrets."""
        if self._given_client is not None or self._arguments.keys() & {"session", *_CREDENTIALS}:
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

    def _kms(self) -> Any:
        # One client for all threads: boto3's clients are thread-safe, the making of one is not.
        with self._client_lock:
            if self._client is None:
                arguments = dict(self._arguments)
                session = arguments.pop("session", None) or boto3.Session()
                self._client = session.client("kms", **arguments)
            return self._client

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        if self._grant_tokens:
            parameters["GrantTokens"] = list(self._grant_tokens)
        try:
            answer: Mapping[str, Any] = getattr(self._kms(), operation)(**parameters)
        except ClientError as error:
            raise _translate(error) from error
        except BotoCoreError as error:
            raise KeyringError(f"AWS KMS could not be asked: {error}") from error
        return answer

    def _decrypt(
        self, request: DecryptionMaterialsRequest, **key: str
    ) -> tuple[DecryptionMaterials, Mapping[str, Any]]:
        answer = self._call(
            "decrypt",
            CiphertextBlob=request.encrypted_data_key.ciphertext,
            EncryptionContext=dict(request.description),
            **key,
        )
        plaintext_data_key = answer.get("Plaintext")
        if (
            not isinstance(plaintext_data_key, bytes)
            or len(plaintext_data_key) not in request.algorithm_suite.key_lengths
        ):
            raise KeyringError("AWS KMS answered Decrypt without a data key of a length that the content allows")
        return DecryptionMaterials(plaintext_data_key=plaintext_data_key), answer


class KmsKeyring(_KmsBase):
    """Data keys made and opened by an AWS KMS key.

    The encryption context is bound: KMS opens a data key only with the context it was made with, which names the
    content algorithm too. `Decrypt` always names the configured key, so that no object can bring a key of its own.

    A keyring that was given no client makes one at its first call, once. It can be pickled, and makes another one in
    the other process.

    Args:
        key_id: key ID, key ARN, alias name (``alias/…``) or alias ARN. An ARN also gives the region, unless
            `region_name` does.
        client: a boto3 KMS client.
        grant_tokens: sent with every call.
        enable_legacy_wrapping_algorithms: also open data keys wrapped by ``kms``, which binds no content algorithm.
        **client_arguments: ``session`` (a `boto3.Session`) and the arguments of ``boto3.Session.client``
            (``region_name``, ``config``, …) for the client that the keyring makes.

    Raises:
        ConfigurationError: the key ID or the grant tokens cannot be meant, or a client and arguments for one are given.
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
        return f"KmsKeyring({self._key_id!r})"

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Let KMS make a data key (GenerateDataKey).

        Raises:
            KeyringError: KMS refuses, cannot be reached or answers without a usable key.
        """
        # The caller's order is kept: PHP's client compares contexts in the order in which they are stored.
        context = {**request.encryption_context, _CONTENT_ALGORITHM_KEY: request.content_algorithm}
        answer = self._call("generate_data_key", KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=context)
        plaintext_data_key, ciphertext = answer.get("Plaintext"), answer.get("CiphertextBlob")
        if not isinstance(plaintext_data_key, bytes) or len(plaintext_data_key) != _DATA_KEY_LENGTH:
            raise KeyringError(f"AWS KMS answered GenerateDataKey without a data key of {_DATA_KEY_LENGTH} bytes")
        if not isinstance(ciphertext, bytes) or not ciphertext:
            raise KeyringError("AWS KMS answered GenerateDataKey without an encrypted data key")
        return EncryptionMaterials(
            algorithm_suite=request.algorithm_suite,
            plaintext_data_key=plaintext_data_key,
            encrypted_data_key=EncryptedDataKey(ciphertext, WrappingAlgorithm.KMS_CONTEXT),
            description=context,
        )

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Let KMS open the data key (Decrypt) with the configured key and the stored context, exactly as stored.

        Raises:
            KeyUnwrapError: it was made by another key or with another context, or was altered.
            KeyringError: KMS refuses, cannot be reached or answers without a usable key.
        """
        check_request(request, self._capabilities)
        materials, _ = self._decrypt(request, KeyId=self._key_id)
        return materials

    def _settings(self) -> dict[str, Any]:
        return {"key_id": self._key_id, **super()._settings()}


class KmsDiscoveryKeyring(_KmsBase):
    """Opens data keys made by any AWS KMS key that the credentials may use. Never writes.

    Which key that is, KMS reads from the encrypted data key; nothing shows it beforehand. Whoever can write to the
    bucket may thus choose the key, so say whose keys are trusted: with `accounts` or `regions`, the key that KMS names
    in its answer must be among them, or the data key is thrown away. An object that names a foreign key in its own
    context (``kms_cmk_id``, old clients) is refused before KMS is asked.

    Args:
        client: a boto3 KMS client.
        accounts: twelve-digit account IDs whose keys are accepted, or None for all.
        regions: regions whose keys are accepted, or None for all.
        grant_tokens: sent with every call.
        enable_legacy_wrapping_algorithms: also open data keys wrapped by ``kms``, which binds no content algorithm.
        **client_arguments: as for `KmsKeyring`.

    Raises:
        ConfigurationError: an empty list, which would accept no key, or what `KmsKeyring` raises it for.
        TypeError: an argument that ``boto3.Session.client`` does not take.
    """

    __slots__ = ("_accounts", "_regions")

    def __init__(
        self,
        *,
        client: Any = None,
        accounts: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        grant_tokens: Iterable[str] = (),
        enable_legacy_wrapping_algorithms: bool = False,
        **client_arguments: Any,
    ) -> None:
        self._accounts = _names("accounts", accounts)
        self._regions = _names("regions", regions)
        super().__init__(
            client,
            grant_tokens,
            client_arguments,
            encrypts=False,
            enable_legacy_wrapping_algorithms=enable_legacy_wrapping_algorithms,
        )

    def __repr__(self) -> str:
        accounts, regions = (sorted(names) if names else None for names in (self._accounts, self._regions))
        return f"KmsDiscoveryKeyring(accounts={accounts}, regions={regions})"

    def on_encrypt(self, request: EncryptionMaterialsRequest) -> EncryptionMaterials:
        """Never writes: raises `KeyringError`."""
        raise KeyringError("KmsDiscoveryKeyring only decrypts; to write, use KmsKeyring with the key to write under")

    def on_decrypt(self, request: DecryptionMaterialsRequest) -> DecryptionMaterials:
        """Let KMS open the data key (Decrypt) with whichever key made it, if that one is accepted.

        Raises:
            KeyUnwrapError: it was made with another context, or was altered.
            KeyringError: the key is not accepted, or KMS refuses, cannot be reached or answers without a usable key.
        """
        check_request(request, self._capabilities)
        stored_key = request.description.get("kms_cmk_id", "")
        if stored_key.startswith("arn:"):
            self._accept(stored_key)
        materials, answer = self._decrypt(request)
        self._accept(str(answer.get("KeyId")))
        return materials

    def _accept(self, key: str) -> None:
        if self._accounts is None and self._regions is None:
            return
        arn = _parse_arn(key)
        if (
            arn is None
            or (self._accounts is not None and arn.account not in self._accounts)
            or (self._regions is not None and arn.region not in self._regions)
        ):
            raise KeyringError(
                f"the data key was made by {key}, which is not in the accounts and regions accepted here"
            )

    def _settings(self) -> dict[str, Any]:
        return {"accounts": self._accounts, "regions": self._regions, **super()._settings()}


def _key_arn(key_id: object) -> _KeyArn | None:
    if not isinstance(key_id, str) or not key_id:
        raise ConfigurationError("key_id must be a KMS key ID, key ARN, alias name or alias ARN")
    arn = _parse_arn(key_id)
    if key_id.startswith("arn:") and arn is None:
        raise ConfigurationError(f"{key_id} is not the ARN of a KMS key or alias")
    return arn


def _names(parameter: str, names: Collection[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{parameter} takes a non-empty collection of str, or None for all")
    return frozenset(names)


def _translate(error: ClientError) -> KeyringError:
    details = error.response.get("Error", {})
    code = details.get("Code", "")
    said = f"{error.operation_name}: {code}: {details.get('Message', '')}"
    if code in {"InvalidCiphertextException", "IncorrectKeyException"}:
        return KeyUnwrapError(
            "AWS KMS does not open the encrypted data key: it was made by another key or with another encryption "
            f"context, or it was altered ({said})"
        )
    return KeyringError(f"AWS KMS refused ({said})")
