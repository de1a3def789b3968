"""What stands on the client: files, tickets, resumable uploads, looking at objects and buckets."""
