"""Bodies on their way in and out."""
