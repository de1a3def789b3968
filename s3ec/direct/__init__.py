"""Small requests to S3, made with less effort than botocore's: for bucket jobs, and for reads through an endpoint."""
