"""Small requests to S3, made with less effort than botocore's."""
