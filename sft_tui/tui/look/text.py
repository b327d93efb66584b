"""Text that we did not write, made safe to show: no control bytes, no markup, cut by cells and not by characters."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from sft_tui.text import clean, pad

__all__ = ["clean", "one_line", "pad", "plain", "shorten_path", "wrapped"]


def one_line(text: str, cells: int, ellipsis: str = "…", newline: str = " ") -> str:
    """`text` on one line of at most `cells` cells, cut at the end."""
    line = clean(text[: cells * 4 + 64], newline)
    if cell_len(line) <= cells and len(text) <= cells * 4 + 64:
        return line
    room = max(0, cells - cell_len(ellipsis))
    out, used = [], 0
    for character in line:
        width = cell_len(character)
        if used + width > room:
            break
        out.append(character)
        used += width
    return "".join(out) + ellipsis


def shorten_path(path: str, cells: int, ellipsis: str = "…") -> str:
    """`path` in at most `cells` cells, cut at the start, because its end tells it apart."""
    line = clean(path, " ")
    if cell_len(line) <= cells:
        return line
    while line and cell_len(line) > cells - cell_len(ellipsis):
        line = line[1:]
    return ellipsis + line


def plain(text: str, style: str = "") -> Content:
    """Content that shows `text` as it is, in `style`; never parsed as markup."""
    return Content.styled(clean(text), style) if style else Content(clean(text))


def wrapped(text: str, cells: int) -> list[str]:
    """`text` as lines of at most `cells` cells, broken between words where there are some; never cut."""
    return [line.plain.rstrip() for line in Content(clean(text)).wrap(max(8, cells))] or [""]
