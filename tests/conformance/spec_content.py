"""The specification's pages on content (encryption, decryption, commitment, key derivation) and their evidence."""

from __future__ import annotations

from conformance.evidence import (
    CLIENT,
    COMMITTING_OBJECT,
    CONTENT,
    DEFAULTS,
    DERIVATION,
    EVERY_SETTING,
    EVERY_VECTOR,
    FIXED_VALUES,
    GATE,
    GCM_OBJECT,
    KNOWN_CONTENT,
    KNOWN_DERIVATION,
    KNOWN_PLAINTEXT,
    OTHER_KEY,
    POLICY_FIRST,
    POLICY_SUITES,
    PUT_AND_GET,
    RANGE,
    RFC_DERIVATION,
)
from conformance.model import Section, must, must_not, should

SECTIONS: tuple[Section, ...] = (
    Section(
        "encryption.md",
        "content-encryption",
        "Content Encryption",
        (
            must("the configured algorithm is used", POLICY_SUITES, PUT_AND_GET),
            must(
                "the plaintext's length is checked against the maximum",
                "client/test_bodies_in.py::test_more_than_one_key_may_encrypt_is_refused_before_byte_one",
                f"{CONTENT}::test_nothing_is_processed_past_the_greatest_length",
            ),
            must("IV or message ID of the suite's length", COMMITTING_OBJECT, GCM_OBJECT),
            must("IV or message ID reaches the content metadata", COMMITTING_OBJECT, GCM_OBJECT),
        ),
    ),
    Section(
        "encryption.md",
        "cipher-initialization",
        "Cipher Initialization",
        (
            should(
                "an all-zero IV or message ID is refused",
                "crypto/test_random.py::test_an_all_zero_value_is_never_given",
            ),
        ),
    ),
    Section(
        "encryption.md",
        "alg_aes_256_ctr_iv16_tag16_no_kdf",
        "ALG_AES_256_CTR_IV16_TAG16_NO_KDF",
        (must("encrypting fails", f"{CLIENT}::TestConfiguration::test_counter_mode_is_no_suite"),),
    ),
    Section(
        "encryption.md",
        "alg_aes_256_ctr_hkdf_sha512_commit_key",
        "ALG_AES_256_CTR_HKDF_SHA512_COMMIT_KEY",
        (must("encrypting fails", f"{CLIENT}::TestConfiguration::test_counter_mode_is_no_suite"),),
    ),
    Section(
        "encryption.md",
        "alg_aes_256_gcm_iv12_tag16_no_kdf",
        "ALG_AES_256_GCM_IV12_TAG16_NO_KDF",
        (
            must("data key, IV and tag length of the suite", GCM_OBJECT, EVERY_VECTOR),
            must_not("AAD", GCM_OBJECT, EVERY_VECTOR),
            must("the tag is appended", PUT_AND_GET, EVERY_VECTOR),
        ),
    ),
    Section(
        "encryption.md",
        "alg_aes_256_gcm_hkdf_sha512_commit_key",
        "ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        (
            must("commitment and key come from HKDF", COMMITTING_OBJECT, KNOWN_DERIVATION),
            must("the commitment reaches the content metadata", COMMITTING_OBJECT),
            must("the tag is appended", PUT_AND_GET, KNOWN_CONTENT),
        ),
    ),
    Section(
        "decryption.md",
        "ranged-gets",
        "Ranged Gets",
        (
            must("the range is widened to whole blocks", RANGE),
            must("AES-CTR for GCM content", RANGE, f"{CONTENT}::test_any_block_is_where_counter_mode_can_start"),
            must(
                "AES-CTR with commitment for committing content",
                RANGE,
                f"{CONTENT}::TestKnownAnswer::test_from_block_two",
            ),
            must(
                "a range in the answer that was not asked for is an error",
                f"{CLIENT}::TestReading::test_an_unasked_range_is_refused",
            ),
        ),
    ),
    Section(
        "decryption.md",
        "legacy-decryption",
        "Legacy Decryption",
        (
            must_not("decrypts legacy content unless configured", EVERY_SETTING, DEFAULTS),
            must("not configured: an error", EVERY_SETTING),
        ),
    ),
    Section(
        "decryption.md",
        "cbc-decryption",
        "CBC Decryption",
        (
            must(
                "not enabled: an error that names the suite's case",
                EVERY_SETTING,
                f"{GATE}::test_a_refusal_names_every_setting_that_the_object_needs",
            ),
            must("enabled: AES-CBC with PKCS #7 padding", EVERY_VECTOR, f"{CONTENT}::test_cbc_in_any_chunks"),
            must("no such cipher: decryption fails", why_not="the `cryptography` package always has AES-CBC"),
            should("the error says why", why_not="the `cryptography` package always has AES-CBC"),
        ),
    ),
    Section(
        "decryption.md",
        "key-commitment",
        "Key Commitment",
        (
            must("the suite is checked against the policy before decryption", POLICY_FIRST, EVERY_SETTING),
            must("a policy that requires commitment refuses other content", POLICY_FIRST, EVERY_SETTING),
        ),
    ),
    Section(
        "decryption.md",
        "decrypting-with-commitment",
        "Decrypting With Commitment",
        (
            must("stored and derived commitment are the same bytes", OTHER_KEY),
            must("compared in constant time", f"{DERIVATION}::test_equal"),
            must("a mismatch is an error", OTHER_KEY),
            must(
                "compared before the encryption key is derived",
                why_not="by construction: `_committing_cipher` of `s3ec/decryption.py` compares first, and derives in "
                "the statement after; no answer could tell",
            ),
        ),
    ),
    Section(
        "key-commitment.md",
        "commitment-policy",
        "Commitment Policy",
        (
            must_not("FORBID_ENCRYPT_ALLOW_DECRYPT: writes committing content", POLICY_SUITES),
            must("FORBID_ENCRYPT_ALLOW_DECRYPT: reads other content", EVERY_SETTING),
            must("REQUIRE_ENCRYPT_ALLOW_DECRYPT: writes committing content only", POLICY_SUITES),
            must("REQUIRE_ENCRYPT_ALLOW_DECRYPT: reads other content", EVERY_SETTING),
            must("REQUIRE_ENCRYPT_REQUIRE_DECRYPT: writes committing content only", POLICY_SUITES),
            must_not("REQUIRE_ENCRYPT_REQUIRE_DECRYPT: reads other content", EVERY_SETTING),
        ),
    ),
    Section(
        "key-derivation.md",
        "hkdf-operation",
        "HKDF Operation",
        (
            must("the hash is the suite's", RFC_DERIVATION, KNOWN_DERIVATION),
            must("the input key material is the data key", RFC_DERIVATION, KNOWN_DERIVATION),
            must("the data key has the suite's length", f"{GATE}::test_lengths_of_data_keys"),
            must(
                "the salt is the message ID, of the suite's length", RFC_DERIVATION, f"{GATE}::test_lengths_and_zeros"
            ),
            must("encryption key: expanded from the extract step", RFC_DERIVATION, KNOWN_DERIVATION),
            must("encryption key: of the suite's length", KNOWN_DERIVATION),
            must("encryption key: info is suite ID and DERIVEKEY", RFC_DERIVATION, KNOWN_DERIVATION),
            must("commitment: expanded from the extract step", RFC_DERIVATION, KNOWN_DERIVATION),
            must("commitment: of the suite's length", KNOWN_DERIVATION),
            must("commitment: info is suite ID and COMMITKEY", RFC_DERIVATION, KNOWN_DERIVATION),
            must("the IV is all 0x01", FIXED_VALUES, KNOWN_CONTENT),
            must("the IV has the suite's length", FIXED_VALUES),
            must("the cipher takes derived key, that IV and the suite's tag length", KNOWN_CONTENT, KNOWN_PLAINTEXT),
            must("the AAD is the suite ID", FIXED_VALUES, KNOWN_CONTENT),
        ),
    ),
)
