"""The specification's client.md: requirements and their evidence."""

from __future__ import annotations

from conformance.evidence import (
    CLIENT,
    DEFAULTS,
    DELETES,
    EVERY_SETTING,
    EVERY_VECTOR,
    FILE_SWITCHES,
    MULTIPART,
    NO_WRAPPED_CLIENT,
    POLICY_SUITES,
    PUT_AND_GET,
    RELEASE,
    REWRAP,
    REWRAP_FILE,
    SUITES,
)
from conformance.model import Section, must, must_not, should

SECTIONS: tuple[Section, ...] = (
    Section(
        "client.md",
        "aws-sdk-compatibility",
        "AWS SDK Compatibility",
        (
            must("the SDK's own interface", f"{CLIENT}::TestInterface::test_every_method_has_boto3s_signature"),
            should("unrelated operations work", f"{CLIENT}::TestInterface::test_operations_without_content_pass"),
            must("configuration options of its own", f"{CLIENT}::TestInterface::test_options_are_its_own"),
        ),
    ),
    Section(
        "client.md",
        "cryptographic-materials",
        "Cryptographic Materials",
        (
            must("one CMM or one keyring", f"{CLIENT}::TestConfiguration::test_takes_a_keyring_or_a_materials_manager"),
            must("both are an error", f"{CLIENT}::TestConfiguration::test_refuses_both_and_none"),
            must(
                "a keyring gets the default CMM",
                f"{CLIENT}::TestConfiguration::test_a_keyring_gets_the_default_materials_manager",
            ),
        ),
    ),
    Section(
        "client.md",
        "enable-legacy-wrapping-algorithms",
        "Enable Legacy Wrapping Algorithms",
        (
            must("the option exists", EVERY_SETTING),
            must("off by default", DEFAULTS),
            must("enabled: every wrapping algorithm decrypts", EVERY_VECTOR),
            must("disabled: legacy wrapping is an error", EVERY_SETTING),
        ),
    ),
    Section(
        "client.md",
        "enable-legacy-unauthenticated-modes",
        "Enable Legacy Unauthenticated Modes",
        (
            must("the option exists", EVERY_SETTING),
            must("off by default", DEFAULTS),
            must("enabled: every content algorithm decrypts", EVERY_VECTOR),
            must("disabled: legacy content is an error", EVERY_SETTING),
        ),
    ),
    Section(
        "client.md",
        "enable-delayed-authentication",
        "Enable Delayed Authentication",
        (
            must("the option exists", RELEASE),
            must("off by default", DEFAULTS),
            must_not("disabled: release of unauthenticated plaintext", RELEASE),
        ),
    ),
    Section(
        "client.md",
        "set-buffer-size",
        "Set Buffer Size",
        (
            should("configurable", f"{CLIENT}::TestConfiguration::test_buffer_size_is_the_callers"),
            must(
                "an error together with delayed authentication",
                why_not="`buffer_size` also bounds the parts of a multipart upload that wait for an earlier one, so "
                "that it means something beside delayed authentication too",
            ),
            must("a reasonable default", DEFAULTS),
        ),
    ),
    Section(
        "client.md",
        "wrapped-s3-clients",
        "Wrapped S3 Client(s)",
        (
            must("takes an SDK client", why_not=NO_WRAPPED_CLIENT),
            must_not("takes another S3EC as that client", why_not=NO_WRAPPED_CLIENT),
        ),
    ),
    Section(
        "client.md",
        "instruction-file-configuration",
        "Instruction File Configuration",
        (must("accepted at construction", FILE_SWITCHES), should("optional, with a default", DEFAULTS)),
    ),
    Section(
        "client.md",
        "inherited-sdk-configuration",
        "Inherited SDK Configuration",
        (
            must("reaches every S3 request", f"{CLIENT}::TestInterface::test_sdk_configuration_reaches_every_request"),
            must(
                "reaches the KMS client too",
                why_not="a keyring exists before the client and may serve several; it takes a KMS client, or the same "
                "arguments as `boto3.client`, of its own",
            ),
        ),
    ),
    Section(
        "client.md",
        "encryption-algorithm",
        "Encryption Algorithm",
        (
            must("configurable", SUITES),
            must("validated not to be legacy", SUITES),
            must("a legacy one is an error", SUITES),
        ),
    ),
    Section(
        "client.md",
        "key-commitment",
        "Key Commitment",
        (
            must("the policy is configurable", POLICY_SUITES),
            must("the algorithm is checked against it", SUITES),
            must("an incompatible one is an error", SUITES),
        ),
    ),
    Section(
        "client.md",
        "required-api-operations",
        "Required API Operations",
        (
            must("GetObject is there", PUT_AND_GET),
            must("GetObject decrypts", PUT_AND_GET),
            must("PutObject is there", PUT_AND_GET),
            must("PutObject encrypts before upload", PUT_AND_GET),
            must("DeleteObject is there", DELETES),
            must("DeleteObject deletes the key", DELETES),
            must("DeleteObject deletes the default instruction file", DELETES),
            must("DeleteObjects is there", DELETES),
            must("DeleteObjects deletes each object", DELETES),
            must("DeleteObjects deletes each default instruction file", DELETES),
        ),
    ),
    Section(
        "client.md",
        "optional-api-operations",
        "Optional API Operations",
        (
            must("CreateMultipartUpload starts an upload", MULTIPART),
            must("UploadPart encrypts each part", MULTIPART),
            must("parts are encrypted in sequence", MULTIPART),
            must("one cipher for all parts", MULTIPART),
            must("CompleteMultipartUpload completes it", MULTIPART),
            must("AbortMultipartUpload aborts it", MULTIPART),
            must("ReEncryptInstructionFile opens the data key with the client's CMM", REWRAP),
            must("ReEncryptInstructionFile wraps it with a given keyring", REWRAP, REWRAP_FILE),
        ),
    ),
)
