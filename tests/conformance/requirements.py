"""Every MUST and SHOULD of the S3 Encryption Client specification, and the test that shows it or the reason why not.

The specification is ``s3-encryption/`` of awslabs/aws-encryption-sdk-specification at the revision below; the labels
say in a few words which sentence is meant, in the order in which its sections state them.
"""

from __future__ import annotations

from dataclasses import dataclass

REVISION = "167041bb"
SOURCE = "https://github.com/awslabs/aws-encryption-sdk-specification/blob/master/s3-encryption"


@dataclass(frozen=True)
class Requirement:
    """One sentence of the specification.

    Attributes:
        level: ``"MUST"``, ``"MUST NOT"``, ``"SHOULD"`` or ``"SHOULD NOT"``.
        label: which sentence.
        tests: node ids below ``tests/`` that show it, without parameters.
        why_not: why no test shows it, or why it is not so; exactly one of this and ``tests``.
    """

    level: str
    label: str
    tests: tuple[str, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class Section:
    """A page of the specification and one of its headings."""

    page: str
    anchor: str
    title: str
    requirements: tuple[Requirement, ...]


def must(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A MUST."""
    return Requirement("MUST", label, tests, why_not)


def must_not(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A MUST NOT."""
    return Requirement("MUST NOT", label, tests, why_not)


def should(label: str, *tests: str, why_not: str = "") -> Requirement:
    """A SHOULD."""
    return Requirement("SHOULD", label, tests, why_not)


CLIENT = "conformance/test_client.py"
GATE = "test_decryption.py"
ENCRYPTION = "test_encryption.py"
VECTORS = "test_vectors_gate.py"
DETECTION = "formats/test_detection.py"
FILE = "formats/test_instruction_file.py"
V1_V2 = "formats/test_v1_v2.py"
V3 = "formats/test_v3.py"
KMS = "keyrings/test_kms.py"
DERIVATION = "crypto/test_derivation.py"
CONTENT = "crypto/test_content.py"

EVERY_VECTOR = f"{VECTORS}::test_every_vector_opens_with_the_fewest_switches"
EVERY_SETTING = f"{VECTORS}::test_every_vector_against_every_setting"
PUT_AND_GET = f"{CLIENT}::TestOperations::test_put_encrypts_and_get_decrypts"
DEFAULTS = f"{CLIENT}::TestConfiguration::test_defaults_are_the_safe_ones"
SUITES = f"{CLIENT}::TestConfiguration::test_suite_is_held_against_legacy_and_policy"
MULTIPART = f"{CLIENT}::TestOperations::test_multipart_is_one_stream"
DELETES = f"{CLIENT}::TestOperations::test_deletes_take_the_instruction_file_along"
FILE_CONTENT = f"{CLIENT}::TestOperations::test_instruction_file_holds_what_its_format_says"
FILE_SWITCHES = f"{CLIENT}::TestOperations::test_instruction_files_can_be_switched_off_and_named_on_reads"
FILE_DESCRIPTION = f"{CLIENT}::TestOperations::test_instruction_file_holds_a_raw_keys_description"
RANGE = f"{CLIENT}::TestReading::test_a_range_reads_whole_blocks"
RELEASE = f"{CLIENT}::TestReading::test_nothing_leaves_before_the_tag_verified"
POLICY_FIRST = f"{CLIENT}::TestReading::test_policy_error_comes_before_any_key"
REWRAP = "migrate/test_rewrap.py::test_raw_key_to_another_raw_key"
REWRAP_FILE = "migrate/test_rewrap.py::test_only_the_instruction_file_is_replaced"
CODES = f"{CLIENT}::test_wrapping_codes_are_translated_both_ways"
KNOWN_DERIVATION = f"{DERIVATION}::test_known_answers"
RFC_DERIVATION = f"{DERIVATION}::test_it_is_hkdf_as_the_rfc_writes_it"
FIXED_VALUES = f"{DERIVATION}::test_fixed_values"
KNOWN_CONTENT = f"{CONTENT}::TestKnownAnswer::test_encrypt"
KNOWN_PLAINTEXT = f"{CONTENT}::TestKnownAnswer::test_decrypt"
COMMITTING_OBJECT = f"{ENCRYPTION}::test_a_committing_object"
GCM_OBJECT = f"{ENCRYPTION}::test_a_plain_gcm_object"
OTHER_KEY = f"{GATE}::test_another_data_key_does_not_meet_the_commitment"
POLICY_SUITES = f"{ENCRYPTION}::test_each_policy_writes_one_suite"
KMS_REQUESTS = f"{KMS}::test_the_requests_are_those_of_the_other_clients"
KMS_ROUND = f"{KMS}::test_what_it_writes_it_reads"
KMS_V1 = f"{KMS}::test_the_legacy_wrapping"
KMS_REFUSALS = f"{KMS}::test_real_refusals"
KMS_ANSWERS = f"{KMS}::test_a_malformed_opened_data_key_is_refused"
CONTEXT_RIGHT = f"{GATE}::TestContext::test_the_right_one"
CONTEXT_OTHER = f"{GATE}::TestContext::test_another_one"
MIXED = f"{DETECTION}::test_any_key_of_v3_beside_any_of_v1_or_v2_is_a_forgery"
TWO_KEYS = f"{DETECTION}::test_two_data_keys_are_a_forgery"
EACH_FORMAT = f"{DETECTION}::test_each_format_is_recognised"
HALF_V3 = f"{DETECTION}::test_half_a_v3_is_none"

GENERATED = (
    "s3ec lets KMS make and encrypt the data key in one GenerateDataKey call, as every released client does; there is "
    "no separate Encrypt call"
)
NO_WRAPPED_CLIENT = (
    "there is no wrapped client: `EncryptionClient` is itself the SDK's generated client, made with every argument of "
    "`boto3.client`, or from a session (`session=`)"
)
USER_AGENT = (
    "the KMS client is the caller's to configure: `Config(user_agent_extra=…)`, given to the keyring, marks its calls"
)
NAMED_CONSTANT = "constants of `s3ec.formats.keys` carry the names; nothing observable depends on them"

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
            must("the algorithm is held against it", SUITES),
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
    Section(
        "encryption.md",
        "content-encryption",
        "Content Encryption",
        (
            must("the configured algorithm is used", POLICY_SUITES, PUT_AND_GET),
            must(
                "the plaintext's length is held against the maximum",
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
            must("the suite is held against the policy before decryption", POLICY_FIRST, EVERY_SETTING),
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
    Section(
        "data-format/content-metadata.md",
        "content-metadata-mapkeys",
        "Content Metadata MapKeys",
        (
            must_not("x-amz-meta- in the code's names", PUT_AND_GET),
            must("every name begins with x-amz-", PUT_AND_GET),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "content-metadata-mapkeys",
        "V1 format",
        (
            should("unencrypted content length present", why_not="V1 is never written; a reader needs no length"),
            must("x-amz-key present", f"{V1_V2}::test_v1_is_cbc_under_a_raw_key"),
            must(
                "x-amz-matdesc present",
                why_not="V1 is never written; Amazon Redshift's objects lack it, and are read "
                "(`formats/test_v1_v2.py::test_v1_without_a_description_is_read`)",
            ),
            must("x-amz-iv present", f"{DETECTION}::test_a_data_key_without_an_iv_is_incomplete"),
            should(
                "keys of another version are an error", MIXED, f"{V1_V2}::test_v1_with_an_algorithm_of_v2_is_a_forgery"
            ),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "content-metadata-mapkeys",
        "V2 format",
        (
            must("x-amz-key-v2 present", PUT_AND_GET),
            must("x-amz-matdesc present", PUT_AND_GET),
            must("x-amz-iv present", PUT_AND_GET, f"{DETECTION}::test_a_data_key_without_an_iv_is_incomplete"),
            must("x-amz-wrap-alg present", PUT_AND_GET),
            must("x-amz-cek-alg present", PUT_AND_GET),
            must("GCM: x-amz-tag-len present", PUT_AND_GET),
            must("CBC: x-amz-tag-len absent", f"{V1_V2}::test_v2_cbc_has_no_tag"),
            should(
                "unencrypted content length present",
                why_not="not written, as the Java, Python and Ruby V3 clients do not: it may be unknown before the "
                "body was read, and no reader may trust it",
            ),
            should("keys of another version are an error", MIXED, TWO_KEYS),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "content-metadata-mapkeys",
        "V3 format",
        (
            must("x-amz-c present", PUT_AND_GET, HALF_V3),
            should("x-amz-c as a named constant", why_not=NAMED_CONSTANT),
            must("x-amz-3 present", PUT_AND_GET, HALF_V3),
            should("x-amz-3 as a named constant", why_not=NAMED_CONSTANT),
            should("x-amz-m present with a material description", f"{V3}::test_v3_with_a_material_description"),
            should("x-amz-m as a named constant", why_not=NAMED_CONSTANT),
            should(
                "x-amz-t present with an encryption context",
                PUT_AND_GET,
                f"{V3}::test_v3_always_states_the_context_under_kms",
            ),
            should("x-amz-t as a named constant", why_not=NAMED_CONSTANT),
            must("x-amz-w present", PUT_AND_GET, HALF_V3),
            should("x-amz-w as a named constant", why_not=NAMED_CONSTANT),
            must("x-amz-d present", PUT_AND_GET, HALF_V3),
            should("x-amz-d as a named constant", why_not=NAMED_CONSTANT),
            must("x-amz-i present", PUT_AND_GET, HALF_V3),
            should("x-amz-i as a named constant", why_not=NAMED_CONSTANT),
            should("keys of another version are an error", MIXED),
            must(
                "x-amz-c, -d and -i in the object's metadata only",
                FILE_CONTENT,
                f"{FILE}::test_v3_content_keys_in_a_file_are_a_forgery",
            ),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "determining-s3ec-object-status",
        "Determining S3EC Object Status",
        (
            must("x-amz-iv and x-amz-key: V1", EACH_FORMAT),
            must("x-amz-iv and x-amz-key-v2: V2", EACH_FORMAT),
            must("x-amz-3, -d and -i: V3", EACH_FORMAT),
            must("none of them: the instruction file is asked for", FILE_SWITCHES),
            should("keys of several versions are an error", TWO_KEYS, MIXED),
            should("any other deviation is an error", HALF_V3, f"{DETECTION}::test_one_name_in_two_cases_is_a_forgery"),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "v3-only",
        "V3 Only",
        (
            must(
                "the material description is used for 02 and 22",
                f"{V3}::test_v3_with_a_material_description",
                FILE_DESCRIPTION,
            ),
            must("no x-amz-m: an empty map", f"{V3}::test_v3_under_a_raw_key"),
            must("the encryption context is used for 12", f"{V3}::test_v3_under_kms"),
            must(
                "no x-amz-t: an empty map",
                f"{GATE}::TestDowngrades::test_a_context_that_names_no_content_under_kms_context",
            ),
            must("02 is AES/GCM", CODES),
            must("12 is kms+context", CODES),
            must("22 is RSA-OAEP-SHA1", CODES),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "algorithm-suite-and-message-format-version-compatibility",
        "Algorithm Suite and Message Format Version Compatibility",
        (
            must(
                "GCM content in V2 only",
                PUT_AND_GET,
                f"{GATE}::TestDowngrades::test_content_that_its_format_does_not_have",
            ),
            must(
                "committing content in V3 only",
                PUT_AND_GET,
                f"{GATE}::TestDowngrades::test_content_that_its_format_does_not_have",
            ),
        ),
    ),
    Section(
        "data-format/content-metadata.md",
        "us-ascii-preferred-string",
        "US-ASCII Preferred String",
        (
            should(
                "names in US-ASCII", "formats/test_codec.py::test_written_maps_are_plain_ascii_in_the_callers_order"
            ),
            should(
                "no UTF-8 support: an error", why_not="any text is supported: JSON escapes keep what is stored in ASCII"
            ),
            should(
                "that error says what was found",
                why_not="any text is supported: JSON escapes keep what is stored in ASCII",
            ),
        ),
    ),
    Section(
        "data-format/metadata-strategy.md",
        "object-metadata",
        "Object Metadata",
        (
            must("the default place", PUT_AND_GET),
            should("S3's double encoding is decoded", "formats/test_double_encoding.py::test_repair"),
            must("undecoded values stay untouched", "formats/test_double_encoding.py::test_repair_takes_anything"),
        ),
    ),
    Section(
        "data-format/metadata-strategy.md",
        "instruction-file",
        "Instruction File",
        (
            must("content metadata can be written to one", FILE_CONTENT),
            must("as a JSON string", FILE_CONTENT),
            must("with nothing else in it", f"{FILE}::test_a_rendered_file_is_one_word_of_ascii"),
            must_not("written by default", DEFAULTS),
            must("configured per client or per put", FILE_CONTENT),
            must_not("a suffix of one's own on ordinary writes", FILE_SWITCHES),
            should("a suffix of one's own on GetObject", FILE_SWITCHES),
        ),
    ),
    Section(
        "data-format/metadata-strategy.md",
        "v1v2-instruction-files",
        "V1/V2 Instruction Files",
        (must("all content metadata in the file", FILE_CONTENT, f"{FILE}::test_a_whole_format_in_the_file"),),
    ),
    Section(
        "data-format/metadata-strategy.md",
        "v3-instruction-files",
        "V3 Instruction Files",
        (
            must("x-amz-c in the object", FILE_CONTENT),
            must_not("x-amz-c in the file", FILE_CONTENT, f"{FILE}::test_v3_content_keys_in_a_file_are_a_forgery"),
            must("x-amz-d in the object", FILE_CONTENT),
            must_not("x-amz-d in the file", FILE_CONTENT, f"{FILE}::test_v3_content_keys_in_a_file_are_a_forgery"),
            must("x-amz-i in the object", FILE_CONTENT),
            must_not("x-amz-i in the file", FILE_CONTENT, f"{FILE}::test_v3_content_keys_in_a_file_are_a_forgery"),
            must("x-amz-3 in the file", FILE_CONTENT),
            must("x-amz-w in the file", FILE_CONTENT),
            must("x-amz-m in the file, when there is one", FILE_DESCRIPTION),
            must("x-amz-t in the file, when there is one", FILE_CONTENT),
        ),
    ),
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
            must("KmsV1 needs the leave for legacy wrapping", KMS_V1, EVERY_SETTING),
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
            must("KeyId is the configured one", KMS_REQUESTS),
            must("the blob is the encrypted data key", EVERY_VECTOR),
            must("the context is the stored one", EVERY_VECTOR),
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
