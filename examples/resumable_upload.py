"""Upload a large file so that a crash costs one part: after it, only the missing parts are sent."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from _moto import Account, local_account

import s3ec
from s3ec import EncryptionClient, KmsKeyring

PART = 5 * 1024 * 1024


class Crash(BaseException):
    """Stands for a power cut: no code runs to clean up."""


def upload_file(s3: Any, source: Path, bucket: str, key: str, *, resume: Path) -> int:
    """Upload a file, or the rest of it; return how many parts were sent this time."""
    with s3ec.UploadStateFile(resume) as state, source.open("rb") as file:
        if state.exists():
            upload = s3ec.resume_upload(s3, state.read(), save=state.save)
        else:
            created = s3.create_multipart_upload(Bucket=bucket, Key=key)
            upload = {"UploadId": created["UploadId"], "Parts": []}
            # From here on the state is on the disk before a part leaves.
            s3ec.export_upload(s3, created["UploadId"], save=state.save)
        place = {"Bucket": bucket, "Key": key, "UploadId": upload["UploadId"]}
        etags = {part["PartNumber"]: part["ETag"] for part in upload["Parts"]}
        sent = 0
        for number in range(1, -(-source.stat().st_size // PART) + 1):
            if number not in etags:
                file.seek((number - 1) * PART)
                answer = s3.upload_part(**place, PartNumber=number, Body=file.read(PART))
                etags[number] = answer["ETag"]
                sent += 1
        parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        state.remove()
        return sent


def main(account: Account) -> None:
    """Crash in the middle, go on with a new client, read the object."""
    with tempfile.TemporaryDirectory() as folder:
        source, resume = Path(folder, "big.bin"), Path(folder, "big.bin.upload")
        source.write_bytes(os.urandom(4 * PART + 1000))

        def client() -> Any:
            return EncryptionClient(keyring=KmsKeyring(account.kms_key, client=account.kms), **account.aws)

        crashing = client()

        def crash(params: dict[str, Any], **_: Any) -> None:
            if params["query_string"].get("partNumber") == 3:
                raise Crash

        crashing.meta.events.register("before-call.s3.UploadPart", crash)
        try:
            upload_file(crashing, source, account.bucket, "big", resume=resume)
        except Crash:
            print("crashed while part 3 was being sent")

        fresh = client()
        print("sent after the crash:", upload_file(fresh, source, account.bucket, "big", resume=resume), "of 5 parts")
        body = fresh.get_object(Bucket=account.bucket, Key="big")["Body"].read()
        print("the same:", body == source.read_bytes())


if __name__ == "__main__":
    with local_account() as local:
        main(local)
