"""The signs that the screens are drawn with, and their ASCII twins for terminals without UTF-8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.scrollbar import ScrollBarRender


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs of one kind of terminal. Every state has a sign or a word: colour alone never tells it."""

    done: str = "✓"
    warning: str = "!"
    problem: str = "✗"
    waiting: str = "·"
    here: str = "▸"
    focus: str = ">"
    on: str = "(•)"
    off: str = "( )"
    checked: str = "[x]"
    unchecked: str = "[ ]"
    bar_full: str = "█"
    bar_empty: str = "░"
    folded: str = "▸"
    unfolded: str = "▾"
    left: str = "◂"
    right: str = "▸"
    dash: str = "—"
    dot: str = "●"
    ellipsis: str = "…"
    newline: str = "↵"
    arrow: str = "→"
    down: str = "▼"
    line: str = "─"
    blocks: str = "▁▂▃▄▅▆▇█"
    ascii: bool = False

    def bar(self, share: float, width: int) -> str:
        """A bar of `width` cells, filled to `share` (0 to 1)."""
        full = round(max(0.0, min(1.0, share)) * width)
        return self.bar_full * full + self.bar_empty * (width - full)


UNICODE = Signs()
ASCII = Signs(
    done="+",
    warning="!",
    problem="x",
    waiting=".",
    here=">",
    on="(*)",
    bar_full="#",
    bar_empty=".",
    folded="+",
    unfolded="-",
    left="<",
    right=">",
    dash="-",
    dot="*",
    ellipsis="...",
    newline="\\n",
    arrow="->",
    down="v",
    line="-",
    blocks="_.-:=+*#",
    ascii=True,
)


class AsciiScrollBar(ScrollBarRender):
    """A scroll bar without block characters: its thumb is reversed blanks."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8
