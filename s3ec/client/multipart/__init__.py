"""Multipart uploads: one keystream, parts from any thread."""
