"""The gate of reads: every refusal that metadata allows, with the keyring untouched."""

from __future__ import annotations

import base64
import functools
import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from s3ec import decryption, formats
from s3ec.algorithms import AlgorithmSuite, CommitmentPolicy, FormatVersion, WrappingAlgorithm
from s3ec.crypto.content import ContentCipher
from s3ec.crypto.derivation import Derivation
from s3ec.errors import (
    CommitmentMismatchError,
    CommitmentPolicyError,
    ConfigurationError,
    ConflictingMetadataError,
    EncryptionContextMismatchError,
    KeyringError,
    KeyUnwrapError,
    LegacyAlgorithmError,
    MalformedMetadataError,
    PolicyError,
    S3ECError,
)
from s3ec.formats import ContentMetadata
from s3ec.keyrings import AesKeyring, DefaultMaterialsManager, RsaKeyring
from s3ec.materials import STORED_CONTEXT, DecryptionMaterialsRequest, EncryptedDataKey

from support import headers
from support.materials import DATA_KEY, CountingManager, FixedKeys
from support.vectors import vector

COMMITTING = AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY
ALLOW = CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
REQUIRE = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
ALL_LEAVES: dict[str, Any] = {"commitment_policy": ALLOW, "enable_legacy_unauthenticated_modes": True}
LENGTHS = {
    WrappingAlgorithm.AES_GCM: 60,
    WrappingAlgorithm.AES_WRAP: 40,
    WrappingAlgorithm.AES_ECB: 48,
}


def begin(content_metadata: ContentMetadata, manager: Any, **changed: Any) -> ContentCipher:
    """Begin with the default settings and the stored context, save for what is changed."""
    options: dict[str, Any] = {
        "commitment_policy": REQUIRE,
        "enable_legacy_unauthenticated_modes": False,
        "encryption_context": STORED_CONTEXT,
        **changed,
    }
    return decryption.check(content_metadata, materials_manager=manager, **options).open()


def refused(
    error: type[S3ECError], content_metadata: ContentMetadata, *, keys: FixedKeys | None = None, **changed: Any
) -> S3ECError:
    """Assert that both entrances refuse with exactly this error and that nobody was asked for a key."""
    manager = CountingManager(keys or FixedKeys(enable_legacy_wrapping_algorithms=True))
    with pytest.raises(S3ECError) as refusal:
        begin(content_metadata, manager, **changed)
    assert type(refusal.value) is error
    assert manager.calls == 0
    options = {"commitment_policy": REQUIRE, "enable_legacy_unauthenticated_modes": False}
    with pytest.raises(error):
        decryption.check(
            content_metadata,
            materials_manager=manager,
            **{**options, "encryption_context": STORED_CONTEXT, **changed},
        )
    return refusal.value


def stored(
    algorithm: WrappingAlgorithm, content: str, *, length: int | None = None, **description: str
) -> ContentMetadata:
    """Content metadata of the format that has such content, under any wrapping."""
    size = LENGTHS.get(algorithm, 256) if length is None else length
    if algorithm is WrappingAlgorithm.KMS_CONTEXT:
        description = {**description, "aws:x-amz-cek-alg": content}
    common: dict[str, Any] = {
        "encrypted_data_key": EncryptedDataKey(bytes(size), algorithm),
        "content_algorithm": content,
        "description": description,
    }
    if content == "115":
        return ContentMetadata(
            format=FormatVersion.V3,
            algorithm_suite=COMMITTING,
            message_id=headers.MESSAGE_ID,
            commitment=Derivation(DATA_KEY, headers.MESSAGE_ID).commitment(),
            **common,
        )
    cbc = content.startswith("AES/CBC")
    return ContentMetadata(
        format=FormatVersion.V1 if cbc and algorithm.wire_name is None else FormatVersion.V2,
        algorithm_suite=AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF
        if cbc
        else AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
        iv=headers.IV_CBC if cbc else headers.IV_GCM,
        tag_length_bits=0 if cbc else 128,
        **common,
    )


SOUND = [algorithm for algorithm in WrappingAlgorithm if not algorithm.is_legacy]
LEGACY = [algorithm for algorithm in WrappingAlgorithm if algorithm.is_legacy]
SETTINGS = list(itertools.product(CommitmentPolicy, (False, True), (False, True)))


