"""Units that are written out in more than one room."""

GIB = 2**30
