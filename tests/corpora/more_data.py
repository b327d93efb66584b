"""Further datasets of the corpora: records deep in a file, tool calls, pairs, splits, directories of files, Parquet."""

from __future__ import annotations

import json
from typing import Any

from tests.corpora.corpus_data import Datasets, Row, alpaca, conversations, messages

_SHAREGPT: Row = {"formatting": "sharegpt"}
_TOOLS: Row = {**_SHAREGPT, "columns": {"messages": "conversations", "tools": "tools"}}
_PAIRS: Row = {
    **_SHAREGPT,
    "ranking": True,
    "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
}
_KTO: Row = {"columns": {"prompt": "instruction", "query": "input", "response": "output", "kto_tag": "label"}}
_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
_MESSAGES: Row = {**_SHAREGPT, "columns": {"messages": "messages"}, "tags": _TAGS}
_TOOL = '{"name": "w", "description": "weather", "parameters": {"type": "object", "properties": {}}}'


def write_more(to: Datasets) -> None:
    """Add all of them."""
    _deep(to)
    _library(to)
    _tool_texts(to)
    _pairs(to)
    _splits(to)
    _folders(to)
    _parquet(to)


def _lines(rows: list[Row], *, broken: int | None = None) -> bytes:
    texts = [json.dumps(row, ensure_ascii=False) for row in rows]
    if broken is not None:
        texts[broken] = '{"instruction": "x" "output": "y"}'
    return ("\n".join(texts) + "\n").encode()


def _deep(to: Datasets) -> None:
    """What is wrong far behind the first records."""
    rows = alpaca(900)
    to.add("bad_line_deep", _lines(rows, broken=700), file="line_deep.jsonl")
    to.add("bad_number_deep", [{**r, "output": 7 if i == 800 else r["output"]} for i, r in enumerate(rows)])
    to.add("bad_list_deep", [{**r, "input": ["x"] if i == 800 else ""} for i, r in enumerate(rows)])
    late = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": None}]
    to.add("bad_null_deep", [*conversations() * 20, {"conversations": late}], _SHAREGPT)
    to.add("good_null_late", [*conversations(), {"conversations": late}], _SHAREGPT)  # with max_samples


def _library(to: Datasets) -> None:
    """What the dataset library takes in a list and not in lines, or the other way round."""
    rows = alpaca(10)
    to.add("bad_big_number", [{**r, "id": 10**30} for r in rows])
    to.add("good_big_number", [{**r, "id": 10**30} for r in rows], file="big_number.jsonl")
    twice = b'{"instruction": "a", "instruction": "b", "input": "", "output": "c"}\n'
    to.add("bad_key_twice", twice * 5, file="key_twice.jsonl")
    to.add("good_key_twice", b"[" + b",".join([twice.strip()] * 5) + b"]", file="key_twice.json")
    half = b'{"instruction": "a \\ud83d", "input": "", "output": "c"}\n'
    to.add("bad_half_pair", half * 5, file="half_pair.jsonl")
    to.add("good_half_pair", b"[" + b",".join([half.strip()] * 5) + b"]", file="half_pair.json")
    plain = json.dumps(rows).encode()
    to.add("bad_nul", plain.replace(b"In Rome.", b"In\0Rome."), file="nul.json")
    to.add("good_line_feed", plain.replace(b"In Rome.", b"In\nRome."), file="line_feed.json")
    to.add("bad_tab", _lines(rows).replace(b"In Rome.", b"In\tRome."), file="tab.jsonl")
    to.add("bad_escape", _lines(rows).replace(b"In Rome.", b"C:\\Rome"), file="escape.jsonl")
    to.add("good_nan", json.dumps([{**r, "score": float("nan")} for r in rows]).encode(), file="nan.json")
    to.add("good_objects", json.dumps(rows[0]).encode() * 2 + b"\n", file="objects.jsonl")


def _call(text: str) -> list[Row]:
    turns = [("human", "Weather?"), ("function_call", text), ("observation", "sun"), ("gpt", "Sunny.")]
    return [{"conversations": [{"from": role, "value": value} for role, value in turns]}] * 20