class TestDecisionTable:
    """Content, wrapping and policy against the opt-ins for legacy content and legacy wrapping, one test per cell."""

    @pytest.mark.parametrize("algorithm", SOUND, ids=lambda algorithm: algorithm.name)
    @pytest.mark.parametrize(("policy", "content", "wrapping"), SETTINGS)
    def test_committing_content(
        self, algorithm: WrappingAlgorithm, policy: CommitmentPolicy, content: bool, wrapping: bool
    ) -> None:
        """Committing objects are read under every policy and with every opt-in."""
        self._decide(stored(algorithm, "115"), policy, content, wrapping, expected=None)

    @pytest.mark.parametrize("algorithm", SOUND, ids=lambda algorithm: algorithm.name)
    @pytest.mark.parametrize(("policy", "content", "wrapping"), SETTINGS)
    def test_gcm_under_a_sound_wrapping(
        self, algorithm: WrappingAlgorithm, policy: CommitmentPolicy, content: bool, wrapping: bool
    ) -> None:
        """Plain GCM needs a policy that allows it, and no opt-in."""
        expected = CommitmentPolicyError if policy is REQUIRE else None
        self._decide(stored(algorithm, headers.GCM), policy, content, wrapping, expected)

    @pytest.mark.parametrize("algorithm", LEGACY, ids=lambda algorithm: algorithm.name)
    @pytest.mark.parametrize(("policy", "content", "wrapping"), SETTINGS)
    def test_gcm_under_a_legacy_wrapping(
        self, algorithm: WrappingAlgorithm, policy: CommitmentPolicy, content: bool, wrapping: bool
    ) -> None:
        """Plain GCM whose wrapping binds nothing, Amazon SES's mail among it, needs the keyring's opt-in as well."""
        expected = CommitmentPolicyError if policy is REQUIRE else None if wrapping else LegacyAlgorithmError
        self._decide(stored(algorithm, headers.GCM), policy, content, wrapping, expected)

    @pytest.mark.parametrize("algorithm", LEGACY, ids=lambda algorithm: algorithm.name)
    @pytest.mark.parametrize(("policy", "content", "wrapping"), SETTINGS)
    def test_cbc_under_a_legacy_wrapping(
        self, algorithm: WrappingAlgorithm, policy: CommitmentPolicy, content: bool, wrapping: bool
    ) -> None:
        """CBC needs both opt-ins and a policy that allows it."""
        expected: type[PolicyError] | None = None
        if not content:
            expected = LegacyAlgorithmError
        elif policy is REQUIRE:
            expected = CommitmentPolicyError
        elif not wrapping:
            expected = LegacyAlgorithmError
        self._decide(stored(algorithm, headers.CBC), policy, content, wrapping, expected)

    @pytest.mark.parametrize("algorithm", SOUND, ids=lambda algorithm: algorithm.name)
    @pytest.mark.parametrize(("policy", "content", "wrapping"), SETTINGS)
    def test_cbc_under_a_sound_wrapping(
        self, algorithm: WrappingAlgorithm, policy: CommitmentPolicy, content: bool, wrapping: bool
    ) -> None:
        """CBC under a wrapping that binds it needs the opt-in for content alone."""
        expected: type[PolicyError] | None = None
        if not content:
            expected = LegacyAlgorithmError
        elif policy is REQUIRE:
            expected = CommitmentPolicyError
        self._decide(stored(algorithm, headers.CBC), policy, content, wrapping, expected)

    def _decide(
        self,
        content_metadata: ContentMetadata,
        policy: CommitmentPolicy,
        content: bool,
        wrapping: bool,
        expected: type[PolicyError] | None,
    ) -> None:
        keys = FixedKeys(enable_legacy_wrapping_algorithms=wrapping)
        options: dict[str, Any] = {"commitment_policy": policy, "enable_legacy_unauthenticated_modes": content}
        if expected is not None:
            refusal = refused(expected, content_metadata, keys=keys, **options)
            assert isinstance(refusal, PolicyError)
            assert refusal.setting in str(refusal)
            return
        manager = CountingManager(keys)
        assert begin(content_metadata, manager, **options).suite is content_metadata.algorithm_suite
        assert manager.calls == 1


def test_a_refusal_names_every_setting_that_the_object_needs() -> None:
    """Whoever meets an old object learns at once of all the opt-ins it takes, and of none that is there already."""
    cbc = stored(WrappingAlgorithm.KMS, headers.CBC)
    keys = FixedKeys()
    first = refused(LegacyAlgorithmError, cbc, keys=keys)
    assert isinstance(first, PolicyError)
    assert first.setting == "enable_legacy_unauthenticated_modes"
    for setting in ("enable_legacy_unauthenticated_modes", "commitment_policy", "enable_legacy_wrapping_algorithms"):
        assert setting in str(first)
    second = refused(CommitmentPolicyError, cbc, keys=keys, enable_legacy_unauthenticated_modes=True)
    assert "enable_legacy_unauthenticated_modes" not in str(second)
    third = refused(LegacyAlgorithmError, cbc, keys=keys, **ALL_LEAVES)
    assert isinstance(third, PolicyError)
    assert third.setting == "enable_legacy_wrapping_algorithms"
    assert "commitment_policy" not in str(third)


