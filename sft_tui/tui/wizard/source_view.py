"""What is said of a source of examples: its kind, its columns with their first values, the roles that columns play."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from sft_tui.i18n import N_, _
from sft_tui.tui.look.text import one_line, pad
from sft_tui.tui.wizard.model_check import file_size

if TYPE_CHECKING:
    from sft_tui.dataset import SourceInfo
    from sft_tui.tui.look.signs import Signs

NONE = ""
FORMATS: dict[str, str] = {
    "columns": N_("columns: question and answer"),
    "alpaca": N_("alpaca: instruction, input, output"),
    "sharegpt": N_("sharegpt: from and value"),
    "openai": N_("openai: role and content"),
}
ROLES: tuple[tuple[str, str, bool], ...] = (
    ("input", N_("Input (question)"), True),
    ("output", N_("Output (answer)"), True),
    ("instruction", N_("Instruction"), False),
    ("system", N_("System prompt"), False),
    ("history", N_("History"), False),
    ("messages", N_("Conversation"), True),
)
"""(role, label, needed) of the columns that can be mapped."""
TURNS_FORMATS = ("sharegpt", "openai")
DEFAULT_TEST_SIZE = 0.1
COLUMNS_SHOWN = 12
VALUES_SHOWN = 3


def describe(info: SourceInfo) -> str:
    """Kind, size, encoding and number of columns on one line."""
    parts = [info.kind]
    if len(info.files) > 1:
        parts.append(_("{count} files").format(count=len(info.files)))
    if info.bytes_total:
        parts.append(file_size(info.bytes_total))
    if info.encoding and info.encoding.lower() not in ("utf-8", "ascii", "utf_8"):
        parts.append(_("encoding {name}").format(name=info.encoding))
    if info.sheet:
        parts.append(_("sheet {name}").format(name=info.sheet))
    parts.append(_("{count} columns").format(count=len(info.columns)))
    return ", ".join(parts)


def first_values(info: SourceInfo, width: int, signs: Signs) -> list[str]:
    """A line for each column: its name and its first values, in `width` cells."""
    names = [one_line(column.name, 16, signs.ellipsis) for column in info.columns[:COLUMNS_SHOWN]]
    longest = max((cell_len(name) for name in names), default=0)
    lines = []
    for name, column in zip(names, info.columns, strict=False):
        values = " | ".join(value or _("(empty)") for value in column.values[:VALUES_SHOWN])
        lines.append(f"{pad(name, longest)}  {one_line(values, width - longest - 2, signs.ellipsis)}")
    if len(info.columns) > COLUMNS_SHOWN:
        lines.append(_("and {count} more columns").format(count=len(info.columns) - COLUMNS_SHOWN))
    return lines
