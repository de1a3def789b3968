from __future__ import annotations

from types import SimpleNamespace

from botocore.config import Config

from s3ec.keyrings.kms_config import shared_config


def test_what_is_set_and_not_about_s3() -> None:
    """Only what differs from the defaults."""
    assert shared_config(None) == {}
    assert shared_config(Config()) == {}
    config = Config(connect_timeout=3, retries={"total_max_attempts": 2}, s3={"addressing_style": "path"})
    assert shared_config(config) == {"connect_timeout": 3, "retries": {"total_max_attempts": 2}}


def test_an_older_botocore() -> None:
    """Knows fewer names."""
    config = SimpleNamespace(OPTION_DEFAULTS={"connect_timeout": 60, "s3": None}, connect_timeout=3, s3={})
    assert shared_config(config) == {"connect_timeout": 3}