def test_the_order_of_refusals() -> None:
    """Content, policy, lengths, wrapping, keyring, contradictions, context: in this order, one after the other."""
    description = {"team": "hr", "aws:x-amz-cek-alg": headers.GCM}
    content_metadata = replace(stored(WrappingAlgorithm.KMS, headers.CBC), iv=bytes(16), description=description)
    settings: dict[str, Any] = {"encryption_context": {"team": "it"}, "keys": FixedKeys(families=("aes",))}
    refused(LegacyAlgorithmError, content_metadata, **settings)
    settings["enable_legacy_unauthenticated_modes"] = True
    refused(CommitmentPolicyError, content_metadata, **settings)
    settings["commitment_policy"] = ALLOW
    refused(MalformedMetadataError, content_metadata, **settings)
    content_metadata = replace(content_metadata, iv=headers.IV_CBC)
    refused(LegacyAlgorithmError, content_metadata, **settings)
    settings["keys"] = FixedKeys(families=("aes",), enable_legacy_wrapping_algorithms=True)
    refused(KeyringError, content_metadata, **settings)
    settings["keys"] = FixedKeys(enable_legacy_wrapping_algorithms=True, binds_encryption_context=False)
    refused(ConflictingMetadataError, content_metadata, **settings)
    content_metadata = replace(content_metadata, description={"team": "hr"})
    refused(ConfigurationError, content_metadata, **settings)
    settings["keys"] = FixedKeys(enable_legacy_wrapping_algorithms=True)
    refused(EncryptionContextMismatchError, content_metadata, **settings)
    settings["encryption_context"] = {"team": "hr"}
    assert begin(content_metadata, settings.pop("keys"), **settings)


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        ("115", {"message_id": None}),
        ("115", {"message_id": b""}),
        ("115", {"message_id": bytes(range(1, 28))}),
        ("115", {"message_id": bytes(range(1, 30))}),
        ("115", {"message_id": bytes(28)}),
        ("115", {"commitment": None}),
        ("115", {"commitment": b""}),
        ("115", {"commitment": bytes(range(1, 28))}),
        ("115", {"commitment": bytes(range(1, 30))}),
        ("115", {"commitment": bytes(28)}),
        (headers.GCM, {"iv": None}),
        (headers.GCM, {"iv": b""}),
        (headers.GCM, {"iv": headers.IV_CBC}),
        (headers.GCM, {"iv": bytes(range(1, 12))}),
        (headers.GCM, {"iv": bytes(12)}),
        (headers.CBC, {"iv": None}),
        (headers.CBC, {"iv": headers.IV_GCM}),
        (headers.CBC, {"iv": bytes(range(1, 18))}),
        (headers.CBC, {"iv": bytes(16)}),
        ("AES/CBC/NoPadding", {"iv": headers.IV_GCM}),
    ],
)
def test_lengths_and_zeros(content: str, changed: dict[str, Any]) -> None:
    """A message ID, commitment or IV of another length, or one never initialised, is refused before the keyring."""
    content_metadata = replace(stored(WrappingAlgorithm.KMS_CONTEXT, content), **changed)
    refused(MalformedMetadataError, content_metadata, **ALL_LEAVES)


def test_the_fixed_iv_of_committing_content_is_not_a_zero_iv() -> None:
    """A message ID that is nearly zero is fine; only a generator that failed altogether is refused."""
    message_id = bytes(27) + b"\x01"
    content_metadata = replace(
        stored(WrappingAlgorithm.KMS_CONTEXT, "115"),
        message_id=message_id,
        commitment=Derivation(DATA_KEY, message_id).commitment(),
    )
    assert begin(content_metadata, FixedKeys()).iv == b"\x01" * 12


