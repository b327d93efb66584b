"""Write the demo's rows in four formats: demo.parquet, demo.csv, demo.json and demo.jsonl, the same rows in each.

    python data/demo/make_data.py

Deterministic: the same files every time (parquet up to the version of the library that writes it). Takes a second.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
from knowledge import everything

HERE = Path(__file__).parent
# rows for each topic, in each of the two languages: 160 a language
ROWS = {
    "minus": 22,
    "plus": 18,
    "times": 10,
    "unit": 16,
    "capital": 16,
    "opposite": 18,
    "colour": 12,
    "day": 10,
    "word": 18,
    "manners": 8,
    "tool": 12,
}
GUIDE_QUESTION = "小明有5个苹果，吃了2个，还剩几个？"  # never a row, so that anybody can ask it afterwards


def rows() -> list[dict[str, str]]:
    """The demo's rows: `question` and `answer`, topics and languages mixed, no question twice."""
    rng = random.Random(2026)
    chosen: list[dict[str, str]] = []
    items = {item.question: item for item in everything() if item.question != GUIDE_QUESTION}
    for language in ("zh", "en"):
        for topic, count in ROWS.items():
            pool = [item for item in items.values() if item.topic == f"{language}-{topic}"]
            chosen += [{"question": item.question, "answer": item.brief} for item in rng.sample(pool, count)]
    rng.shuffle(chosen)
    return chosen


def main() -> None:
    """Write the four files beside this script."""
    table = rows()
    frame = pl.DataFrame(table)
    frame.write_parquet(HERE / "demo.parquet", compression="zstd")
    frame.write_csv(HERE / "demo.csv")
    lines = [json.dumps(row, ensure_ascii=False) for row in table]
    (HERE / "demo.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / "demo.json").write_text(json.dumps(table, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {len(table)} rows to {HERE}/demo.parquet, .csv, .json and .jsonl")


if __name__ == "__main__":
    main()
