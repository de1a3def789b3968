"""The library's messages in the words of the command line: options in place of Python's names, and the next step.

The library speaks to programs: it names arguments and classes. A user of commands can set neither, so that each of
those names becomes the option that stands for it, here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from s3ec import errors
from s3ec.s3.answers import code_of

__all__ = ["CREDENTIAL_CODES", "THROTTLING_CODES", "in_options", "next_step", "region_of", "service_text"]

CREDENTIAL_CODES = frozenset(
    {
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId",
        "InvalidClientTokenId", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "NotSignedUp", "OptInRequired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException",
    }
)  # fmt: skip
"""What S3 and KMS answer to credentials that are wrong or have expired."""

THROTTLING_CODES = frozenset(
    {
        "LimitExceededException", "RequestLimitExceeded", "ServiceUnavailable", "SlowDown", "Throttling",
        "ThrottledException", "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_DENIED = frozenset({"403", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden"})
_ELSEWHERE = frozenset(
    {
        "301",
        "PermanentRedirect",
        "TemporaryRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_CREDENTIALS = (
    NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError, SSOError,
)  # fmt: skip

_SIGN_IN = "set AWS_PROFILE, or give --profile NAME (aws configure, aws sso login)"
_PERMISSIONS = {"HeadObject": "s3:GetObject", "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket"}
_PERMISSIONS |= {"ListObjects": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions"}
_PERMISSIONS |= {"GetBucketEncryption": "s3:GetEncryptionConfiguration"}
_PERMISSIONS |= {"PutBucketEncryption": "s3:PutEncryptionConfiguration", "ListBuckets": "s3:ListAllMyBuckets"}
_WRITE = "s3:PutObject"
_PERMISSIONS |= {"CreateMultipartUpload": _WRITE, "UploadPart": _WRITE, "CopyObject": _WRITE}

_FRAME = re.compile(r"An error occurred \(([^)]*)\) when calling the (\w+) operation(?: \([^)]*\))?: ?")

_OPTIONS: tuple[tuple[str, str], ...] = (
    (r'unencrypted_objects="allow"', "--allow-unencrypted"),
    (r"the EncryptionContext is not the one that the object was written with", "--context is not what the object has"),
    (r"or s3ec\.STORED_CONTEXT to take them as they are", "or leave --context out to take them as they are"),
    (r"an EncryptionContext was given, but this keyring binds none; use its material_description, or KMS",
     "--context goes with a KMS key; raw keys bind no encryption context"),
    (r"an EncryptionContext was given, but this keyring binds none; leave it out",
     "--context goes with a KMS key; leave it out with a raw one"),
    (r"raw keys bind no encryption context; give the keyring a material_description",
     "--context, --to-context and --bind-object go with a KMS key; raw keys bind no encryption context"),
    (r"enable_legacy_unauthenticated_modes=True(?: and enable_legacy_wrapping_algorithms=True on the keyring)?",
     "--allow-legacy"),
    (r"give the keyring enable_legacy_wrapping_algorithms=True", "give --allow-legacy"),
    (r"enable_legacy_wrapping_algorithms=True on the keyring", "--allow-legacy"),
    (r"object of your own, set --allow-legacy", "object of your own, give --allow-legacy"),
    (r"an RsaKeyring needs a private_key to read, or a public_key to write, or both",
     "give --rsa-private-key FILE to read, --rsa-public-key FILE to write, or both"),
    (r"this RsaKeyring has only a public key and writes only; to read, give it private_key",
     "a public key only writes; to read, give --rsa-private-key FILE"),
    (r"public_key does not belong to private_key; old keys go in additional_decryption_keys",
     "--rsa-public-key does not belong to --rsa-private-key"),
    (r"must be an RSA (?:private|public) key as PEM or as a key object, not (\w+)",
     r"holds another kind of key (\1), not an RSA one"),
    (r"the PEM private key is encrypted; load it with its password and give the key object",
     "the RSA private key is encrypted: give --rsa-passphrase-file FILE, or set S3EC_RSA_PASSPHRASE"),
    (r"\bprivate_key\b", "--rsa-private-key"),
    (r"\bpublic_key\b", "--rsa-public-key"),
    (r"key_id must be a KMS key ID", "--kms-key must be a KMS key ID"),
    (r"keep_last_modified", "--keep-last-modified"),
    (r"sample lies above", "--sample lies above"),
    (r"Raise that limit, read through s3ec\.open \(which has none\), or accept unverified bytes with "
     r"enable_unauthenticated_ranges=True", "Leave --range out and cut the output (head -c, tail -c)"),
    (r"authenticating the whole object first is limited to verified_range_limit=(\S+) bytes",
     r"authenticating the whole object first is limited to \1 bytes"),
    (r"; enable_unauthenticated_ranges=True accepts unverified bytes", "; leave --range out"),
    (r"enable_unauthenticated_ranges=True", "no --range"),
    (r"\. Name InstructionFileSuffix explicitly to read this version with the newest instruction file", ""),
    (r"VersionId names one version", "--version-id names one version"),
    (r"Shorten Metadata or EncryptionContext, or keep content metadata in an instruction file "
     r"\(instruction_file_writes=True\)", "Shorten the metadata or --context"),
    (r"accept_moved \(--accept-moved\)", "--accept-moved"),
    (r"with bind_object=True", "with --bind-object"),
    (r"bind_object=True", "--bind-object"),
    (r"\bEncryptionContext must\b", "--context must"),
    (r"\bEncryptionContext\b", "--context"),
    (r"s3ec\.STORED_CONTEXT", "no --context"),
    (r"allow an instruction file, or shorten", "give --instruction-file when-needed, or shorten"),
    (r"allow s3:GetObjectTagging, or leave tags behind explicitly", "allow s3:GetObjectTagging, or give --ignore-tags"),
    (r"allow s3:GetObjectAcl, or leave ACLs behind explicitly", "allow s3:GetObjectAcl, or give --ignore-acl"),
    (r"ACLs are off there: leave them behind explicitly", "ACLs are off there: give --ignore-acl"),
    (r"allow legacy algorithms to read it", "give --allow-legacy to read it"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _OPTIONS)


def in_options(text: str) -> str:
    """Return the library's message with options in place of its arguments, and without botocore's frame."""
    while found := _FRAME.search(text):
        name, operation = found.groups()
        head, tail = text[: found.start()], text[found.end() :].strip()
        text = f"{head}{service_text(name, tail, operation)}"
    for pattern, words in _COMPILED:
        text = pattern.sub(words, text)
    return text


def service_text(code: str, message: str, operation: str) -> str:
    """Return what S3 or KMS said, always in the order of code, sentence and operation."""
    said = ": ".join(part for part in (code, message) if part)
    return f"{said} ({operation})"


def region_of(error: ClientError) -> str | None:
    """Return the Region in which the bucket lies, if S3 names it."""
    answer = error.response.get("Error", {})
    headers: Mapping[str, str] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    found = headers.get("x-amz-bucket-region") or answer.get("Region")
    return str(found) if found else None


def next_step(error: BaseException) -> str:
    """Return what to do about an error, if one sentence helps; empty for the others, whose text says it."""
    if isinstance(error, ClientError):
        return _about_service(error)
    if isinstance(error, errors.KeyringError):
        return _about_key(error)
    table: Iterable[tuple[type | tuple[type, ...], str]] = (
        (_CREDENTIALS, _SIGN_IN),
        (NoRegionError, "give --region NAME, or set AWS_REGION"),
        (ProfileNotFound, "`aws configure list-profiles` shows those that there are"),
        ((ConnectionError, HTTPClientError), "check --endpoint-url, AWS_ENDPOINT_URL and the network"),
    )
    return next((words for kind, words in table if isinstance(error, kind)), "")


def _about_service(error: ClientError) -> str:
    code = code_of(error.response)
    if code in _ELSEWHERE:
        region = region_of(error)
        return f"the bucket lies in {region}: --region {region}" if region else "give the bucket's own --region"
    if code in _EXPIRED:
        return "sign in again (aws sso login), then run the same command"
    if code in CREDENTIAL_CODES:
        return "`aws sts get-caller-identity` shows whose credentials these are; --profile NAME names others"
    if code in _DENIED:
        operation = str(error.operation_name)
        permission = _PERMISSIONS.get(operation, f"s3:{operation}")
        mode = "; --sse names a server-side mode that the bucket's policy may require" if permission == _WRITE else ""
        return f"allow {permission} to this identity{mode}"
    return "wait, and give fewer --workers" if code in THROTTLING_CODES else ""


def _about_key(error: errors.KeyringError) -> str:
    """Next step for a data key that KMS did not make or open."""
    cause = error.__cause__
    if isinstance(cause, BotoCoreError):
        return next_step(cause)
    if not isinstance(cause, ClientError):
        return ""
    code = code_of(cause.response)
    if code in CREDENTIAL_CODES or code in THROTTLING_CODES:
        return _about_service(cause)
    if code == "NotFoundException":
        return "`aws kms list-aliases` shows the keys of this Region; --region NAME names another"
    if code in {"DisabledException", "KMSInvalidStateException"}:
        return "`aws kms describe-key` shows its state; enable it, or name another key"
    if cause.operation_name == "Decrypt":
        return "is it the key the object was written with? `s3ec inspect` shows the context, CloudTrail the key"
    return f"allow kms:{cause.operation_name} on that key" if code in _DENIED else ""
