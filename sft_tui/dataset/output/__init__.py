"""Writing samples: spooled lines, the split, one file renamed into place."""
