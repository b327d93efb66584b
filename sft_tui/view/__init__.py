"""Reading a run: its figures, curves, logs, result and failure, worded once for both front ends."""
