"""Units that are written out in more than one room."""

GIB = 2**30


def size_text(size_bytes: float) -> str:
    """Bytes for people: `1.5 GiB`, `230 MiB`."""
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB / 2 else f"{size_bytes / 2**20:.0f} MiB"
