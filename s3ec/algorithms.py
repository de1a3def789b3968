"""Algorithm suites, wrapping algorithms and commitment policies, with their names on the wire.

Source: S3 Encryption Client specification, encryption.md, key-commitment.md and data-format/content-metadata.md.
"""

from __future__ import annotations

import enum

from s3ec.errors import ConfigurationError

__all__ = [
    "AES_KEY_LENGTHS",
    "BLOCK_LENGTH",
    "COMMITMENT_LENGTH",
    "CONTEXT_CONTENT_ALGORITHM",
    "DATA_KEY_LENGTH",
    "GCM_IV_LENGTH",
    "GCM_MAX_PLAINTEXT_LENGTH",
    "GCM_TAG_LENGTH",
    "MESSAGE_ID_LENGTH",
    "AlgorithmSuite",
    "CommitmentPolicy",
    "FormatVersion",
    "WrappingAlgorithm",
]

# Lengths, all in bytes.
AES_KEY_LENGTHS = (16, 24, 32)
BLOCK_LENGTH = 16  # of AES
DATA_KEY_LENGTH = 32  # of each key that is made; older content may have a shorter one
GCM_IV_LENGTH = 12
GCM_TAG_LENGTH = 16
GCM_MAX_PLAINTEXT_LENGTH = 2**36 - 32
"""Bytes that one GCM key and IV may encrypt (NIST SP 800-38D, section 5.2.1.1)."""
MESSAGE_ID_LENGTH = 28
COMMITMENT_LENGTH = 28

CONTEXT_CONTENT_ALGORITHM = "aws:x-amz-cek-alg"
"""Name in a KMS encryption context under which the wrapping ``kms+context`` binds the content algorithm."""


class FormatVersion(enum.Enum):
    """Layouts of the content metadata. They are not versions of any client."""

    V1 = "V1"
    V2 = "V2"
    V3 = "V3"


class AlgorithmSuite(enum.Enum):
    """How content is encrypted.

    Attributes:
        suite_id: two-byte identifier of the specification.
        iv_length: bytes of the IV (the message ID takes its place in the committing suite).
        tag_length: bytes of the authentication tag, 0 if there is none.
        key_lengths: lengths of data key that a reader accepts, in bytes.
        commits: True if the object commits to its data key.
        content_algorithm: the suite's text in the metadata, which wrappings bind; some writers of AES-CBC have others.
        is_legacy: True if content is not authenticated.
    """

    ALG_AES_256_CBC_IV16_NO_KDF = (0x0070, BLOCK_LENGTH, 0, AES_KEY_LENGTHS, False, "AES/CBC/PKCS5Padding")
    ALG_AES_256_GCM_IV12_TAG16_NO_KDF = (
        0x0072,
        GCM_IV_LENGTH,
        GCM_TAG_LENGTH,
        AES_KEY_LENGTHS,
        False,
        "AES/GCM/NoPadding",
    )
    ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY = (0x0073, GCM_IV_LENGTH, GCM_TAG_LENGTH, (DATA_KEY_LENGTH,), True, "115")

    def __init__(
        self,
        suite_id: int,
        iv_length: int,
        tag_length: int,
        key_lengths: tuple[int, ...],
        commits: bool,
        content_algorithm: str,
    ) -> None:
        """Unpack a row of the table."""
        self.suite_id = suite_id
        self.iv_length = iv_length
        self.tag_length = tag_length
        self.key_lengths = key_lengths
        self.commits = commits
        self.content_algorithm = content_algorithm

    @property
    def format(self) -> FormatVersion:
        """The layout in which s3ec writes content of this suite."""
        return FormatVersion.V3 if self.commits else FormatVersion.V2

    @property
    def is_legacy(self) -> bool:
        """True if content carries no authentication tag."""
        return self.tag_length == 0

    def ciphertext_length(self, plaintext_length: int) -> int:
        """Return the bytes stored for this many bytes of plaintext (PKCS#7 padding for CBC, the tag for GCM)."""
        if self.is_legacy:
            return (plaintext_length // BLOCK_LENGTH + 1) * BLOCK_LENGTH
        return plaintext_length + self.tag_length


class WrappingAlgorithm(enum.Enum):
    """How the data key is encrypted.

    Attributes:
        wire_name: value of ``x-amz-wrap-alg`` (V2), or None if the algorithm is only inferred.
        v3_code: value of ``x-amz-w`` (V3), or None if V3 does not know it.
        is_legacy: True if the wrapping does not bind the content algorithm.
        family: the kind of keyring that opens it: ``"kms"``, ``"aes"`` or ``"rsa"``.
    """

    KMS_CONTEXT = ("kms+context", "12", False, "kms")
    AES_GCM = ("AES/GCM", "02", False, "aes")
    RSA_OAEP_SHA1 = ("RSA-OAEP-SHA1", "22", False, "rsa")
    KMS = ("kms", None, True, "kms")
    AES_WRAP = ("AESWrap", None, True, "aes")
    RSA_OAEP_SHA256 = ("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", None, True, "rsa")
    AES_ECB = (None, None, True, "aes")
    RSA_PKCS1 = (None, None, True, "rsa")

    def __init__(self, wire_name: str | None, v3_code: str | None, is_legacy: bool, family: str) -> None:
        """Unpack a row of the table."""
        self.wire_name = wire_name
        self.v3_code = v3_code
        self.is_legacy = is_legacy
        self.family = family

    @property
    def label(self) -> str:
        """The name to show to people: the wire name, or what stands for it if the wire has none."""
        return self.wire_name or {"AES_ECB": "AES", "RSA_PKCS1": "RSA"}[self.name]


class CommitmentPolicy(enum.Enum):
    """Which content may be written and read with regard to key commitment.

    Attributes:
        requires_encrypt: True if only committing content is written.
        requires_decrypt: True if only committing content is read.
    """

    FORBID_ENCRYPT_ALLOW_DECRYPT = (False, False)
    REQUIRE_ENCRYPT_ALLOW_DECRYPT = (True, False)
    REQUIRE_ENCRYPT_REQUIRE_DECRYPT = (True, True)

    def __init__(self, requires_encrypt: bool, requires_decrypt: bool) -> None:
        """Unpack a row of the table."""
        self.requires_encrypt = requires_encrypt
        self.requires_decrypt = requires_decrypt

    @property
    def default_suite(self) -> AlgorithmSuite:
        """The one suite that the policy writes."""
        if self.requires_encrypt:
            return AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
        return AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF

    def suite_for(self, algorithm_suite: AlgorithmSuite | None) -> AlgorithmSuite:
        """Return the suite to write with: the one asked for if the policy allows it, else the policy's own.

        Raises:
            ConfigurationError: the policy does not write that suite; AES-CBC is never written.
        """
        suite = algorithm_suite or self.default_suite
        if suite.is_legacy:
            raise ConfigurationError(f"algorithm_suite={suite.name} is only for reading: it authenticates nothing")
        if suite is not self.default_suite:
            raise ConfigurationError(
                f"algorithm_suite={suite.name} does not go with commitment_policy={self.name}, which writes "
                f"{self.default_suite.name}; leave algorithm_suite out, or change the policy"
            )
        return suite