@pytest.mark.parametrize(
    ("algorithm", "content", "right"),
    [
        (WrappingAlgorithm.AES_GCM, "115", {60}),
        (WrappingAlgorithm.AES_GCM, headers.GCM, {44, 52, 60}),
        (WrappingAlgorithm.AES_GCM, headers.CBC, {44, 52, 60}),
        (WrappingAlgorithm.AES_WRAP, headers.GCM, {24, 32, 40}),
        (WrappingAlgorithm.AES_ECB, headers.CBC, {32, 48}),
        (WrappingAlgorithm.RSA_OAEP_SHA1, "115", set(range(64, 2049))),
        (WrappingAlgorithm.RSA_OAEP_SHA256, headers.GCM, set(range(64, 2049))),
        (WrappingAlgorithm.RSA_PKCS1, headers.CBC, set(range(64, 2049))),
        (WrappingAlgorithm.KMS, headers.GCM, set(range(1, 6145))),
        (WrappingAlgorithm.KMS_CONTEXT, "115", set(range(1, 6145))),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_lengths_of_encrypted_data_keys(algorithm: WrappingAlgorithm, content: str, right: set[int]) -> None:
    """An encrypted data key has a length that its wrapping gives; the empty one never has."""
    manager = FixedKeys(enable_legacy_wrapping_algorithms=True)
    for length in (0, 1, 16, 23, 24, 25, 31, 32, 33, 40, 44, 45, 48, 52, 59, 60, 61, 63, 64, 2048, 2049, 6144, 6145):
        content_metadata = stored(algorithm, content, length=length)
        if length in right:
            assert begin(content_metadata, manager, **ALL_LEAVES)
        else:
            error = refused(MalformedMetadataError, content_metadata, **ALL_LEAVES)
            assert f"{length} bytes" in str(error)


@pytest.mark.parametrize("algorithm", list(WrappingAlgorithm), ids=lambda algorithm: algorithm.name)
def test_a_keyring_of_another_kind(algorithm: WrappingAlgorithm) -> None:
    """A wrapping that the keyring cannot open is its owner's mistake, seen in the metadata alone."""
    content_metadata = stored(algorithm, headers.GCM)
    families = tuple({"kms", "aes", "rsa"} - {algorithm.family})
    keys = FixedKeys(families=families, enable_legacy_wrapping_algorithms=True)
    error = refused(KeyringError, content_metadata, keys=keys, **ALL_LEAVES)
    assert algorithm.label in str(error)


class TestDowngrades:
    """Metadata that an attacker changed, while the encrypted data key still opens."""

    LEAVES = ALL_LEAVES

    def test_content_relabelled_under_kms_context(self) -> None:
        """The context names the content algorithm; another one in the metadata is refused before KMS."""
        for content, bound in itertools.product((headers.GCM, headers.CBC, "115"), (headers.GCM, headers.CBC, "115")):
            content_metadata = stored(WrappingAlgorithm.KMS_CONTEXT, content)
            changed = replace(content_metadata, description={"aws:x-amz-cek-alg": bound})
            if content == bound:
                assert begin(changed, FixedKeys(), **self.LEAVES)
            else:
                refused(ConflictingMetadataError, changed, **self.LEAVES)

    def test_a_context_that_names_no_content_under_kms_context(self) -> None:
        """Where the pair is missing nothing binds the algorithm."""
        for description in ({}, {"team": "hr"}, {"AWS:X-AMZ-CEK-ALG": "115"}, {"aws:x-amz-cek-alg": ""}):
            changed = replace(stored(WrappingAlgorithm.KMS_CONTEXT, "115"), description=description)
            refused(ConflictingMetadataError, changed, **self.LEAVES)

    @pytest.mark.parametrize("content", [headers.GCM, headers.CBC])
    @pytest.mark.parametrize("bound", [headers.GCM, headers.CBC, "115", "", "kms"])
    @pytest.mark.parametrize("given", [None, {}, {"team": "hr"}, STORED_CONTEXT])
    def test_kms_context_relabelled_as_kms(self, content: str, bound: str, given: Any) -> None:
        """No writer of `kms` names the algorithm in the context: the object was relabelled to skip the comparison."""
        content_metadata = stored(WrappingAlgorithm.KMS, content, team="hr")
        changed = replace(content_metadata, description={"team": "hr", "aws:x-amz-cek-alg": bound})
        refused(ConflictingMetadataError, changed, encryption_context=given, **self.LEAVES)

    def test_ses_mail_is_not_taken_for_a_downgrade(self) -> None:
        """Mail from Amazon SES is GCM under `kms` with a context of its own and no algorithm in it."""
        mail = stored(WrappingAlgorithm.KMS, headers.GCM, **{"aws:ses:message-id": "1", "aws:ses:rule-name": "r"})
        assert begin(
            mail, FixedKeys(enable_legacy_wrapping_algorithms=True), commitment_policy=ALLOW, encryption_context=None
        )

    @pytest.mark.parametrize("algorithm", LEGACY, ids=lambda algorithm: algorithm.name)
    def test_committing_content_under_a_legacy_wrapping(self, algorithm: WrappingAlgorithm) -> None:
        """No client writes it, and with the opt-in for such wrappings it must still not be read."""
        refused(ConflictingMetadataError, stored(algorithm, "115"), **self.LEAVES)

    @pytest.mark.parametrize(
        ("content", "format_version"),
        [
            ("115", FormatVersion.V1),
            ("115", FormatVersion.V2),
            (headers.GCM, FormatVersion.V1),
            (headers.GCM, FormatVersion.V3),
            (headers.CBC, FormatVersion.V3),
        ],
    )
    def test_content_that_its_format_does_not_have(self, content: str, format_version: FormatVersion) -> None:
        """Metadata that did not come from the parser obeys the same rules."""
        content_metadata = replace(stored(WrappingAlgorithm.AES_GCM, content), format=format_version)
        refused(ConflictingMetadataError, content_metadata, **self.LEAVES)


class TestContext:
    """The encryption context of a read against the stored one."""

    KMS = stored(WrappingAlgorithm.KMS_CONTEXT, "115", team="private-hr", kms_cmk_id="alias/old")
    OLD = stored(WrappingAlgorithm.KMS, headers.GCM, team="private-hr", kms_cmk_id="alias/old")
    LEAVES: dict[str, Any] = {"commitment_policy": ALLOW}

    @pytest.mark.parametrize("given", [{"team": "private-hr"}, STORED_CONTEXT])
    def test_the_right_one(self, given: Any) -> None:
        """The caller repeats their own pairs, without those of the clients; KMS gets all of them as stored."""
        manager = CountingManager(FixedKeys())
        assert begin(self.KMS, manager, encryption_context=given)
        (request,) = manager.requests
        assert request.description == self.KMS.description  # type: ignore[union-attr]  # a request for decryption

    @pytest.mark.parametrize(
        "given",
        [
            None,
            {},
            {"team": "it"},
            {"Team": "private-hr"},
            {"team": "private-hr", "more": "1"},
            {"team": "private-hr", "kms_cmk_id": "alias/old"},
            {"team": "private-hr", "aws:x-amz-cek-alg": "115"},
        ],
    )
    def test_another_one(self, given: Any) -> None:
        """Anything else is refused before KMS; the error tells the stored names and no value."""
        error = refused(EncryptionContextMismatchError, self.KMS, encryption_context=given)
        assert "'team'" in str(error)
        assert "STORED_CONTEXT" in str(error)
        assert "private" not in str(error)

    @pytest.mark.parametrize(
        "given", ["team", [("team", "hr")], {"team": 1}, {1: "hr"}, {"team": "\ud800"}, 7], ids=ascii
    )
    def test_what_is_no_context(self, given: Any) -> None:
        """A context is text, or the constant: anything else is the caller's mistake, under every wrapping."""
        refused(ConfigurationError, self.KMS, encryption_context=given)
        refused(ConfigurationError, stored(WrappingAlgorithm.AES_GCM, "115"), encryption_context=given)

    def test_the_error_stays_short(self) -> None:
        """However many names an attacker stored, the error lists a few of them, escaped."""
        many = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{f"name\n{n}": "private" for n in range(1000)})
        text = str(refused(EncryptionContextMismatchError, many, encryption_context=None))
        assert "'name\\n19'" in text
        assert "980 more" in text
        assert "\n" not in text
        assert len(text) < 1000

    def test_the_error_tells_of_twenty_names(self) -> None:
        """As many as are shown are not followed by a count of none."""
        twenty = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{f"name{n}": "private" for n in range(20)})
        error = refused(EncryptionContextMismatchError, twenty, encryption_context=None)
        assert "'name19';" in str(error)
        assert "more" not in str(error)

    def test_the_error_tells_which_value_differs(self) -> None:
        """By the names of the pairs whose values differ, and no others, where all names are right."""
        three = stored(WrappingAlgorithm.KMS_CONTEXT, "115", team="private-hr", year="1999", kind="private-x")
        given = {"team": "private-hr", "year": "2000", "kind": "private-x"}
        one = refused(EncryptionContextMismatchError, three, encryption_context=given)
        assert "the value of 'year' differs; give" in str(one)
        two = refused(EncryptionContextMismatchError, three, encryption_context={**given, "team": "x"})
        assert "the values of 'team', 'year' differ; give" in str(two)

    def test_the_error_tells_where_it_was_read(self) -> None:
        """The place that was compared, or that there was none to compare with."""
        bound = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{"aws:s3:arn": "arn:aws:s3:::bucket/one"})
        for place, said in (
            ("arn:aws:s3:::bucket/two", "but it was read as 'arn:aws:s3:::bucket/two': was"),
            ("", "but Bucket and Key, to compare with, were not given: was"),
        ):
            assert said in str(refused(EncryptionContextMismatchError, bound, object_arn=place))

    def test_no_context_was_stored(self) -> None:
        """Where none is stored none is needed, and none is accepted."""
        bare = stored(WrappingAlgorithm.KMS_CONTEXT, "115")
        for given in (None, {}, STORED_CONTEXT):
            assert begin(bare, FixedKeys(), encryption_context=given)
        error = refused(EncryptionContextMismatchError, bare, encryption_context={"team": "private-hr"})
        assert "stored no names" in str(error)

    def test_kms_v1(self) -> None:
        """Under `kms` nothing need be given, as with the clients of that time; what is given is compared."""
        keys = FixedKeys(enable_legacy_wrapping_algorithms=True)
        for given in (None, {"team": "private-hr"}, STORED_CONTEXT):
            assert begin(self.OLD, keys, encryption_context=given, **self.LEAVES)
        for wrong in ({}, {"team": "it"}, {"team": "private-hr", "kms_cmk_id": "alias/old"}):
            refused(EncryptionContextMismatchError, self.OLD, encryption_context=wrong, **self.LEAVES)

    @pytest.mark.parametrize("algorithm", [WrappingAlgorithm.AES_GCM, WrappingAlgorithm.RSA_OAEP_SHA1])
    def test_raw_keys(self, algorithm: WrappingAlgorithm) -> None:
        """A raw keyring binds none: given one, it is refused, even where a description of that text is stored."""
        described = stored(algorithm, "115", team="private-hr")
        raw = FixedKeys(binds_encryption_context=False, families=("aes", "rsa"))
        for given in (None, {}, STORED_CONTEXT):
            assert begin(described, raw, encryption_context=given)
        refused(ConfigurationError, described, keys=raw, encryption_context={"team": "private-hr"})
        # A manager that chooses among keyrings binds contexts, but this object has none.
        refused(EncryptionContextMismatchError, described, encryption_context={"team": "private-hr"})

    def test_a_context_that_was_not_stated_names_no_other_place(self) -> None:
        """Whoever takes the stored context as it is still reads only what belongs where it was found."""
        arn = "arn:aws:s3:::bucket/key"
        bound = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{"aws:s3:arn": arn}, team="hr")
        for place in (arn, "arn:aws-cn:s3:::bucket/key", None):
            assert begin(bound, FixedKeys(), object_arn=place)
        error = refused(EncryptionContextMismatchError, bound, object_arn=f"{arn}2")
        assert "was it swapped" in str(error)
        error = refused(EncryptionContextMismatchError, bound, object_arn="")
        assert "were not given" in str(error)
        for other in ("arn:aws:s3:::bucket", "arn:aws:dynamodb:::table/key", "text"):
            free = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{"aws:s3:arn": other})
            assert begin(free, FixedKeys(), object_arn=arn)

    def test_bound_pairs_must_be_stored(self) -> None:
        """Pairs that bind the object to its place are checked, whatever the caller gives, and need not be repeated."""
        arn = "arn:aws:s3:::bucket/key"
        bound = {"aws:s3:arn": arn}
        here = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **bound, team="private-hr")
        there = stored(WrappingAlgorithm.KMS_CONTEXT, "115", **{"aws:s3:arn": f"{arn}2"}, team="private-hr")
        for given in ({"team": "private-hr"}, {"team": "private-hr", **bound}, STORED_CONTEXT):
            assert begin(here, FixedKeys(), encryption_context=given, bound_context=bound)
            for other in (there, self.KMS):
                error = refused(EncryptionContextMismatchError, other, encryption_context=given, bound_context=bound)
                assert "'aws:s3:arn'" in str(error)
                assert arn not in str(error)
                assert "private" not in str(error)
        refused(EncryptionContextMismatchError, here, encryption_context=None, bound_context=bound)
        refused(
            EncryptionContextMismatchError,
            here,
            encryption_context={"team": "private-hr", "aws:s3:arn": f"{arn}2"},
            bound_context=bound,
        )
        # Without the option the pair is the caller's like any other.
        refused(EncryptionContextMismatchError, here, encryption_context={"team": "private-hr"})
        assert begin(here, FixedKeys(), encryption_context={"team": "private-hr", **bound})

    def test_bound_pairs_reach_old_and_raw_objects_too(self) -> None:
        """An object that cannot be bound is not where a binding reader expects it."""
        bound = {"aws:s3:arn": "arn:aws:s3:::bucket/key"}
        for content_metadata in (self.OLD, stored(WrappingAlgorithm.AES_GCM, "115", **bound)):
            refused(
                EncryptionContextMismatchError,
                content_metadata,
                encryption_context=None,
                bound_context=bound,
                **self.LEAVES,
            )


