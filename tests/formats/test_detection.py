"""Which format an object is in follows from all of its keys."""

from __future__ import annotations

import itertools

import pytest

from s3ec.errors import ConflictingMetadataError, InstructionFileError, MalformedMetadataError, NotEncryptedError
from s3ec.formats import Detection, detect, parse_object, refuse_remnants

from support import headers

V3_OBJECT_KEYS = ("x-amz-c", "x-amz-d", "x-amz-i")
OLD_KEYS = (
    "x-amz-key",
    "x-amz-key-v2",
    "x-amz-iv",
    "x-amz-matdesc",
    "x-amz-wrap-alg",
    "x-amz-cek-alg",
    "x-amz-tag-len",
)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (headers.v1(), Detection.V1),
        (headers.v1(**{"x-amz-matdesc": None}), Detection.V1),  # as Redshift documents it
        (headers.v2(), Detection.V2),
        (headers.v2_cbc(), Detection.V2),
        (headers.v3(), Detection.V3),
        (headers.v3_kms(), Detection.V3),
        (headers.content_of(headers.v3()), Detection.V3_INSTRUCTION_FILE),
        ({}, Detection.NONE),
        ({"team": "hr"}, Detection.NONE),
        ({"x-amz-unencrypted-content-length": "17"}, Detection.NONE),
        ({"x-amz-crypto-instr-file": ""}, Detection.NONE),
    ],
)
def test_each_format_is_recognised(metadata: dict[str, str], expected: Detection) -> None:
    """The keys of each format say which it is; foreign keys do not matter, and neither does the case of names."""
    assert detect(metadata) is expected
    assert detect({**metadata, "team": "hr", "x-amz-meta-x-amz-key": "QQ=="}) is expected
    assert detect({name.title(): value for name, value in metadata.items()}) is expected


@pytest.mark.parametrize("name", ["x-amz-m", "x-amz-unencrypted-content-length", "x-amz-iv", "x-amz-key", "x-amz-3"])
def test_an_empty_value_is_an_absent_one(name: str) -> None:
    """The Go client writes empty values, and some servers drop them: both objects are one and the same."""
    metadata = headers.v3_kms() if name != "x-amz-3" else headers.v2()
    assert detect({**metadata, name: ""}) is detect(metadata)
    assert parse_object({**metadata, name: ""}) == parse_object(metadata)


@pytest.mark.parametrize("pair", list(itertools.combinations(("x-amz-key", "x-amz-key-v2", "x-amz-3"), 2)))
def test_two_data_keys_are_a_forgery(pair: tuple[str, str]) -> None:
    """An object with the data keys of two formats would be read differently by different clients."""
    metadata = {"x-amz-iv": "QQ==", **dict.fromkeys(pair, "QQ==")}
    for spelled in (metadata, {name.upper(): value for name, value in metadata.items()}):
        with pytest.raises(ConflictingMetadataError):
            detect(spelled)


@pytest.mark.parametrize("old", OLD_KEYS)
@pytest.mark.parametrize("new", ["x-amz-c", "x-amz-d", "x-amz-i", "x-amz-3", "x-amz-w", "x-amz-m", "x-amz-t"])
def test_any_key_of_v3_beside_any_of_v1_or_v2_is_a_forgery(old: str, new: str) -> None:
    """Headers of V3 on an older object must not make it pass for a committing one, nor the other way round."""
    with pytest.raises(ConflictingMetadataError):
        detect({old: "QQ==", new: "QQ=="})
    for whole in (headers.v1(), headers.v2()):
        with pytest.raises(ConflictingMetadataError):
            parse_object({**whole, new: "115"})
    for whole in (headers.v3(), headers.v3_kms()):
        with pytest.raises(ConflictingMetadataError):
            parse_object({**whole, old: "QQ=="})


@pytest.mark.parametrize("count", range(1, 8))
def test_half_a_v3_is_none(count: int) -> None:
    """Some V3 keys without the rest, such as spoofed ones beside an instruction file of V2, are refused."""
    whole = headers.v3_kms(**{"x-amz-m": "{}"})
    required = {"x-amz-c", "x-amz-d", "x-amz-i", "x-amz-3", "x-amz-w"}
    for names in itertools.combinations(whole, count):
        metadata = {name: whole[name] for name in names}
        if required <= set(names):
            assert detect(metadata) is Detection.V3
        elif set(names) == set(V3_OBJECT_KEYS):
            assert detect(metadata) is Detection.V3_INSTRUCTION_FILE
        else:
            with pytest.raises(MalformedMetadataError, match="lacks x-amz-"):
                detect(metadata)


@pytest.mark.parametrize("metadata", [headers.v1(), headers.v2()])
def test_a_data_key_without_an_iv_is_incomplete(metadata: dict[str, str]) -> None:
    """The error names the key that is missing."""
    del metadata["x-amz-iv"]
    with pytest.raises(MalformedMetadataError, match="x-amz-iv"):
        detect(metadata)


def test_one_name_in_two_cases_is_a_forgery() -> None:
    """A store that keeps case could hold two values of one key; readers would take different ones."""
    with pytest.raises(ConflictingMetadataError, match="x-amz-iv"):
        detect({**headers.v2(), "X-Amz-IV": headers.b64(headers.IV_CBC)})
    assert detect({**headers.v2(), "X-Amz-IV": ""}) is Detection.V2


def test_an_object_without_content_metadata_is_said_to_be_unencrypted() -> None:
    """A plain object is not an encrypted one that went wrong."""
    for metadata in ({}, {"team": "hr"}, {"x-amz-unencrypted-content-length": "17"}):
        with pytest.raises(NotEncryptedError):
            parse_object(metadata)


@pytest.mark.parametrize("name", sorted(set(OLD_KEYS) - {"x-amz-key", "x-amz-key-v2"}))
def test_an_object_that_lost_its_data_key_is_not_taken_for_a_plain_one(name: str) -> None:
    """Ciphertext whose metadata was lost in part must not be handed out as if it were plaintext."""
    for ask in (detect, parse_object):
        with pytest.raises(MalformedMetadataError, match=name):
            ask({name: "QQ==", "team": "hr"})


def test_an_object_whose_data_key_lies_elsewhere_is_said_to_be_so() -> None:
    """Commitment and message ID alone point to the instruction file."""
    with pytest.raises(InstructionFileError):
        parse_object(headers.content_of(headers.v3()))


@pytest.mark.parametrize(
    "name", [*OLD_KEYS, *V3_OBJECT_KEYS, "X-Amz-Unencrypted-Content-Length", "x-amz-unencrypted-content-md5"]
)
def test_a_remnant_of_content_metadata_is_not_plaintext(name: str) -> None:
    """What only encrypting clients write may stand beside ciphertext whose file was lost."""
    with pytest.raises(MalformedMetadataError, match=name.lower()):
        refuse_remnants({"team": "hr", name: "17"})
    with pytest.raises(MalformedMetadataError, match=name.lower()):
        refuse_remnants({name: "17", "x-amz-crypto-instr-file": ""}, may_be_instruction_file=True)


def test_foreign_metadata_and_the_mark_of_a_file_are_no_remnants() -> None:
    """The mark of an instruction file passes only where such a file may be looked at."""
    refuse_remnants({"team": "hr"})
    refuse_remnants({"team": "hr", "X-Amz-Crypto-Instr-File": ""}, may_be_instruction_file=True)
    with pytest.raises(MalformedMetadataError, match="x-amz-crypto-instr-file"):
        refuse_remnants({"x-amz-crypto-instr-file": ""})
