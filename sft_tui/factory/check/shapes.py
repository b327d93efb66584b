"""The shape of records that an entry in dataset_info.json declares, as LLaMA-Factory takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ALPACA_DEFAULTS = {"prompt": "instruction", "query": "input", "response": "output"}
SHAREGPT_DEFAULTS = {"messages": "conversations"}
COLUMN_NAMES = (
    "prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "audios", "chosen",
    "rejected", "kto_tag",
)  # fmt: skip
TAG_DEFAULTS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
ENTRY_KEYS = (
    "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name", "file_name", "formatting", "ranking",
    "subset", "split", "folder", "num_samples", "columns", "tags",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """An entry of dataset_info.json as LLaMA-Factory takes it: with `columns` or `tags` given, the others are null."""

    formatting: str
    ranking: bool
    columns: dict[str, str | None]
    tags: dict[str, str | None]

    def column(self, name: str) -> str | None:
        """The data's column for `name`."""
        return self.columns.get(name)


def shape_of(entry: dict[str, Any]) -> Shape:
    """The shape that an entry declares."""
    columns: dict[str, str | None] = {**ALPACA_DEFAULTS, **SHAREGPT_DEFAULTS}
    given = entry.get("columns")
    if isinstance(given, dict):
        columns = {name: given.get(name) for name in COLUMN_NAMES}
    tags: dict[str, str | None] = dict(TAG_DEFAULTS)
    given_tags = entry.get("tags")
    if isinstance(given_tags, dict):
        tags = {name: given_tags.get(name) for name in TAG_DEFAULTS}
    return Shape(str(entry.get("formatting", "alpaca")), bool(entry.get("ranking", False)), columns, tags)


@dataclass(slots=True)
class Verdict:
    """What the records showed: `fatal` stops LLaMA-Factory; `dropped` counts records that it skips, by reason."""

    fatal: tuple[str, str] | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    examined: int = 0
    with_media: bool = False
    nameless_tools: bool = False

    @property
    def all_dropped(self) -> bool:
        """Whether no examined record is usable."""
        return self.examined > 0 and sum(self.dropped.values()) >= self.examined


def needed_columns(shape: Shape) -> Iterator[tuple[str, str]]:
    """`(name, column)` of each column that the converter reads without asking whether it is there."""
    alpaca = ("history", "prompt", "query", "response") if not shape.ranking else ("history", "prompt", "query")
    names = alpaca if shape.formatting == "alpaca" else ("messages",)
    extra = ("system", "tools") if shape.formatting != "openai" else ()
    ranking = ("chosen", "rejected") if shape.ranking else ()
    for name in (*names, *extra, *ranking, "kto_tag", "images", "videos", "audios"):
        column = shape.column(name)
        if column:
            yield name, column
