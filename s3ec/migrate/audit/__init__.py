"""What lies in a bucket, and what that means."""
