"""What lies on disk: where the files of a run are, how they are written, read and followed. Nothing decides here."""
