"""Which settings are in force: given on the spot, then the environment, then the AWS profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ProfileNotFound

from s3ec.errors import ConfigurationError
from s3ec.rules.configuration import NAMES, Configuration, profile_values, resolve


def found(given: Any = None, environ: Any = None, profile: Any = None) -> Configuration:
    """What these three places make."""
    return resolve(
        given or {}, environ=environ or {}, profile=profile or {}, profile_name="p", words={"kms_key": "--kms-key"}
    )


def test_nothing_is_in_force_by_itself():
    """Defaults are the strict ones, and come from nowhere."""
    assert found() == Configuration()
    assert (found().kind, found().unencrypted_objects, found().origins) == (None, "refuse", {})


def test_each_place_wins_over_the_next_and_is_named():
    """Options, variables, profile."""
    places: list[Any] = [{"kms_key": "spot"}, {"S3EC_KMS_KEY": "variable"}, {"s3ec_kms_key": "profile"}]
    expected = (("spot", "--kms-key"), ("variable", "S3EC_KMS_KEY"), ("profile", "s3ec_kms_key of profile p"))
    for index, (value, origin) in enumerate(expected):
        configuration = found(*[place if at >= index else None for at, place in enumerate(places)])
        assert (configuration.kms_key, configuration.origins["kms_key"]) == (value, origin)
        assert configuration.kind == "kms"


def test_a_key_is_one_setting_whatever_its_kind():
    """A key given on the spot is not mixed with one of another kind from further behind."""
    configuration = found({"aes_key_file": "k"}, {"S3EC_KMS_KEY": "k"}, {"s3ec_rsa_private_key_file": "k"})
    assert (configuration.kind, configuration.kms_key, configuration.rsa_private_key_file) == ("aes-file", None, None)
    both = found(None, {"S3EC_RSA_PRIVATE_KEY_FILE": "a", "S3EC_RSA_PUBLIC_KEY_FILE": "b"})
    assert (both.kind, both.rsa_private_key_file, both.rsa_public_key_file) == ("rsa-file", "a", "b")


@pytest.mark.parametrize(
    ("environ", "profile", "said"),
    [
        ({"S3EC_KMS_KEY": "k", "S3EC_AES_KEY_FILE": "f"}, {}, "S3EC_KMS_KEY and S3EC_AES_KEY_FILE"),
        ({}, {"s3ec_kms_key": "k", "s3ec_rsa_public_key_file": "f"}, "s3ec_rsa_public_key_file of profile p"),
        ({"S3EC_ALLOW_LEGACY": "perhaps"}, {}, "S3EC_ALLOW_LEGACY must be true or false"),
        ({"S3EC_UNENCRYPTED_OBJECTS": "true"}, {}, "S3EC_UNENCRYPTED_OBJECTS must be refuse or allow"),
        ({"S3EC_CONTEXT": "team"}, {}, "S3EC_CONTEXT must be NAME=VALUE"),
        ({"S3EC_CONTEXT": "a=1,a=2"}, {}, "S3EC_CONTEXT must be"),
        ({"S3EC_CONTEXT": "{]"}, {}, "S3EC_CONTEXT must be"),
        ({}, {"s3ec_context": '{"a": 1}'}, "s3ec_context of profile p must be"),
    ],
)
def test_a_value_that_means_nothing_names_its_place(environ: Any, profile: Any, said: str):
    """Nothing is guessed, and nothing is passed over."""
    with pytest.raises(ConfigurationError, match=said):
        found(None, environ, profile)


@pytest.mark.parametrize(
    "value", ["team=hr,year=2026", ' {"team": "hr", "year": "2026"}', {"team": "hr", "year": "2026"}]
)
def test_a_context_in_each_of_its_forms(value: Any):
    """Pairs, JSON, or a section of the profile, which botocore reads as a map."""
    assert found(None, None, {"s3ec_context": value}).context == {"team": "hr", "year": "2026"}


def test_a_context_is_replaced_as_a_whole_and_goes_with_a_kms_key():
    """Pairs of two places are not mixed; one that stands behind a raw key was meant for another key."""
    environ = {"S3EC_KMS_KEY": "k", "S3EC_CONTEXT": "team=hr"}
    assert found({"context": {"year": "2026"}}, environ).context == {"year": "2026"}
    assert found({"aes_key_file": "f"}, environ).context == {}
    assert found({"kms_key": "other"}, environ).context == {"team": "hr"}
    assert found({"aes_key_file": "f", "context": {"a": "b"}}, environ).context == {"a": "b"}


def test_flags_files_and_empty_values():
    """Words for true and false; a home folder is looked up; an empty variable is not set."""
    environ = {"S3EC_ALLOW_LEGACY": "Yes", "S3EC_AES_KEY_FILE": "~/key", "S3EC_KMS_KEY": ""}
    configuration = found(None, environ, {"s3ec_unencrypted_objects": "allow", "s3ec_allow_legacy": "no"})
    assert configuration.allow_legacy is True
    assert configuration.aes_key_file == str(Path.home() / "key")
    assert configuration.unencrypted_objects == "allow"
    assert set(configuration.origins) <= set(NAMES)


def test_a_profile_is_read_as_the_aws_cli_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Plain values, and a section; the profile of the environment where none is named."""
    path = tmp_path / "config"
    path.write_text(
        "[profile p]\ns3ec_kms_key = alias/a\ns3ec_context =\n  team = hr\n[default]\ns3ec_kms_key = alias/d\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    name, values = profile_values("p")
    configuration = resolve({}, environ={}, profile=values, profile_name=name)
    assert (configuration.kms_key, configuration.context) == ("alias/a", {"team": "hr"})
    assert profile_values()[0] == "default"
    monkeypatch.setenv("AWS_PROFILE", "p")
    assert profile_values() == ("p", values)
    with pytest.raises(ProfileNotFound):
        profile_values("nobody")
