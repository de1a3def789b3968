"""The specification's data-format/: requirements and their evidence."""

from __future__ import annotations

from conformance.evidence import (
    CODES,
    DEFAULTS,
    DETECTION,
    EACH_FORMAT,
    FILE,
    FILE_CONTENT,
    FILE_DESCRIPTION,
    FILE_SWITCHES,
    GATE,
    HALF_V3,
    MIXED,
    NAMED_CONSTANT,
    PUT_AND_GET,
    TWO_KEYS,
    V1_V2,
    V3,
)
from conformance.model import Section, must, must_not, should

SECTIONS: tuple[Section, ...] = (
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
            must("what is not decoded stays untouched", "formats/test_double_encoding.py::test_repair"),
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
)
