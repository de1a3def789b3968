"""One task: from an object as it is found to its outcome."""
