"""The AWS CLI v1, under `s3ec run` and as plugin: what a user types, what S3 then has, and what comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

import s3ec
from s3ec.run import launching

from support import aws as support_aws

pytestmark = pytest.mark.library

MIB = 1024 * 1024
SMALL = b"what only its owner should read"
# A profile that is named on the command line has credentials of its own, or none.
_OTHER = "region = us-east-1\naws_access_key_id = testing\naws_secret_access_key = testing\n"
# Above 8 MiB the CLI works in parts.
BIG = SMALL * (9 * MIB // len(SMALL))


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: bytes
    err: str


@dataclass
class Cli:
    """The CLI with settings of one user."""

    folder: Path
    environment: dict[str, str]
    first: str
    second: str
    plain: str

    def run(self, *words: str, stdin: bytes = b"", **changes: str) -> Ended:
        """Types a line of ``aws``, from the user's folder."""
        aws = Path(sys.executable).with_name("aws")
        ended = subprocess.run(
            [sys.executable, str(aws), *words],
            env={**self.environment, **changes},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    def done(self, *words: str, **more: Any) -> bytes:
        """The same, of a line that must succeed; gives its standard output."""
        ended = self.run(*words, **more)
        assert ended.code == 0, ended.err
        return ended.out


@pytest.fixture(scope="module")
def clients(endpoint: str) -> Iterator[tuple[Any, Any]]:
    """A plain client, which does not believe moto's checksums of copies in parts, and one of KMS."""
    config = Config(response_checksum_validation="when_required")
    plain = boto3.client("s3", config=config, **support_aws.client_arguments(endpoint))
    kms = boto3.client("kms", **support_aws.client_arguments(endpoint))
    yield plain, kms
    plain.close()
    kms.close()


@pytest.fixture(scope="module", params=["run", "plugin"])
def cli(
    request: pytest.FixtureRequest, endpoint: str, clients: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cli]:
    """The CLI in both ways, with buckets under two keys, and one that is plain."""
    plain, kms = clients
    folder = tmp_path_factory.mktemp(request.param)
    names = [support_aws.new_bucket_name() for _ in range(3)]
    for name in names:
        plain.create_bucket(Bucket=name)
    keys = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    rules = f"{names[0]}={keys[0]} {names[1]}={keys[1]} {names[2]}=plain"
    config = folder / "config"
    settings = (
        f"[default]\nregion = us-east-1\ns3ec_buckets = {rules}\n[profile other]\n{_OTHER}s3ec_kms_key = {keys[1]}\n"
    )
    plugins = "[plugins]\ns3ec = s3ec.awscli\n" if request.param == "plugin" else ""
    config.write_text(plugins + settings, "utf-8")
    environment = {
        **os.environ,
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    environment.pop("S3EC_BUCKETS", None)
    package = str(Path(s3ec.__file__).parents[1])
    if "site-packages" not in package:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), package]))
    if request.param == "run":
        environment = launching.child_environment(environment, {})
        environment["S3EC_RUN"] = launching.mark(environment)
    (folder / "small").write_bytes(SMALL)
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "tree" / "a").write_bytes(SMALL)
    (folder / "tree" / "deep" / "empty").write_bytes(b"")
    (folder / "tree" / "big").write_bytes(BIG)
    for path in (folder / "tree").rglob("*"):
        # S3 cuts its times to whole seconds: of the same second a file would be newer than its own copy.
        os.utime(path, (1_700_000_000, 1_700_000_000))
    yield Cli(folder, environment, *names)
    for name in names:
        support_aws.empty_bucket(plain, name)


@pytest.fixture
def stored(clients: tuple[Any, Any]) -> Callable[[str, str], bytes]:
    """What S3 has, which must be ciphertext."""

    def read(bucket: str, key: str) -> bytes:
        answer = clients[0].get_object(Bucket=bucket, Key=key)
        content: bytes = answer["Body"].read()
        assert "x-amz-3" in answer["Metadata"]
        assert SMALL not in content
        return content

    return read


def test_copies_of_files_and_streams(cli: Cli, stored: Callable[[str, str], bytes]) -> None:
    """Up and down, from and to a pipe, moved and removed."""
    cli.done("s3", "cp", "small", f"s3://{cli.first}/one", "--sse", "AES256", "--checksum-algorithm", "SHA256")
    assert len(stored(cli.first, "one")) == len(SMALL) + 16
    cli.done("s3", "cp", f"s3://{cli.first}/one", "back")
    assert (cli.folder / "back").read_bytes() == SMALL
    cli.done("s3", "cp", "-", f"s3://{cli.first}/pipe", stdin=SMALL)
    assert stored(cli.first, "pipe")
    assert cli.done("s3", "cp", f"s3://{cli.first}/pipe", "-") == SMALL
    cli.done("s3", "mv", "back", f"s3://{cli.first}/moved")
    assert stored(cli.first, "moved")
    cli.done("s3", "mv", f"s3://{cli.first}/moved", "back")
    assert (cli.folder / "back").read_bytes() == SMALL
    cli.done("s3", "rm", f"s3://{cli.first}/pipe")
    listed = cli.done("s3", "ls", f"s3://{cli.first}/").decode().split()
    assert "one" in listed
    assert not {"pipe", "moved"} & set(listed)
    assert listed[listed.index("one") - 1] == str(len(SMALL))


