"""A default key and settings from the environment and the AWS profile, the same for every command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from support.rsa import rsa_key


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration of the test's own."""
    path = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Something to upload."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"alpha")
    return path


@pytest.mark.slow
def test_the_key_of_a_profile_serves_every_command(
    run: Any, bucket: str, key: Any, config: Path, file: Path, plain_s3: Any
):
    """cp, cat, sync, mv, verify and migrate find it; the context is given and asserted."""
    credentials = "aws_access_key_id = testing\naws_secret_access_key = testing"
    config.write_text(f"[profile p]\n{credentials}\ns3ec_kms_key = {key[1]}\ns3ec_context = team=hr\n")
    profile = ("--profile", "p")
    assert run("cp", file, f"s3://{bucket}/a", *profile).code == 0
    assert '"team":"hr"' in plain_s3.head_object(Bucket=bucket, Key="a")["Metadata"]["x-amz-t"]
    assert run("cat", f"s3://{bucket}/a", *profile).out == b"alpha"
    other = run("cat", f"s3://{bucket}/a", *profile, "--context", "team=it")
    assert (other.code != 0, other.out) == (True, b"")
    assert run("verify", f"s3://{bucket}", *profile).code == 0
    assert run("sync", file.parent, f"s3://{bucket}/s", *profile, "--exclude", "*", "--include", "*.txt").code == 0
    plain_s3.put_object(Bucket=bucket, Key="m/open", Body=b"1")
    assert run("migrate", f"s3://{bucket}/m/", *profile, "--yes").code == 0
    assert '"team":"hr"' in plain_s3.head_object(Bucket=bucket, Key="m/open")["Metadata"]["x-amz-t"]


@pytest.mark.slow
def test_a_variable_wins_over_the_profile_and_an_option_over_both(
    run: Any, bucket: str, key: Any, config: Path, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A raw key given on the spot is not mixed with the KMS key of the environment, nor with its context."""
    config.write_text("[default]\ns3ec_kms_key = alias/nobody-has-this\n")
    assert "alias/nobody-has-this" in run("cp", file, f"s3://{bucket}/a").line
    monkeypatch.setenv("S3EC_KMS_KEY", key[1])
    monkeypatch.setenv("S3EC_CONTEXT", "team=hr")
    assert run("cp", file, f"s3://{bucket}/a").code == 0
    (tmp_path / "aes").write_bytes(bytes(range(200, 232)))
    assert run("cp", file, f"s3://{bucket}/b", "--aes-key-file", tmp_path / "aes").code == 0
    monkeypatch.setenv("S3EC_AES_KEY_FILE", str(tmp_path / "aes"))
    ended = run("cat", f"s3://{bucket}/a")
    assert (ended.code, "S3EC_KMS_KEY and S3EC_AES_KEY_FILE" in ended.line) == (5, True)


def test_what_is_in_force_is_shown_with_its_place(
    run: Any, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Every setting; the passphrase is not shown."""
    config.write_text("[profile p]\nregion = eu-west-1\ns3ec_kms_key = alias/p\ns3ec_allow_legacy = true\n")
    monkeypatch.setenv("AWS_PROFILE", "p")
    monkeypatch.setenv("S3EC_CONTEXT", "team=hr")
    monkeypatch.setenv("S3EC_RSA_PASSPHRASE", "correct horse")
    ended = run("configure", "list", "--json")
    found = {name: (each["value"], each["from"]) for name, each in ended.json.items()}
    assert found["profile"] == ("p", "AWS_PROFILE")
    assert found["kms_key"] == ("alias/p", "s3ec_kms_key of profile p")
    assert found["context"] == ({"team": "hr"}, "S3EC_CONTEXT")
    assert found["allow_legacy"] == (True, "s3ec_allow_legacy of profile p")
    assert found["rsa_passphrase"] == ("(set)", "S3EC_RSA_PASSPHRASE")
    assert found["aes_key_file"] == (None, None)
    text = run("configure", "list", "--kms-key", "alias/spot").text
    assert "alias/spot" in text
    assert "--kms-key" in text
    assert "correct horse" not in text + ended.text
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert run("configure", "list", "--json").json["region"] == {"value": "eu-north-1", "from": "AWS_REGION"}


def test_plaintext_is_allowed_by_a_setting_too(run: Any, bucket: str, key: Any, plain_s3: Any, monkeypatch: Any):
    """As by --allow-unencrypted; anything but the two words is refused."""
    plain_s3.put_object(Bucket=bucket, Key="p", Body=b"open")
    assert run("cat", f"s3://{bucket}/p", *key).code == 6
    monkeypatch.setenv("S3EC_UNENCRYPTED_OBJECTS", "allow")
    assert run("cat", f"s3://{bucket}/p", *key).out == b"open"
    monkeypatch.setenv("S3EC_UNENCRYPTED_OBJECTS", "yes")
    assert run("cat", f"s3://{bucket}/p", *key).code == 5


@pytest.mark.slow
def test_an_encrypted_rsa_key_opens_with_its_passphrase(
    run: Any, bucket: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """From a file (its first line), from a variable; a wrong one is refused and never shown."""
    pem = tmp_path / "private.pem"
    pem.write_bytes(
        rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse"))
    )
    words = ("--rsa-private-key", pem)
    assert "--rsa-passphrase-file" in run("cp", file, f"s3://{bucket}/k", *words).line
    for content in (b"correct horse", b"correct horse\r\nsecond line\n"):
        (tmp_path / "pass").write_bytes(content)
        assert run("cp", file, f"s3://{bucket}/k", *words, "--rsa-passphrase-file", tmp_path / "pass").code == 0
    monkeypatch.setenv("S3EC_RSA_PASSPHRASE", "correct horse")
    assert run("cat", f"s3://{bucket}/k", *words).out == b"alpha"
    assert run("verify", f"s3://{bucket}", *words).code == 0
    monkeypatch.setenv("S3EC_RSA_PASSPHRASE", "wrong battery")
    ended = run("cat", f"s3://{bucket}/k", *words)
    assert ended.code == 5
    assert "passphrase" in ended.line
    assert "battery" not in ended.line
    assert run("cat", f"s3://{bucket}/k", *words, "--rsa-passphrase-file", tmp_path / "absent").code == 3


def test_the_log_shows_requests_and_no_secret(
    run: Any, bucket: str, key: Any, file: Path, monkeypatch: pytest.MonkeyPatch
):
    """Method, path and status of each request; neither credentials, nor data keys, nor plaintext, nor key files."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "very-secret-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-access-key")
    file.write_bytes(b"secret plaintext")
    ended = run("cp", file, f"s3://{bucket}/k", *key, "--debug")
    assert ended.code == 0
    lines = ended.err.splitlines()
    assert any(f"PUT /{bucket}/k HTTP/1.1" in line and " 200 " in line for line in lines)
    assert any("POST / HTTP/1.1" in line for line in lines), "KMS"
    read = run("cat", f"s3://{bucket}/k", *key, "--log-level", "debug")
    assert read.out == b"secret plaintext"
    for text in (ended.err, read.err):
        for secret in ("very-secret", "secret plaintext", "Plaintext", "CiphertextBlob", "x-amz-security-token"):
            assert secret not in text
    assert run("cat", f"s3://{bucket}/k", *key).err == ""
    assert run("cat", f"s3://{bucket}/k", *key, "--log-level", "error").err == ""
