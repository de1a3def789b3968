"""The same flows for an event loop: what drives them, beside a client that will."""
