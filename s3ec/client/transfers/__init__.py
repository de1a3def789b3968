"""Managed transfers, with boto3's names."""
