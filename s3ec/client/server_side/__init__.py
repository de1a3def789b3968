"""S3's own encryption modes: checked, passed on, changed."""
