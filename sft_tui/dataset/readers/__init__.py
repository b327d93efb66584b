"""Reading sources: one file a kind, all of them as batches of rows."""
