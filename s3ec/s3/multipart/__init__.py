"""Multipart uploads: the rules of one keystream whose parts come from anywhere, as flows."""