@pytest.mark.parametrize(
    ("content", "right"), [("115", {32}), (headers.GCM, {16, 24, 32}), (headers.CBC, {16, 24, 32})]
)
@pytest.mark.parametrize("length", [0, 1, 15, 16, 24, 31, 32, 33, 64])
def test_lengths_of_data_keys(content: str, right: set[int], length: int) -> None:
    """Old objects have data keys of three lengths, committing ones of exactly one; KMS may answer with any."""
    message_id = headers.MESSAGE_ID
    content_metadata = stored(WrappingAlgorithm.KMS_CONTEXT, content)
    keys = FixedKeys(data_key=bytes(range(length)))
    if length not in right:
        with pytest.raises(KeyringError, match="without a data key"):
            begin(content_metadata, keys, **ALL_LEAVES)
        return
    if content == "115":
        content_metadata = replace(content_metadata, commitment=Derivation(keys.data_key, message_id).commitment())
        assert begin(content_metadata, keys).key == Derivation(keys.data_key, message_id).content_key()
    else:
        assert begin(content_metadata, keys, **ALL_LEAVES).key == keys.data_key


@pytest.mark.parametrize("answer", [None, "x" * 32, 32])
def test_an_answer_that_is_no_data_key(answer: Any) -> None:
    """A custom keyring's mistake is a keyring's error, not one of Python's types."""
    for content in ("115", headers.GCM):
        with pytest.raises(KeyringError, match="without a data key"):
            begin(stored(WrappingAlgorithm.KMS_CONTEXT, content), FixedKeys(data_key=answer), **ALL_LEAVES)


