"""What the page on objects of AWS services reads: the layouts of ``vectors/services`` in a bucket, and their KMS."""

from __future__ import annotations

import contextlib

import boto3
import pytest

from support import documents
from support.vectors import all_vectors, recorded_kms


def stored_service_objects() -> contextlib.ExitStack:
    """Stores every object of ``vectors/services`` and lets KMS open just these, until ``close()``."""
    vectors = [vector for vector in all_vectors() if vector.name.startswith("services/")]
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(recorded_kms(vectors))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("AWS_ENDPOINT_URL_KMS", endpoint.url)
        with contextlib.closing(boto3.client("s3")) as s3:
            for vector in vectors:
                metadata = {**vector.metadata, **vector.user_metadata}
                s3.put_object(Bucket=documents.BUCKET, Key=vector.object_key, Body=vector.body, Metadata=metadata)
                if file := vector.instruction_file:
                    s3.put_object(Bucket=documents.BUCKET, Key=file.key, Body=file.body, Metadata=dict(file.metadata))
        return stack.pop_all()
