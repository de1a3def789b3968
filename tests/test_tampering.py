"""An attacker who may replace metadata and instruction files gets the reader the right plaintext, or an error."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3ec import decryption, encryption, formats
from s3ec.algorithms import CommitmentPolicy
from s3ec.errors import CommitmentMismatchError, ConflictingMetadataError, S3ECError
from s3ec.formats import ContentMetadata, keys
from s3ec.keyrings import AesKeyring, DefaultMaterialsManager, RsaKeyring
from s3ec.materials import STORED_CONTEXT, MaterialsManager

from support import headers
from support.materials import CountingManager, FixedKeys
from support.vectors import vector

FORBID = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
NAMES = sorted(keys.RESERVED)


@dataclass(frozen=True)
class Written:
    """An object as S3 stores it: its metadata in the two forms, its body, and what was put in."""

    metadata: dict[str, str]
    with_file: dict[str, str]
    file: bytes
    body: bytes
    plaintext: bytes


@functools.cache
def manager(kind: str) -> MaterialsManager:
    """A reader's keyring with every opt-in, so that nothing but the formats and the gate stands in the way."""
    if kind == "aes":
        return DefaultMaterialsManager(AesKeyring(bytes(range(32)), enable_legacy_wrapping_algorithms=True))
    pem = vector("java/java4-rsa2048-meta-17").key["private_pem"]
    return DefaultMaterialsManager(RsaKeyring(private_key=pem, enable_legacy_wrapping_algorithms=True))


@functools.cache
def written(kind: str, policy: CommitmentPolicy, plaintext: bytes) -> Written:
    """An object of ours."""
    content_metadata, cipher = encryption.begin(
        materials_manager=manager(kind), commitment_policy=policy, algorithm_suite=None, encryption_context=None
    )
    encryptor = cipher.encryptor()
    body = encryptor.update(plaintext) + encryptor.finalize()
    with_file, file = formats.render_instruction_file(content_metadata)
    return Written(formats.render_object(content_metadata), with_file, file, body, plaintext)


def read(content_metadata: ContentMetadata, body: bytes, kind: str, **changed: Any) -> bytes:
    """Read as a client does that asks for authenticated content."""
    options: dict[str, Any] = {"commitment_policy": REQUIRE, "enable_legacy_unauthenticated_modes": False, **changed}
    decryptor = (
        decryption.check(
            content_metadata, materials_manager=manager(kind), encryption_context=STORED_CONTEXT, **options
        )
        .open()
        .decryptor()
    )
    plaintext = decryptor.update(body[:-16])
    decryptor.verify(body[-16:])
    return plaintext


@st.composite
def tampered(draw: st.DrawFn, kind: str) -> tuple[dict[str, str], bytes]:
    """Metadata and a file put together from several objects of the same key, and from nothing."""
    objects = [
        written(kind, REQUIRE, b"the right plaintext"),
        written(kind, REQUIRE, b"another object's"),
        written(kind, FORBID, b"an older object's"),
    ]
    metadata: dict[str, str] = dict(draw(st.sampled_from([one.metadata for one in objects] + [objects[0].with_file])))
    file: dict[str, Any] = json.loads(draw(st.sampled_from([one.file for one in objects])))
    for target in (metadata, file):
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
            values = [one.metadata[name] for one in objects if name in one.metadata]
            values += ["", "115", "02", "22", "12", "128", headers.GCM, headers.CBC, "AESWrap", "{}", "QQ=="]
            chosen = draw(st.sampled_from([None, *values]))
            if chosen is None:
                target.pop(name, None)
            else:
                target[name] = chosen
    return metadata, json.dumps(file).encode()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aes", "rsa"])
@pytest.mark.parametrize("policy", [ALLOW, REQUIRE], ids=lambda policy: policy.name)
@settings(max_examples=300)
@given(data=st.data())
def test_tampered_metadata_gives_the_right_plaintext_or_an_error(
    kind: str, policy: CommitmentPolicy, data: st.DataObject
) -> None:
    """Whatever is exchanged between objects, moved into a file or made up, no other plaintext ever comes out."""
    metadata, file = data.draw(tampered(kind))
    right = written(kind, REQUIRE, b"the right plaintext")
    for parse in (formats.parse_object, functools.partial(formats.parse_instruction_file, file)):
        try:
            plaintext = read(parse(metadata), right.body, kind, commitment_policy=policy)
        except S3ECError:
            continue
        assert plaintext == right.plaintext