def test_another_data_key_does_not_meet_the_commitment() -> None:
    """A data key that was exchanged, or a commitment or message ID that was altered, stops before the content."""
    right = stored(WrappingAlgorithm.KMS_CONTEXT, "115")
    commitment = right.commitment or b""
    wrong = [
        (right, FixedKeys(data_key=bytes(32))),
        (replace(right, message_id=bytes(range(2, 30))), FixedKeys()),
        (replace(right, commitment=bytes([commitment[0] ^ 1]) + commitment[1:]), FixedKeys()),
        (replace(right, commitment=commitment[:-1] + bytes([commitment[-1] ^ 128])), FixedKeys()),
    ]
    for content_metadata, keys in wrong:
        with pytest.raises(CommitmentMismatchError):
            begin(content_metadata, keys)


def test_a_known_committing_object() -> None:
    """A whole object published with the Go client's tests: commitment, content key, IV and additional data."""
    content_metadata = replace(
        stored(WrappingAlgorithm.KMS_CONTEXT, "115"),
        message_id=base64.b64decode("sE9zLb4tsEBJkvEhLMZFxMj9oZJBbQ6ZOgOqHA=="),
        commitment=base64.b64decode("6JOSx47RkdyfciJkNauuC4RpkMcWZY4a+i1RzQ=="),
    )
    body = bytes.fromhex(
        "2d4ff4dafe27f69f628872d82b5a1002ed1a21b8485d532bd8159f6487945b3641af5865fc0a029a3650053600c6d213"
        "625b9a0cc9c239577c09f3423dedc5641e88b6835824417c"
    )
    data_key = base64.b64decode("lP6AbIQTmptyb/+WQq+ubDw+w7na0T1LGSByZGuaono=")
    cipher = begin(content_metadata, FixedKeys(data_key=data_key))
    assert cipher.key.reveal().hex() == "0bd256e569a37d67567f522c38dbe32fdd0c1e28333dec1324197b54325eade6"
    decryptor = cipher.decryptor()
    assert decryptor.update(body[:-16]).hex() == (
        "8f2c59c6dbfcacf356f3da40788cbde67ca38161a4702cbcf757af663e1c24a6"
        "00001b2f500417dbf5a050f57db6737422b2ed6a44c75e0d"
    )
    decryptor.verify(body[-16:])


