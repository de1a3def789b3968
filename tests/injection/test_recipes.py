"""The recipes of docs/libraries.md, run as they stand there, against the libraries that they are for."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

import s3ec

from support import documents

pytestmark = pytest.mark.library

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "libraries.md").read_text("utf-8")
SECRET = b"what only its owner should read"


@pytest.fixture(autouse=True)
def _account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bucket, the keys and the environment that the documentation takes for granted; boto3's defaults put back."""
    kept = (boto3.DEFAULT_SESSION, boto3.Session, boto3.session.Session)
    with documents.documented_account(endpoint) as environment:
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield
    boto3.DEFAULT_SESSION, boto3.Session, boto3.session.Session = kept  # type: ignore[misc]


def recipe(heading: str) -> dict[str, Any]:
    """Runs the block under a heading of the page; returns its names."""
    section = re.search(rf"^### {re.escape(heading)}.*?(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    (block,) = [block.body for block in documents.blocks(section[0]) if block.kind == "python recipe"]
    namespace: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(block, heading, "exec", dont_inherit=True), namespace)  # noqa: S102 - our own documentation
    return namespace


@pytest.fixture
def stored() -> Callable[[str], bytes]:
    """Reads what lies in the bucket, by a plain client, and shows that it is encrypted and opens."""
    plain = boto3.client("s3")

    def read(key: str) -> bytes:
        raw = plain.get_object(Bucket=documents.BUCKET, Key=key)
        assert "x-amz-3" in raw["Metadata"]
        assert SECRET not in raw["Body"].read()
        reader = s3ec.EncryptionClient(keyring=s3ec.KmsKeyring("alias/my-key"))
        content: bytes = reader.get_object(Bucket=documents.BUCKET, Key=key)["Body"].read()
        return content

    return read


def test_every_recipe_is_run() -> None:
    """A block without a test below fails here."""
    headings = re.findall(r"^### (.+)\n(?:(?!^#).*\n)*?```python recipe", PAGE, re.MULTILINE)
    assert set(headings) == {
        "The default session",
        "celery: result backend",
        "Scrapy: feeds",
        "Scrapy: files and images",
        "barman: cloud backups",
        "s3pathlib",
        "amazon-sqs-extended-client",
    }


@pytest.mark.filterwarnings("ignore:[^$]*Autoloading range tasks:DeprecationWarning")
def test_default_session(stored: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """luigi calls ``boto3.resource``, which encrypts until the default session is replaced."""
    from luigi.contrib.s3 import S3Client

    monkeypatch.setattr(S3Client, "_s3", None)
    recipe("The default session")
    assert s3ec.is_encrypting(boto3.client("s3"))
    S3Client().put_string(SECRET.decode(), f"s3://{documents.BUCKET}/luigi")
    assert stored("luigi") == SECRET
    boto3.setup_default_session()
    assert not s3ec.is_encrypting(boto3.client("s3"))


def test_celery(stored: Callable[[str], bytes]) -> None:
    """A result is stored encrypted and comes back."""
    from celery import Celery

    app = Celery("app", set_as_current=False)
    app.conf.update(s3_bucket=documents.BUCKET, s3_access_key_id="testing", s3_secret_access_key="testing")
    backend = recipe("celery: result backend")["EncryptedS3Backend"](app=app)
    backend.set("result", SECRET)
    assert stored("result") == SECRET
    assert backend.get("result") == SECRET.decode()
    assert backend.get("absent") is None


def test_scrapy_feeds(stored: Callable[[str], bytes]) -> None:
    """A feed's file is uploaded encrypted."""
    storage = recipe("Scrapy: feeds")["EncryptedFeedStorage"](f"s3://{documents.BUCKET}/feed.json")
    file = io.BytesIO(SECRET)
    storage._store_in_thread(file)
    assert stored("feed.json") == SECRET


def test_scrapy_files(stored: Callable[[str], bytes]) -> None:
    """A downloaded file is kept encrypted."""
    pipeline = recipe("Scrapy: files and images")["EncryptedFilesPipeline"]
    store = pipeline.STORE_SCHEMES["s3"](f"s3://{documents.BUCKET}/files/")

    async def persist() -> None:
        kept = store.persist_file("page.html", io.BytesIO(SECRET), SimpleNamespace())
        await kept.asFuture(asyncio.get_running_loop())

    asyncio.run(persist())
    assert stored("files/page.html") == SECRET


def test_barman(stored: Callable[[str], bytes]) -> None:
    """A backup's file is uploaded encrypted."""
    interface = recipe("barman: cloud backups")["EncryptedCloudInterface"](f"s3://{documents.BUCKET}/backups")
    interface.upload_fileobj(io.BytesIO(SECRET), "backups/base.tar")
    assert stored("backups/base.tar") == SECRET
    assert interface.remote_open("backups/base.tar").read() == SECRET


def test_s3pathlib(stored: Callable[[str], bytes]) -> None:
    """A path writes and reads through the client that it was given."""
    from s3pathlib.api import S3Path

    recipe("s3pathlib")
    path = S3Path(documents.BUCKET, "path.txt")
    path.write_text(SECRET.decode())
    assert stored("path.txt") == SECRET
    assert path.read_text() == SECRET.decode()


def test_amazon_sqs_extended_client() -> None:
    """Its import replaces the default session; the payload client of an installed session encrypts."""
    sys.modules.pop("sqs_extended_client", None)
    boto3.setup_default_session()
    s3ec.install(boto3.DEFAULT_SESSION, keyring=s3ec.KmsKeyring("alias/my-key"))
    session = recipe("amazon-sqs-extended-client")["session"]
    assert not s3ec.is_encrypting(boto3.client("s3"))
    assert s3ec.is_encrypting(session.client("sqs", region_name="us-east-1").s3_client)