@pytest.mark.parametrize("kind", ["aes", "rsa"])
def test_what_was_not_tampered_with_is_read(kind: str) -> None:
    """Both forms of an object are read, so that the errors above have another reason."""
    right = written(kind, REQUIRE, b"the right plaintext")
    assert read(formats.parse_object(right.metadata), right.body, kind) == right.plaintext
    assert read(formats.parse_instruction_file(right.file, right.with_file), right.body, kind) == right.plaintext


@pytest.mark.parametrize("kind", ["aes", "rsa"])
def test_an_exchanged_data_key_is_noticed(kind: str) -> None:
    """A data key of another object of the same keyring opens, and does not meet the commitment."""
    right, other = written(kind, REQUIRE, b"the right plaintext"), written(kind, REQUIRE, b"another object's")
    with pytest.raises(CommitmentMismatchError):
        read(formats.parse_instruction_file(other.file, right.with_file), right.body, kind)
    with pytest.raises(CommitmentMismatchError):
        read(formats.parse_object({**right.metadata, "x-amz-3": other.metadata["x-amz-3"]}), right.body, kind)


@pytest.mark.parametrize("kind", ["aes", "rsa"])
def test_a_committing_object_cannot_be_relabelled_as_an_older_one(kind: str) -> None:
    """With V3's keys stripped and V2's put in their place, the wrapping still binds the committing suite."""
    right = written(kind, REQUIRE, b"the right plaintext")
    name = {"aes": "AES/GCM", "rsa": "RSA-OAEP-SHA1"}[kind]
    for content, iv in ((headers.GCM, b"\x01" * 12), (headers.CBC, b"\x01" * 16)):
        forged = {
            "x-amz-key-v2": right.metadata["x-amz-3"],
            "x-amz-iv": headers.b64(iv),
            "x-amz-wrap-alg": name,
            "x-amz-cek-alg": content,
        }
        with pytest.raises(S3ECError) as refusal:
            read(
                formats.parse_object(forged),
                right.body,
                kind,
                commitment_policy=ALLOW,
                enable_legacy_unauthenticated_modes=True,
            )
        assert "does not open" in str(refusal.value)


def test_committing_headers_do_not_make_an_older_object_committing() -> None:
    """Any V3 header on a V2 object is a forgery, before anything is asked."""
    old = written("aes", FORBID, b"an older object's")
    new = written("aes", REQUIRE, b"another object's").metadata
    for name in new:
        with pytest.raises(ConflictingMetadataError):
            formats.parse_object({**old.metadata, name: new[name]})


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CONTEXTS = st.one_of(
    st.none(),
    st.just(STORED_CONTEXT),
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.just({"team": "hr"}),
    st.dictionaries(st.one_of(st.text(), st.integers()), st.one_of(st.text(), st.none(), st.binary()), max_size=2),
)


@pytest.mark.slow
@settings(max_examples=400)
@given(
    whole=st.sampled_from([headers.v1(), headers.v2(), headers.v2_cbc(), headers.v3(), headers.v3_kms()]),
    changes=st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(st.binary(max_size=70).map(headers.b64), st.dictionaries(TEXT, TEXT, max_size=3).map(json.dumps)),
        max_size=3,
    ),
    context=CONTEXTS,
    bound=st.one_of(st.none(), st.dictionaries(TEXT, TEXT, max_size=2)),
    policy=st.sampled_from(list(CommitmentPolicy)),
    legacy=st.tuples(st.booleans(), st.booleans()),
)
@example(headers.v3_kms(), {}, {"team": "hr"}, None, REQUIRE, (False, False))
def test_any_object_is_read_or_refused(
    whole: dict[str, str],
    changes: dict[str, str],
    context: Any,
    bound: dict[str, str] | None,
    policy: CommitmentPolicy,
    legacy: tuple[bool, bool],
) -> None:
    """The gate ends in an error of ours or asks for the data key once; a refusal by `check` asks for none."""
    counting = CountingManager(FixedKeys(enable_legacy_wrapping_algorithms=legacy[0]))
    arguments: dict[str, Any] = {
        "materials_manager": counting,
        "commitment_policy": policy,
        "enable_legacy_unauthenticated_modes": legacy[1],
        "encryption_context": context,
        "bound_context": bound,
    }
    try:
        content_metadata = formats.parse_object({**whole, **changes})
        decryption.check(content_metadata, **arguments)
    except S3ECError:
        return
    assert counting.calls == 0
    try:
        decryption.check(content_metadata, **arguments).open()
    except CommitmentMismatchError:
        assert content_metadata.algorithm_suite.commits
    assert counting.calls == 1