@pytest.mark.parametrize("flags", [(), ("--size-only",)], ids=["", "size-only"])
def test_a_second_sync_transfers_nothing(cli: Cli, flags: tuple[str, ...], stored: Callable[[str, str], bytes]) -> None:
    """Up, down, and between buckets with different keys; large objects, and empty ones."""
    prefix = f"sync{''.join(flags)}"
    for words in (
        ("tree", f"s3://{cli.first}/{prefix}"),
        (f"s3://{cli.first}/{prefix}", f"down{prefix}"),
        (f"s3://{cli.first}/{prefix}", f"s3://{cli.second}/{prefix}"),
    ):
        assert cli.done("s3", "sync", *words, *flags).count(b" to ") >= 3
        assert cli.done("s3", "sync", *words, *flags) == b""
    for name in ("a", "deep/empty", "big"):
        down = cli.folder / f"down{prefix}" / name
        assert down.read_bytes() == (cli.folder / "tree" / name).read_bytes()
        assert stored(cli.second, f"{prefix}/{name}")


def test_copies_in_parts_between_buckets(cli: Cli, stored: Callable[[str, str], bytes]) -> None:
    """The CLI makes such copies part by part."""
    cli.done("s3", "cp", "tree/big", f"s3://{cli.first}/big")
    for target in (f"{cli.first}/same", f"{cli.second}/other"):
        cli.done("s3", "cp", f"s3://{cli.first}/big", f"s3://{target}")
        assert len(stored(*target.split("/"))) == len(BIG) + 16
        assert cli.done("s3", "cp", f"s3://{target}", "-") == BIG
    cli.done("s3", "mv", f"s3://{cli.second}/other", f"s3://{cli.second}/renamed")
    assert cli.done("s3", "cp", f"s3://{cli.second}/renamed", "-") == BIG


def test_calls_of_the_api(cli: Cli, stored: Callable[[str, str], bytes]) -> None:
    """get-object writes plaintext into its file, whole and in part."""
    place = ("--bucket", cli.first, "--key", "api")
    cli.done("s3api", "put-object", *place, "--body", "small", "--metadata", "a=b")
    assert stored(cli.first, "api")
    head = cli.done("s3api", "head-object", *place, "--query", "[ContentLength, Metadata.a]", "--output", "text")
    assert head.split() == [str(len(SMALL)).encode(), b"b"]
    cli.done("s3api", "get-object", *place, "whole")
    assert (cli.folder / "whole").read_bytes() == SMALL
    cli.done("s3api", "get-object", *place, "--range", "bytes=5-8", "part")
    assert (cli.folder / "part").read_bytes() == SMALL[5:9]
    copy = ("--copy-source", f"{cli.first}/api", "--bucket", cli.second, "--key", "copied")
    cli.done("s3api", "copy-object", *copy)
    assert stored(cli.second, "copied")
    cli.done("s3api", "get-object", "--bucket", cli.second, "--key", "copied", "whole")
    assert (cli.folder / "whole").read_bytes() == SMALL
    sizes = cli.done(
        "s3api", "list-objects-v2", "--bucket", cli.second, "--prefix", "copied", "--query", "Contents[].Size"
    )
    assert str(len(SMALL)) in sizes.decode()


def test_what_is_refused(cli: Cli, clients: tuple[Any, Any]) -> None:
    """A part in a second process, a bucket without a rule, a copy to where plaintext is expected: in words."""
    upload = cli.done(
        "s3api",
        "create-multipart-upload",
        "--bucket",
        cli.first,
        "--key",
        "m",
        "--query",
        "UploadId",
        "--output",
        "text",
    )
    part = ("--bucket", cli.first, "--key", "m", "--part-number", "1", "--upload-id", upload.decode().strip())
    ended = cli.run("s3api", "upload-part", *part, "--body", "small")
    assert ended.code
    assert "upload" in ended.err
    unnamed = support_aws.new_bucket_name()
    clients[0].create_bucket(Bucket=unnamed)
    ended = cli.run("s3", "cp", "small", f"s3://{unnamed}/x")
    assert ended.code == 1
    assert f"no rule names bucket {unnamed}" in ended.err
    assert "Contents" not in clients[0].list_objects_v2(Bucket=unnamed)
    cli.done("s3", "cp", "small", f"s3://{cli.first}/one")
    ended = cli.run("s3", "cp", f"s3://{cli.first}/one", f"s3://{cli.plain}/one")
    assert ended.code == 1
    assert "leaves the other plain" in ended.err
    cli.done("s3", "cp", "small", f"s3://{cli.plain}/small")
    assert clients[0].get_object(Bucket=cli.plain, Key="small")["Body"].read() == SMALL


def test_profiles_have_keys_of_their_own(cli: Cli, stored: Callable[[str, str], bytes]) -> None:
    """By ``--profile``, which the CLI reads after the session was made."""
    cli.done("s3", "cp", "small", f"s3://{cli.second}/by-profile", "--profile", "other")
    assert stored(cli.second, "by-profile")
    assert cli.done("s3", "cp", f"s3://{cli.second}/by-profile", "-") == SMALL
    ended = cli.run("s3", "cp", f"s3://{cli.first}/one", "-", "--profile", "other")
    assert ended.code
    assert ended.out == b""


def test_without_a_key_nothing_is_sent(cli: Cli, clients: tuple[Any, Any]) -> None:
    """The first S3 command says that nothing is configured."""
    (cli.folder / "empty").write_text("[plugins]\ns3ec = s3ec.awscli\n", "utf-8")
    ended = cli.run("s3", "cp", "small", f"s3://{cli.first}/keyless", AWS_CONFIG_FILE=str(cli.folder / "empty"))
    assert ended.code
    assert "nothing says what to encrypt with" in ended.err
    assert "Contents" not in clients[0].list_objects_v2(Bucket=cli.first, Prefix="keyless")
