"""The edge: a boto3 S3 client that encrypts, and what belongs to it."""
