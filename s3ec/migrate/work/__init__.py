"""What a worker has at hand: clients, limits, facts about buckets, lists of objects."""
