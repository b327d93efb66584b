"""What the data is like: lengths in tokens, doubtful rows, counts."""