def test_what_the_keyring_is_asked() -> None:
    """The request carries the object's own texts and the policy, which belongs in every cache's key."""
    manager = CountingManager(FixedKeys())
    content_metadata = stored(WrappingAlgorithm.AES_GCM, "AES/CBC/PKCS7Padding", key="1")
    begin(content_metadata, manager, **ALL_LEAVES)
    (request,) = manager.requests
    assert request == DecryptionMaterialsRequest(
        algorithm_suite=AlgorithmSuite.ALG_AES_256_CBC_IV16_NO_KDF,
        commitment_policy=ALLOW,
        content_algorithm="AES/CBC/PKCS7Padding",
        encrypted_data_key=content_metadata.encrypted_data_key,
        description={"key": "1"},
    )


def rsa_object(encrypted_data_key: bytes) -> dict[str, str]:
    """An object of a V1-era client whose data key an attacker put there."""
    return headers.v1(**{"x-amz-key": headers.b64(encrypted_data_key)})


def outcome(metadata: dict[str, str], *, in_file: bool, manager: CountingManager, **options: Any) -> tuple[type, str]:
    """How reading an object ends, as whoever may write the bucket sees it."""
    try:
        content_metadata = (
            formats.parse_instruction_file(json.dumps(metadata).encode(), {})
            if in_file
            else formats.parse_object(metadata)
        )
        decryptor = begin(content_metadata, manager, **options).decryptor()
        body = bytes(range(64))
        if content_metadata.algorithm_suite.is_legacy:
            decryptor.update(body)
            decryptor.finish()
        else:
            decryptor.update(body[:-16])
            decryptor.verify(body[-16:])
    except S3ECError as error:
        return type(error), str(error)
    return str, "read"


