"""What a request cost, and what it would have cost without the cache: names only."""
