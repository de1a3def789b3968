"""The books of a job."""
