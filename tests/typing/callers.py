"""Code as a user writes it, for mypy and pyright. Never run.

It names no package of types, so that the same file is checked with each of them. Every line that must be an error says
so in a comment, and both checkers complain about a comment that nothing needs: were the client `Any`, this would fail.
"""

from __future__ import annotations

from s3ec import STORED_CONTEXT, CommitmentPolicy, EncryptionClient, KmsKeyring

s3 = EncryptionClient(
    keyring=KmsKeyring("alias/my-key"),
    commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    region_name="eu-west-1",
)

put = s3.put_object(Bucket="b", Key="k", Body=b"content", EncryptionContext={"team": "hr"}, Metadata={"a": "b"})
etag: str = put["ETag"]
got = s3.get_object(Bucket="b", Key="k", EncryptionContext=STORED_CONTEXT, Range="bytes=0-9")
content: bytes = got["Body"].read()
length: int = s3.head_object(Bucket="b", Key="k")["ContentLength"]
s3.upload_file("name", "b", "k", ExtraArgs={"EncryptionContext": {"team": "hr"}})
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="b"):
    length += len(page.get("Contents", []))
try:
    s3.delete_object(Bucket="b", Key="k")
except s3.exceptions.NoSuchKey as error:
    reason: str = error.operation_name

# Parameters that are misspelt or of the wrong type.
s3.put_object(Bucket="b", Key="k", Bdy=b"")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
s3.put_object(Bucket="b", Key="k", EncryptionContext=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
s3.get_object(Bucket="b", Key="k", EncryptonContext={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
s3.delete_object(Bucket=1, Key="k")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
put["Etag"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
wrong: int = got["Body"].read()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# Options that are misspelt or of the wrong type.
EncryptionClient(keyring=KmsKeyring("k"), comitment_policy=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
EncryptionClient(keyring="alias/my-key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EncryptionClient(KmsKeyring("k"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