def _tool_texts(to: Datasets) -> None:
    to.add("bad_tools_object", [{**row, "tools": _TOOL} for row in conversations()], _TOOLS)
    to.add("bad_tools_text", [{**row, "tools": '"weather"'} for row in conversations()], _TOOLS)
    wrapped = f'[{{"type": "function", "function": {_TOOL}}}]'
    to.add("good_tools_wrapped", [{**row, "tools": wrapped} for row in conversations()], _TOOLS)
    to.add("bad_call_arguments", _call('{"name": "w"}'), _SHAREGPT)
    to.add("bad_call_name", _call('{"function": "w", "arguments": {}}'), _SHAREGPT)
    to.add("bad_call_text", _call('"w"'), _SHAREGPT)
    to.add("good_call_thought", _call('<think>\nHm.\n</think>\n\n{"name": "w", "arguments": {}}'), _SHAREGPT)
    to.add("good_call_tagged", _call('Well. <tool_call>{"name": "w", "arguments": {}}</tool_call>'), _SHAREGPT)
    turns: list[Row] = [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "w", "arguments": {"city": "Rome"}}}],
        },
        {"role": "tool", "content": "sun"},
        {"role": "assistant", "content": "Sunny."},
    ]
    tags = {**_TAGS, "observation_tag": "tool", "function_tag": "function_call", "system_tag": "system"}
    openai = {"formatting": "openai", "columns": {"messages": "messages"}, "tags": tags}
    to.add("good_tool_calls", [{"messages": turns}] * 20, openai)
    nameless = [turns[0], {**turns[1], "tool_calls": [{"function": {"arguments": {"city": "Rome"}}}]}, *turns[2:]]
    to.add("bad_tool_calls", [{"messages": nameless}] * 20, openai)


def _pair(chosen: Any, rejected: Any) -> list[Row]:
    return [{"conversations": [{"from": "human", "value": "Hi"}], "chosen": chosen, "rejected": rejected}] * 20


def _pairs(to: Datasets) -> None:
    def turn(value: Any, role: str = "gpt") -> Row:
        return {"from": role, "value": value}

    to.add("bad_pair_role", _pair(turn("a", "bot"), turn("b", "bot")), _PAIRS)
    to.add("bad_pair_no_role", _pair({"value": "a"}, {"value": "b"}), _PAIRS)
    other = {"role": "assistant", "content": "a"}
    to.add("bad_pair_names", _pair(other, other), _PAIRS)
    to.add("bad_pair_null", _pair(turn("a"), turn(None)), _PAIRS)
    rows = [{"messages": row["messages"][:1], "chosen": other, "rejected": other} for row in messages()]
    columns = {"messages": "messages", "chosen": "chosen", "rejected": "rejected"}
    to.add("good_pair_openai", rows, {"formatting": "openai", "ranking": True, "columns": columns, "tags": _TAGS})
    labelled = [{**row, "label": i % 2 == 0} for i, row in enumerate(alpaca())]
    to.add("good_kto_alpaca", labelled, _KTO)
    to.add("bad_kto_null", [{**row, "output": None} for row in labelled], _KTO)
    lacking = {name: column for name, column in _KTO["columns"].items() if name != "response"}
    to.add("bad_kto_no_response", labelled, {"columns": lacking})


def _splits(to: Datasets) -> None:
    for name, split in (
        ("good_split_rows", "train[:10]"),
        ("good_split_share", "train[:50%]"),
        ("bad_split_word", "training"),
        ("bad_split_slice", "train[:abc]"),
        ("bad_split_empty", "train[100:]"),
    ):
        to.info[name] = {"file_name": "good.json", "split": split}


def _folders(to: Datasets) -> None:
    """Directories of one file each beside the first; the order in which they are read is the file system's."""

    def folder(name: str, *files: list[Row] | bytes) -> None:
        path = to.folder / name
        path.mkdir()
        for number, rows in enumerate(files):
            raw = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
            (path / f"part-{number}.json").write_bytes(raw)
        to.info[name] = {"file_name": name}

    rows = alpaca(10)
    folder("good_folder", rows, [dict(reversed(list(row.items()))) for row in rows])
    folder("bad_folder_columns", [{**r, "a": 1} for r in rows], [{**r, "b": 1} for r in rows])
    folder("bad_folder_kinds", [{**r, "id": ["x"]} for r in rows], [{**r, "id": "x"} for r in rows])
    folder("bad_folder_fifth", rows, rows, rows, rows, b'[{"instruction": ')


def _parquet(to: Datasets) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(name: str, column: list[Any], entry: Row) -> None:
        pq.write_table(pa.table({"messages": column}), to.folder / f"{name}.parquet")
        to.info[name] = {"file_name": f"{name}.parquet", **entry}

    good = [row["messages"] for row in messages()]
    table("good_parquet", good, _MESSAGES)
    table("bad_parquet_tags", good, {**_SHAREGPT, "columns": {"messages": "messages"}})
    table("bad_parquet_text", [json.dumps(turns) for turns in good], _MESSAGES)
    renamed = [[{**turn, "role": {"user": "human", "assistant": "gpt"}[turn["role"]]} for turn in t] for t in good]
    table("bad_parquet_roles", renamed, _MESSAGES)