class TestOracles:
    """An attacker who may replace objects learns nothing about what a private key made of a data key."""

    RSA_KEY = load_pem_private_key(vector("java/java4-rsa2048-meta-17").key["private_pem"].encode(), password=None)
    CBC_FAILS_UNDER = bytes(range(16, 48))

    @classmethod
    @functools.cache
    def candidates(cls) -> dict[str, bytes]:
        """Encrypted data keys: sound padding with several contents, and broken padding."""
        public = cls.RSA_KEY.public_key()
        sound = {
            "sound": cls.CBC_FAILS_UNDER,
            "sound, 16 bytes": cls.CBC_FAILS_UNDER[:16],
            "sound, another length": bytes(17),
            "sound, empty": b"",
            "sound, long": bytes(200),
        }
        encrypted = {name: public.encrypt(key, padding.PKCS1v15()) for name, key in sound.items()}
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - what the format says
        encrypted["another padding"] = public.encrypt(cls.CBC_FAILS_UNDER, oaep)
        encrypted |= {f"noise {n}": b"\x01" + bytes([n]) * 255 for n in range(4)}
        encrypted["above the modulus"] = b"\xff" * 256
        encrypted["another modulus' length"] = bytes(range(128))
        return encrypted

    @pytest.mark.parametrize("in_file", [False, True], ids=["metadata", "file"])
    @pytest.mark.parametrize("policy", list(CommitmentPolicy), ids=lambda policy: policy.name)
    @pytest.mark.parametrize(("content", "wrapping"), list(itertools.product((False, True), (False, True))))
    @pytest.mark.parametrize("shape", ["V1", "V2, CBC", "V2, GCM"])
    def test_pkcs1_padding(
        self, in_file: bool, policy: CommitmentPolicy, content: bool, wrapping: bool, shape: str
    ) -> None:
        """Sound and broken padding end in one error of one text, under every policy and with every opt-in."""
        keyring = RsaKeyring(private_key=self.RSA_KEY, enable_legacy_wrapping_algorithms=wrapping)
        manager = CountingManager(DefaultMaterialsManager(keyring))
        outcomes = {}
        for name, encrypted in self.candidates().items():
            metadata = rsa_object(encrypted)
            if shape != "V1":
                metadata["x-amz-key-v2"] = metadata.pop("x-amz-key")
            if shape == "V2, GCM":
                metadata |= {"x-amz-cek-alg": headers.GCM, "x-amz-iv": headers.b64(headers.IV_GCM)}
            options: dict[str, Any] = {"commitment_policy": policy, "enable_legacy_unauthenticated_modes": content}
            outcomes[name] = outcome(metadata, in_file=in_file, manager=manager, **options)
        assert len(set(outcomes.values())) == 1, outcomes
        asked = wrapping and policy is not REQUIRE and (content or shape == "V2, GCM")
        assert manager.calls == (len(outcomes) if asked else 0)
        (error, text) = outcomes["sound"]
        assert issubclass(error, KeyUnwrapError if asked else PolicyError)
        assert text

    def test_aes_ecb_padding(self) -> None:
        """The same for a data key under AES-ECB: wrong padding, wrong length and wrong content are one."""
        keyring = AesKeyring(bytes(32), enable_legacy_wrapping_algorithms=True)
        manager = CountingManager(DefaultMaterialsManager(keyring))
        encryptor = Cipher(AES(bytes(32)), ECB()).encryptor()  # noqa: S305 - legacy objects are wrapped so
        padded = self.CBC_FAILS_UNDER + b"\x10" * 16
        candidates = [encryptor.update(padded), bytes(48), bytes(32), encryptor.update(bytes(31) + b"\x09" + bytes(16))]
        outcomes = {
            outcome(rsa_object(encrypted), in_file=False, manager=manager, **ALL_LEAVES) for encrypted in candidates
        }
        assert len(outcomes) == 1
        assert next(iter(outcomes))[0] is KeyUnwrapError
        assert manager.calls == len(candidates)
