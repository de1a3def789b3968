"""Which bucket is encrypted with what, where the code names no key: files, variables, profiles; all else is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from s3ec.errors import ConfigurationError
from s3ec.rules.bucket_rules import BucketRules, Mode, load_rules

FILE = """
[[bucket]]
match = "pay*"
kms_key = "alias/payroll"
context = { team = "hr" }

[[bucket]]
match = ["logs-*", "tmp"]
mode = "plain"

[[bucket]]
match = "raw"
aes_key_file = "wrapping.key"
verified_range_limit = 5

[[bucket]]
match = "payments-old"
mode = "refuse"
"""


def rules(environ: dict[str, str] | None = None, profile: dict[str, Any] | None = None, **more: Any) -> BucketRules:
    """The rules of an environment and a profile that hold nothing else."""
    return load_rules(environ=environ or {}, profile=profile or {}, **more)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with rules, and the key beside it."""
    (tmp_path / "wrapping.key").write_bytes(bytes(range(32)))
    path = tmp_path / "s3ec.toml"
    path.write_text(FILE, "utf-8")
    return path


def test_file(file: Path) -> None:
    """The first rule that matches decides; what no rule names is refused."""
    found = rules({"S3EC_CONFIG": str(file)})
    assert found.of("payroll").settings.kms_key == "alias/payroll"
    assert found.of("payroll").settings.context == {"team": "hr"}
    assert found.of("payments-old").mode is Mode.ENCRYPT
    assert found.of("logs-2026").mode is found.of("tmp").mode is Mode.PLAIN
    assert found.of("PAYROLL").mode is found.of("other").mode is Mode.REFUSE
    options = found.of("raw").options()
    assert options.verified_range_limit == 5
    assert "no rule names bucket other" in str(found.refusal("other"))
    found.check()


def test_python_3_10_reads_it_with_tomli(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the extra `cli` brings; without it the error says so."""
    if sys.version_info < (3, 11):
        assert rules(file=file).of("tmp").mode is Mode.PLAIN
        assert "tomli" in sys.modules
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(ConfigurationError, match=r"needs tomli on Python 3\.10: pip install 's3ec\[cli\]'"):
        rules(file=file)


def test_key_files_stand_beside_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative names are the file's, wherever a child of the program works."""
    monkeypatch.chdir("/")
    assert rules(file=file).of("raw").settings.aes_key_file == str(file.parent / "wrapping.key")


@pytest.mark.parametrize(
    ("environ", "profile", "expected"),
    [
        ({"S3EC_KMS_KEY": "alias/e"}, {}, "alias/e"),
        ({"S3EC_KMS_KEY": "alias/e"}, {"s3ec_kms_key": "alias/p"}, "alias/e"),
        ({}, {"s3ec_kms_key": "alias/p"}, "alias/p"),
        ({"S3EC_BUCKETS": "b=alias/l"}, {"s3ec_kms_key": "alias/p"}, "alias/l"),
        ({}, {"s3ec_buckets": "b=alias/l *=plain", "s3ec_kms_key": "alias/p"}, "alias/l"),
        ({"S3EC_BUCKETS": "b=encrypt", "S3EC_KMS_KEY": "alias/e"}, {}, "alias/e"),
        ({"S3EC_BUCKETS": "b=alias/l"}, {"s3ec_config": "/nowhere"}, "alias/l"),
    ],
)
def test_places(environ: dict[str, str], profile: dict[str, Any], expected: str) -> None:
    """A variable wins over the profile, rules for buckets over the one key."""
    assert rules(environ, profile).of("b").settings.kms_key == expected


def test_one_line() -> None:
    """Rules in a variable: what they do not name is refused, though a key is in force."""
    found = rules({"S3EC_BUCKETS": "pay*=alias/p, logs-*=plain old=refuse", "S3EC_KMS_KEY": "alias/e"})
    assert [found.of(name).mode.value for name in ("pay", "logs-1", "old", "x")] == [
        "encrypt",
        "plain",
        "refuse",
        "refuse",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[bucket]]\nmatch = 'a'\nmod = 'plain'", "unknown setting 'mod': did you mean mode?"),
        ("[[buckets]]\nmatch = 'a'", "did you mean bucket?"),
        ("[bucket]\nmatch = 'a'", r"\[\[bucket\]\]"),
        ("[[bucket]]\nmode = 'plain'", "needs match"),
        ("[[bucket]]\nmatch = []\nmode = 'plain'", "needs match"),
        ("[[bucket]]\nmatch = 'a'\nmode = 'Plain'", "must be encrypt, plain or refuse"),
        ("[[bucket]]\nmatch = 'a'", "names no key"),
        ("[[bucket]]\nmatch = 'a'\nmode = 'plain'\nkms_key = 'k'", "kms_key has no meaning"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = 'k'\naes_key_file = 'f'", "different kinds"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = ''", "kms_key of .* must be a str"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = 'k'\nallow_legacy = 'false'", "must be a bool"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = 'k'\nunencrypted_objects = 'yes'", "refuse or allow"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = 'k'\nsizes = 'x'", "plaintext or stored"),
        ("[[bucket]]\nmatch = 'a'\nkms_key = 'k'\nbuffer_size = true", "must be a int"),
        ("[[bucket]]\nmatch = 's3://a'\nmode = 'plain'", r"match of .* without s3://.*'s3://a'"),
        ("[[bucket]]\nmatch = 'a/folder/*'\nmode = 'plain'", "without a folder"),
        ("[[bucket]]\nmatch = ['b', 'pay/*']\nmode = 'plain'", "without a folder"),
        ("[[bucket]]\nmatch = ' a'\nmode = 'plain'", "must name buckets"),
        ("[[bucket]]\nmatch = 'a, b'\nmode = 'plain'", "must name buckets"),
        ("default = 'encrypt'", "refuse or plain"),
        ("nonsense", "is not TOML"),
        ("[[bucket]]\nmatch = 'a'\nmode = 'plain'\nmatch = 'b'", "is not TOML"),
    ],
)
def test_files_without_meaning(tmp_path: Path, text: str, words: str) -> None:
    """Each is refused as a whole, with the place in it."""
    path = tmp_path / "s3ec.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=words) as caught:
        rules(file=path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "profile", "words"),
    [
        ({}, {}, "nothing says what to encrypt with"),
        ({"S3EC_CONFIG": "/nowhere/s3ec.toml"}, {}, "cannot read /nowhere/s3ec.toml"),
        ({"S3EC_CONFIG": "/nowhere", "S3EC_BUCKETS": "b=k"}, {}, "both name buckets"),
        ({}, {"s3ec_config": "/nowhere", "s3ec_buckets": "b=k"}, "both name buckets"),
        ({"S3EC_BUCKETS": "b"}, {}, "must be BUCKET=KEY"),
        ({"S3EC_BUCKETS": "b="}, {}, "must be BUCKET=KEY"),
        ({"S3EC_BUCKETS": "b=encrypt"}, {}, "names no key"),
        ({"S3EC_KMS_KEY": "k", "S3EC_AES_KEY_FILE": "f"}, {}, "different kinds"),
    ],
)
def test_nothing_is_guessed(environ: dict[str, str], profile: dict[str, Any], words: str) -> None:
    """No configuration, half of one, or two of them: an error that says so."""
    with pytest.raises(ConfigurationError, match=words):
        rules(environ, profile)


