"""From a row as it was read to a sample: columns mapped, texts cleaned, turns put in order."""
