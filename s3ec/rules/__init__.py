"""Rules per bucket: which are encrypted, with which key, and clients that keep to them."""