def test_keys_of_no_use_are_found_at_once(tmp_path: Path) -> None:
    """`check` reads the files; the error names the rule and the file, and nothing of its content."""
    key = tmp_path / "text.key"
    key.write_text("00112233445566778899aabbccddeeff", "utf-8")
    found = rules({"S3EC_AES_KEY_FILE": str(key)})
    with pytest.raises(ConfigurationError, match="S3EC_AES_KEY_FILE: .*text.key holds text") as caught:
        found.check()
    assert "0011" not in str(caught.value)
    (tmp_path / "rsa.pem").write_text("-----BEGIN PRIVATE KEY-----\n", "utf-8")
    with pytest.raises(ConfigurationError, match="rsa.pem"):
        rules({"S3EC_RSA_PRIVATE_KEY_FILE": str(tmp_path / "rsa.pem")}).check()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("kms_key = 'k'\ncontext = { kms_cmk_id = 'k' }", "context of .* must not hold kms_cmk_id"),
        ("aes_key_file = 'wrapping.key'\ncontext = { team = 'hr' }", "context of .* this keyring binds none"),
    ],
)
def test_contexts_of_no_use_are_found_at_once(file: Path, table: str, words: str) -> None:
    """`check` says what every write would."""
    file.write_text(f"[[bucket]]\nmatch = 'a'\n{table}", "utf-8")
    with pytest.raises(ConfigurationError, match=words):
        rules(file=file).check()


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "?ay",
        "pay-[ab]*",
        "Old_Bucket.1",
        "arn:aws:s3:eu-west-1:1:accesspoint/a",
        "*:accesspoint/a",
        "a*:accesspoint/a",
        "arn[:]aws:s3:*/a",
    ],
)
def test_names_that_requests_give(file: Path, pattern: str) -> None:
    """Buckets, and ARNs and aliases of access points."""
    file.write_text(f"[[bucket]]\nmatch = '{pattern}'\nmode = 'plain'", "utf-8")
    assert rules(file=file).rules[0].patterns == (pattern,)


def test_profile_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a profile at hand, the AWS configuration is asked."""
    config = tmp_path / "config"
    config.write_text("[default]\ns3ec_kms_key = alias/d\n[profile p]\ns3ec_buckets = b=alias/p\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.fspath(config))
    assert load_rules().of("b").settings.kms_key == "alias/d"
    assert load_rules(profile_name="p").of("c").mode is Mode.REFUSE


def test_sizes() -> None:
    """Listings speak of plaintext where every object that can be read is of a known form."""
    assert rules({"S3EC_KMS_KEY": "k"}).of("b").sizes == "plaintext"
    assert rules({"S3EC_KMS_KEY": "k", "S3EC_UNENCRYPTED_OBJECTS": "allow"}).of("b").sizes == "stored"
    assert rules({"S3EC_KMS_KEY": "k", "S3EC_ALLOW_LEGACY": "true"}).of("b").sizes == "stored"


def test_what_becomes_of_a_bucket_in_words(file: Path) -> None:
    """What a check prints."""
    found = rules(file=file)
    assert found.of("payroll").describe() == "encrypted with alias/payroll"
    assert found.of("tmp").describe() == "plain, not encrypted"
    assert found.of("other").describe() == "refused"
    with pytest.raises(ConfigurationError, match="has no key"):
        found.of("tmp").options()
