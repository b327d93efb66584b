"""The datasets of the corpora's workspace: each of one shape, `good_*` sound and `bad_*` broken in one way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PLACES = ("北京", "上海", "Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi")
_ROLE_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}

Row = dict[str, Any]


@dataclass(slots=True)
class Datasets:
    """Writes data files to `folder` and collects their entries for dataset_info.json."""

    folder: Path
    info: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, rows: Any, entry: Row | None = None, file: str | None = None) -> None:
        """Register `name` with `rows` as JSON (or JSON Lines by the file's ending); bytes are written as they are."""
        path = self.folder / (file or f"{name}.json")
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        elif rows is not None:
            path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
        self.info[name] = {"file_name": path.name, **(entry or {})}


def write_datasets(folder: Path) -> None:
    """Write all datasets and dataset_info.json to `folder`, and some broken dataset directories beside it."""
    from tests.corpora.more_data import write_more

    datasets = Datasets(folder)
    _good_alpaca(datasets)
    _good_conversations(datasets)
    _good_preferences(datasets)
    _bad_files(datasets)
    _bad_columns(datasets)
    _bad_conversations(datasets)
    write_more(datasets)
    text = json.dumps(datasets.info, ensure_ascii=False, indent=1)
    (folder / "dataset_info.json").write_text(text, encoding="utf-8")
    for name, info in (("data_bad_json", '{"good": {"file_name": "good.json",}}'), ("data_no_info", None)):
        other = folder.parent / name
        other.mkdir()
        (other / ("good.json" if info is None else "dataset_info.json")).write_text(info or "[]", encoding="utf-8")


def alpaca(count: int = 40) -> list[Row]:
    """Questions with answers, half of the places Chinese."""
    places = [_PLACES[i % len(_PLACES)] for i in range(count)]
    return [{"instruction": f"Where is {p} ({i})?", "input": "", "output": f"In {p}."} for i, p in enumerate(places)]


def conversations(role: str = "from", content: str = "value", user: str = "human", bot: str = "gpt") -> list[Row]:
    """The same as conversations of two turns, with these names for roles and columns."""
    return [
        {"conversations": [{role: user, content: row["instruction"]}, {role: bot, content: row["output"]}]}
        for row in alpaca()
    ]


def messages() -> list[Row]:
    """The same as OpenAI writes it."""
    return [{"messages": row["conversations"]} for row in conversations("role", "content", "user", "assistant")]


def _good_alpaca(to: Datasets) -> None:
    rows = alpaca()
    to.add("good", rows)
    to.add("good_lines", rows, file="good_lines.jsonl")
    to.add("good_eval", rows[:8])
    short = [{"q": row["instruction"], "a": row["output"], "s": "Be short."} for row in rows]
    to.add("good_columns", short, {"columns": {"prompt": "q", "response": "a", "system": "s"}})
    guide = {"formatting": "alpaca", "columns": {**_ALPACA, "system": "system"}}
    guide["tags"] = {"language": "zh", "task": "general"}
    to.add("good_guide", [{**row, "system": "你是一个数学专家。"} for row in rows], guide)
    history = [{**row, "history": [["Hi", "Hello"], ["You?", "Fine."]]} for row in rows]
    to.add("good_history", history, {"columns": {**_ALPACA, "history": "history"}})
    text = [{"text": "Once upon a time there was a small model. " * 8}] * 60
    to.add("good_text", text, {"columns": {"prompt": "text"}}, "good_text.jsonl")
    lines = "".join(f'"Where, {i}?",,Here {i}.\n' for i in range(30))
    stream = "\n".join(json.dumps(row, ensure_ascii=False, indent=1) for row in rows)
    to.add("good_stream", stream.encode())
    to.add(
        "good_lines_bom", b"\xef\xbb\xbf" + "".join(json.dumps(row) + "\n" for row in rows).encode(), file="bom.jsonl"
    )
    to.add("good_csv", f"instruction,input,output\n{lines}".encode(), file="good.csv")


def _good_conversations(to: Datasets) -> None:
    to.add("good_sharegpt", conversations(), {"formatting": "sharegpt"})
    columns = {"messages": "messages"}
    to.add("good_openai", messages(), {"formatting": "sharegpt", "columns": columns, "tags": _ROLE_TAGS})
    tags = {**_ROLE_TAGS, "observation_tag": "tool", "function_tag": "function", "system_tag": "system"}
    to.add("good_openai_format", messages(), {"formatting": "openai", "columns": columns, "tags": tags})
    turns = [
        {"from": "human", "value": "Weather?"},
        {"from": "function_call", "value": '{"name": "w", "arguments": {}}'},
        {"from": "observation", "value": '{"sun": true}'},
        {"from": "gpt", "value": "Sunny."},
    ]
    tools = '[{"name": "w", "description": "weather", "parameters": {"type": "object", "properties": {}}}]'
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}}
    to.add("good_tools", [{"conversations": turns, "tools": tools}] * 20, entry)
    one_bad = [*conversations(), {"conversations": [{"from": "gpt", "value": "I start."}]}]
    to.add("good_some_bad", one_bad, {"formatting": "sharegpt"})


