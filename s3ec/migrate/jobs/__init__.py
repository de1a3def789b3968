"""Whole buckets: plan, run, purge."""
