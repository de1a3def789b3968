"""Sessions whose S3 clients encrypt."""