def _good_preferences(to: Datasets) -> None:
    pairs = [
        {
            "conversations": [{"from": "human", "value": row["instruction"]}],
            "chosen": {"from": "gpt", "value": row["output"]},
            "rejected": {"from": "gpt", "value": "No."},
        }
        for row in alpaca()
    ]
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    to.add("good_pairs", pairs, {"formatting": "sharegpt", "ranking": True, "columns": columns})
    labelled = [{**row, "label": index % 2 == 0} for index, row in enumerate(messages())]
    entry = {"formatting": "sharegpt", "columns": {"messages": "messages", "kto_tag": "label"}, "tags": _ROLE_TAGS}
    to.add("good_kto", labelled, entry)


def _bad_files(to: Datasets) -> None:
    rows = alpaca()
    whole = json.dumps(rows, ensure_ascii=False)
    to.add("bad_missing_file", None, file="nowhere.json")
    to.add("bad_extension", b"x", file="data.xlsx")
    to.add("bad_empty_list", [])
    to.add("bad_empty_file", b"", file="empty.json")
    to.add("bad_bom", b"\xef\xbb\xbf" + whole.encode())
    to.add("bad_cut_off", whole.encode()[:1500], file="cut_off.json")
    to.add("bad_line", f"{json.dumps(rows[0])}\n{{'instruction': 'x'}}\n".encode(), file="bad_line.jsonl")
    to.add("bad_gbk", whole.encode("gbk"), file="gbk.json")
    to.add("bad_formatting", rows, {"formatting": "aplaca"})
    to.add("bad_split", rows, {"split": "validation"})
    folder = to.folder / "mixed_types"
    folder.mkdir()
    (folder / "a.json").write_text(whole, encoding="utf-8")
    (folder / "b.csv").write_text("instruction,input,output\nx,,y\n", encoding="utf-8")
    to.info["bad_mixed_folder"] = {"file_name": "mixed_types"}
    to.info["bad_no_file_name"] = {"formatting": "alpaca"}


def _bad_columns(to: Datasets) -> None:
    rows = alpaca()
    to.add("bad_no_input", [{"instruction": row["instruction"], "output": row["output"]} for row in rows])
    to.add("bad_columns", rows, {"columns": {"prompt": "question", "response": "answer"}})
    to.add("bad_no_response", rows, {"columns": {"prompt": "instruction", "query": "input"}})
    to.add("bad_numeric_answer", [{**row, "output": 2} for row in rows])
    to.add("bad_numeric_prompt", [{**row, "instruction": 7} for row in rows])
    to.add("bad_mixed", [*rows, {"instruction": "x", "input": "", "output": ["a", "list"]}])
    three = [{**row, "history": [["Hi", "Hello", "Bye"]]} for row in rows]
    to.add("bad_history", three, {"columns": {**_ALPACA, "history": "history"}})
    to.add("bad_csv_header", b"question,answer\n" + b"Where?,Here.\n" * 20, file="header.csv")
    to.add("bad_csv_quote", b"instruction,input,output\n" + b'"Where?,,Here.\n' * 5, file="quote.csv")
    to.add("bad_csv_na", b"instruction,input,output\n" + b"Where?,,NA\n" * 20, file="na.csv")
    nested = [*({**row, "meta": {"id": 1}} for row in rows), {**rows[0], "meta": {"id": "one"}}]
    to.add("bad_nested", nested)
    photos = [{**row, "images": ["photo.jpg"]} for row in rows]
    to.add("bad_images", photos, {"columns": {**_ALPACA, "images": "images"}})


def _bad_conversations(to: Datasets) -> None:
    sharegpt = {"formatting": "sharegpt"}
    by_role = conversations("role", "content", "user", "assistant")
    to.add("bad_sharegpt_as_alpaca", conversations())
    to.add("bad_role_tag", by_role, sharegpt)
    to.add("bad_roles", conversations("from", "value", "user", "assistant"), sharegpt)
    to.add("bad_some_tags", by_role, {**sharegpt, "tags": {"user_tag": "user", "assistant_tag": "assistant"}})
    to.add("bad_no_messages", conversations(), {**sharegpt, "columns": {"system": "system"}})
    to.add("bad_format_key", conversations(), {"format": "sharegpt", "columns": {"messages": "conversations"}})
    empty = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": None}]
    to.add("bad_null_content", [{"conversations": empty}] * 20, sharegpt)
    turned = [{"from": "gpt", "value": "Hi"}, {"from": "human", "value": "Hi"}]
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}}
    to.add("bad_tools", [{**row, "tools": "weather(city)"} for row in conversations()], entry)
    call = [{"from": "human", "value": "Weather?"}, {"from": "function_call", "value": "weather(city)"}]
    to.add("bad_call", [{"conversations": call}] * 20, sharegpt)
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    pairs = [{"conversations": [{"from": "human", "value": "Hi"}], "chosen": "Hello", "rejected": "No"}] * 20
    to.add("bad_pairs", pairs, {"formatting": "sharegpt", "ranking": True, "columns": columns})
    labelled = [{**row, "label": "good"} for row in conversations()]
    to.add(
        "bad_label", labelled, {"formatting": "sharegpt", "columns": {"messages": "conversations", "kto_tag": "label"}}
    )
    to.add("bad_start", [{"conversations": turned}] * 20, sharegpt)
