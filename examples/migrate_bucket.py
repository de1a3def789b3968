"""Encrypt a bucket of real files while another program writes to it, and survive two kills.

    python examples/migrate_bucket.py [number of files, 2000 unless told]

Every file carries every property that S3 knows: metadata, headers, tags, an ACL, a storage class, a redirect, retention
and a legal hold. At the end everything is checked: no object lost, none encrypted twice, none skipped, nothing added.
The time grows with the number of files and no faster; nearly all of it is the test server's, which answers some thirty
requests for each file. 2000 files take three to four minutes on two cores.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import boto3
from _moto import Account, local_account

from s3ec import EncryptionClient, KmsKeyring
from s3ec.migrate import Action, Connection, Journal, KeyringSpec, Location, MigrationSettings, run

BUCKET = "documents"
RETAIN_UNTIL = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=365)
PROPERTIES = {
    "CacheControl": "max-age=60",
    "ContentDisposition": 'attachment; filename="source.py"',
    "ContentLanguage": "en",
    "ContentType": "text/x-python",
    "Expires": datetime.datetime(2040, 1, 1, tzinfo=datetime.timezone.utc),
    "WebsiteRedirectLocation": "/elsewhere",
    "StorageClass": "STANDARD_IA",
    "ServerSideEncryption": "AES256",
    "Tagging": "department=hr&cost=4%2B2",
    "ACL": "authenticated-read",
    "ObjectLockMode": "GOVERNANCE",
    "ObjectLockRetainUntilDate": RETAIN_UNTIL,
    "ObjectLockLegalHoldStatus": "ON",
}
COMPARED = sorted(PROPERTIES.keys() - {"Tagging", "ACL"})


def store_files(s3: Any, count: int) -> dict[str, bytes]:
    """Put this many of Python's own files into the bucket; the same file may come more than once."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-z]*.py")) + [Path(os.devnull)]
    bodies: dict[str, bytes] = {}
    for number, path in enumerate(islice(cycle(files), count)):
        key = f"{number % 10}/{number} {path.name}" + ("/" if number % 50 == 0 else "")
        bodies[key] = path.read_bytes()
        s3.put_object(Bucket=BUCKET, Key=key, Body=bodies[key], Metadata={"number": str(number)}, **PROPERTIES)
    return bodies


def for_each(function: Callable[[str], Any], keys: Iterable[str]) -> dict[str, Any]:
    """Call the function for many keys at a time: one after the other, a busy machine would mostly wait for itself."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return {key: result for key, result in zip(keys, pool.map(function, keys), strict=True)}


def describe(s3: Any, key: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return all properties of an object besides its bytes and content metadata."""
    headers = headers or s3.head_object(Bucket=BUCKET, Key=key)
    return {
        **{name: headers.get(name) for name in COMPARED},
        "number": headers["Metadata"].get("number"),
        "tags": s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"],
        "grants": sorted(str(grant) for grant in s3.get_object_acl(Bucket=BUCKET, Key=key)["Grants"]),
    }


def write_meanwhile(s3: Any, bodies: dict[str, bytes], keys: list[str]) -> None:
    """Do what other people do while a bucket is migrated: overwrite some objects and add others."""
    for number, key in enumerate(keys):
        for name in (key, f"new/{number}"):
            bodies[name] = f"written meanwhile, {number}".encode()
            s3.put_object(Bucket=BUCKET, Key=name, Body=bodies[name], Metadata={"number": "none"}, **PROPERTIES)


def migrate_and_kill(settings: MigrationSettings, journal: Path, after: int) -> None:
    """Run the migration in a process of its own and kill it, without warning, once this many objects are done."""
    command = [sys.executable, __file__, "--worker", settings.to_json(), str(journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # this very file
        assert process.stdout is not None
        for _ in islice((line for line in process.stdout if line == "finished\n"), after):
            pass
        process.kill()


def work(settings: MigrationSettings, journal_path: str) -> None:
    """Do the work of that process; with the same journal it goes on where the last one was killed."""
    with Journal.open(journal_path, settings) as journal:
        run(settings, journal, workers=4, on_event=lambda event: print(event.kind, flush=True))


def check(account: Account, s3: Any, bodies: dict[str, bytes], before: dict[str, dict[str, Any]]) -> None:
    """Read the whole bucket with a client that refuses everything that is not encrypted."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert sorted(listed) == sorted(bodies)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    reader = EncryptionClient(keyring=KmsKeyring(account.kms_key, client=account.kms), **account.aws)

    def check_one(key: str) -> None:
        answer = reader.get_object(Bucket=BUCKET, Key=key)
        assert answer["Body"].read() == bodies[key], key
        expected = before.get(key)
        found = describe(s3, key, answer)
        assert expected is None or {**found, "number": ""} == {**expected, "number": ""}, key
        assert found["number"] in ("none", expected and expected["number"]), key

    for_each(check_one, bodies)


def main(account: Account, count: int) -> None:
    """Store, migrate with two kills and a writer, finish, check."""
    s3 = boto3.client("s3", **account.aws)
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    bodies = store_files(s3, count)
    before = for_each(lambda key: describe(s3, key), bodies)
    print(len(bodies), "files stored, with every property set")

    os.environ["AWS_ACCESS_KEY_ID"] = account.aws["aws_access_key_id"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = account.aws["aws_secret_access_key"]
    settings = MigrationSettings(
        action=Action.MIGRATE,
        source=Location(bucket=BUCKET),
        keyring=KeyringSpec(kind="kms", key_id=account.kms_key),
        connection=Connection(endpoint_url=account.aws["endpoint_url"], region_name=account.aws["region_name"]),
    )
    with tempfile.TemporaryDirectory() as folder:
        journal_path = Path(folder) / "journal"
        writer = threading.Thread(target=write_meanwhile, args=(s3, bodies, list(bodies)[::10]))
        writer.start()
        for third in (1, 2):
            migrate_and_kill(settings, journal_path, after=count // 4)
            print("killed the migration, time", third)
        writer.join()
        with Journal.open(journal_path, settings) as journal:
            summary = run(settings, journal, workers=4)
    print(sum(summary.counts.values()), "objects in the journal,", summary.undone, "left undone")
    check(account, s3, bodies, before)
    print("all", len(bodies), "objects are there, encrypted once, with their properties; nothing else is there")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(MigrationSettings.from_json(sys.argv[2]), sys.argv[3])
    else:
        with local_account() as local:
            main(local, int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
