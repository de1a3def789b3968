"""The specification's materials/: requirements and their evidence."""

from __future__ import annotations

from conformance.evidence import (
    CLIENT,
    CONTEXT_OTHER,
    CONTEXT_RIGHT,
    EVERY_SETTING,
    EVERY_VECTOR,
    GENERATED,
    KMS,
    KMS_ANSWERS,
    KMS_REFUSALS,
    KMS_REQUESTS,
    KMS_ROUND,
    KMS_V1,
    USER_AGENT,
    VECTORS,
)
from conformance.model import Section, must, must_not, should

SECTIONS: tuple[Section, ...] = (
    Section(
        "materials/keyrings.md",
        "interface",
        "Interface",
        (
            should("names after the language's conventions", f"{KMS}::test_it_is_a_keyring"),
            must("OnEncrypt is there", f"{KMS}::test_it_is_a_keyring"),
            must("OnEncrypt takes encryption materials", "keyrings/test_aes.py::test_what_it_writes_it_reads"),
            must("OnEncrypt returns encryption materials", "keyrings/test_aes.py::test_what_it_writes_it_reads"),
            must("OnDecrypt is there", f"{KMS}::test_it_is_a_keyring"),
            must(
                "OnDecrypt takes decryption materials and encrypted data keys",
                "keyrings/test_aes.py::test_what_it_writes_it_reads",
            ),
            must("OnDecrypt returns decryption materials", "keyrings/test_aes.py::test_what_it_writes_it_reads"),
        ),
    ),
    Section(
        "materials/s3-keyring.md",
        "overview",
        "Overview",
        (
            should(
                "one S3 Keyring for what keyrings have in common",
                why_not="what they share is functions (`s3ec/keyrings/checks.py`, `raw.py`), not a base class",
            ),
            must("it implements the keyring interface", why_not="there is no such base class"),
            must_not("be instantiated by itself", why_not="there is no such base class"),
        ),
    ),
    Section(
        "materials/s3-keyring.md",
        "abstract-methods",
        "Abstract Methods",
        (
            must("GenerateDataKey", why_not="there is no such base class"),
            must("EncryptDataKey", why_not="there is no such base class"),
            must("DecryptDataKey", why_not="there is no such base class"),
        ),
    ),
    Section(
        "materials/s3-keyring.md",
        "onencrypt",
        "OnEncrypt",
        (
            must("no data key yet: one is generated", "keyrings/test_aes.py::test_every_object_has_its_own_data_key"),
            must("generated together with its encrypted form: returned", KMS_ROUND),
            must("generated without it: encrypted", "keyrings/test_aes.py::test_what_it_writes_it_reads"),
        ),
    ),
    Section(
        "materials/s3-keyring.md",
        "ondecrypt",
        "OnDecrypt",
        (
            must(
                "a plaintext data key in the input is an error",
                why_not="by construction: `DecryptionMaterialsRequest` has no field for one",
            ),
            must(
                "other than one encrypted data key is an error",
                why_not="by construction: `DecryptionMaterialsRequest` has exactly one; metadata that states two is "
                "refused (`formats/test_detection.py::test_two_data_keys_are_a_forgery`)",
            ),
            must("the data key is decrypted and returned", EVERY_VECTOR),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "interface",
        "KMS keyring: Interface",
        (must("implements the keyring interface", f"{KMS}::test_it_is_a_keyring"),),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "initialization",
        "KMS keyring: Initialization",
        (
            must("no KMS client given: a default one", f"{CLIENT}::test_kms_client_may_be_left_out"),
            must("a key identifier is required", f"{KMS}::test_what_is_no_key_id_is_refused"),
            must("a missing or empty identifier is an error", f"{KMS}::test_what_is_no_key_id_is_refused"),
            must("an invalid identifier is an error", f"{KMS}::test_what_is_no_key_id_is_refused"),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "supported-wrapping-algorithm-modes",
        "KMS keyring: Supported Wrapping Algorithm Modes",
        (
            must_not("encrypts in KmsV1 mode", f"{CLIENT}::test_nobody_wraps_with_kms_v1"),
            must("decrypts in KmsV1 mode", KMS_V1, EVERY_VECTOR),
            must("KmsV1 needs the opt-in for legacy wrapping", KMS_V1, EVERY_SETTING),
            must("encrypts in Kms+Context mode", KMS_ROUND),
            must("decrypts in Kms+Context mode", KMS_ROUND),
            must("Kms+Context is not legacy", EVERY_VECTOR),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "encryptdatakey",
        "KMS keyring: EncryptDataKey",
        (
            must("is there", why_not=GENERATED),
            must("calls KMS Encrypt", why_not=GENERATED),
            must("KeyId is the configured one", KMS_REQUESTS),
            must("the plaintext is the data key", why_not=GENERATED),
            must("the context is the materials'", KMS_REQUESTS),
            should("a user agent of its own", why_not=USER_AGENT),
            must("KMS fails: OnEncrypt fails", KMS_REFUSALS),
            must("the ciphertext blob is returned as bytes", KMS_ROUND),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "decryptdatakey",
        "KMS keyring: DecryptDataKey",
        (
            must("decides between the two modes", KMS_V1, KMS_ROUND),
            must("kms: KmsV1", KMS_V1),
            must("kms+context: Kms+Context", KMS_ROUND),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "kmsv1",
        "KMS keyring: KmsV1",
        (
            must("calls KMS Decrypt with the configured client", KMS_V1),
            must("KeyId is the configured one", KMS_V1),
            must("the blob is the encrypted data key", KMS_V1, EVERY_VECTOR),
            must("the context is the stored one", KMS_V1, EVERY_VECTOR),
            should("a user agent of its own", why_not=USER_AGENT),
            must("the plaintext is returned as bytes", EVERY_VECTOR, KMS_ANSWERS),
            must("failure is an error", KMS_REFUSALS, f"{VECTORS}::test_a_data_key_that_kms_refuses_is_a_key_error"),
        ),
    ),
    Section(
        "materials/s3-kms-keyring.md",
        "kmscontext",
        "KMS keyring: Kms+Context",
        (
            must("calls KMS Decrypt with the configured client", KMS_REQUESTS),
            must("given and stored context are compared", CONTEXT_RIGHT, CONTEXT_OTHER),
            must("equal without the two reserved names", CONTEXT_RIGHT),
            must("a difference is an error", CONTEXT_OTHER, f"{VECTORS}::test_another_context_is_refused_before_kms"),
            must("KeyId is the configured one", KMS_REQUESTS),
            must("the blob is the encrypted data key", KMS_REQUESTS),
            must("the context is the stored one", KMS_REQUESTS),
            should("a user agent of its own", why_not=USER_AGENT),
            must("the plaintext is returned as bytes", KMS_ROUND, KMS_ANSWERS),
            must("failure is an error", KMS_REFUSALS),
        ),
    ),
)
