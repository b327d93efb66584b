"""Small messy files as people send them, each with exactly what must become of it."""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import datetime
import decimal
import gzip
import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import zstandard
from openpyxl import Workbook
from pyarrow import feather, parquet

from sft_tui.dataset import Columns

Row = dict[str, Any]
Make = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """`make` writes files into a directory; `source` names them there. `rows` or `refused` is what must come out."""

    name: str
    make: Make
    source: str
    rows: list[Row] | None = None
    dropped: dict[str, tuple[int, ...]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    refused: tuple[int, str] | None = None
    notes: tuple[str, ...] = ()


def put(name: str, data: bytes | str) -> Make:
    """A maker of one file."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)

    return make


def both(*makers: Make) -> Make:
    """Several makers after each other."""

    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder)

    return make


def qa(*pairs: tuple[str, str]) -> list[Row]:
    """Written rows of prompt and answer."""
    return [{"instruction": "", "input": question, "output": answer} for question, answer in pairs]


def chat(*turns: str, system: str = "", tools: str = "", sides: tuple[str, ...] = ()) -> Row:
    """A written conversation, human and gpt in turn unless `sides` says otherwise."""
    names = sides or tuple("human" if at % 2 == 0 else "gpt" for at in range(len(turns)))
    return {
        "conversations": [{"from": side, "value": text} for side, text in zip(names, turns, strict=True)],
        "system": system,
        "tools": tools,
    }


ZH = "question,answer\n小明有5个苹果，吃了2个，还剩几个？,还剩3个\n你好,世界，你好\n"
ZH_ROWS = qa(("小明有5个苹果，吃了2个，还剩几个？", "还剩3个"), ("你好", "世界，你好"))
TWO = "question,answer\nq1,a1\nq2,a2\n"
TWO_ROWS = qa(("q1", "a1"), ("q2", "a2"))


def csv_cases() -> Iterator[Case]:
    """Text tables."""
    yield Case("csv plain", put("a.csv", TWO), "a.csv", TWO_ROWS)
    yield Case("csv with mark", put("a.csv", b"\xef\xbb\xbf" + TWO.encode()), "a.csv", TWO_ROWS)
    yield Case("csv utf-8 Chinese", put("a.csv", ZH), "a.csv", ZH_ROWS)
    for codec in ("utf-16", "utf-16-le", "utf-16-be", "gbk", "gb18030", "utf-32"):
        yield Case(f"csv {codec}", put("a.csv", ZH.encode(codec)), "a.csv", ZH_ROWS)
    latin = "question;answer\ncafé crème?;oui, déjà\nGröße?;für Müller\n"
    yield Case(
        "csv Latin-1 is said",
        put("a.csv", latin.encode("latin-1")),
        "a.csv",
        qa(("café crème?", "oui, déjà"), ("Größe?", "für Müller")),
        notes=("latin1",),
    )
    yield Case("csv CRLF", put("a.csv", TWO.replace("\n", "\r\n")), "a.csv", TWO_ROWS)
    yield Case("csv CR only", put("a.csv", TWO.replace("\n", "\r")), "a.csv", TWO_ROWS)
    yield Case("csv without last line end", put("a.csv", TWO.rstrip("\n")), "a.csv", TWO_ROWS)
    yield Case("csv blank lines are no records", put("a.csv", "\n" + TWO.replace("q2", "\n\nq2")), "a.csv", TWO_ROWS)
    for name, mark in (("tab", "\t"), ("semicolon", ";"), ("bar", "|")):
        text = TWO.replace(",", mark)
        yield Case(f"csv {name}", put("a.csv", text), "a.csv", TWO_ROWS)
    yield Case("tsv with commas", put("a.tsv", "question\tanswer\na, b\tc, d\n"), "a.tsv", qa(("a, b", "c, d")))
    yield Case("csv sep line of Excel", put("a.csv", "sep=;\n" + TWO.replace(",", ";")), "a.csv", TWO_ROWS)
    yield Case("csv in a txt file", put("a.txt", TWO), "a.txt", TWO_ROWS)
    quoted = 'question,answer\n"a, ""b""","line 1\nline 2"\n" x ",y\n'
    yield Case(
        "csv quotes and line breaks", put("a.csv", quoted), "a.csv", qa(('a, "b"', "line 1\nline 2"), ("x", "y"))
    )
    yield Case(
        "csv quotes within a bare cell",
        put("a.csv", 'question,answer\n5" pipe,6" pipe\n'),
        "a.csv",
        qa(('5" pipe', '6" pipe')),
    )
    yield Case(
        "csv backslash quotes",
        put("a.csv", 'question,answer\n"he said \\"hi\\", ok",a\n"x\\"y",b\n'),
        "a.csv",
        qa(('he said "hi", ok', "a"), ('x"y', "b")),
    )
    yield Case(
        "csv blanks before quotes",
        put("a.csv", 'question, answer\n"a, b", "c, d"\n"e", "f"\n'),
        "a.csv",
        qa(("a, b", "c, d"), ("e", "f")),
    )
    texts = "question,answer\nNA,None\nnull,NaN\n007,1.10\n12345678901234567890,1e5\ntrue,2024-01-01\n"
    yield Case(
        "csv nothing is guessed",
        put("a.csv", texts),
        "a.csv",
        qa(("NA", "None"), ("null", "NaN"), ("007", "1.10"), ("12345678901234567890", "1e5"), ("true", "2024-01-01")),
        notes=("placeholders", "placeholders"),
    )
    yield Case(
        "csv blank cells",
        put("a.csv", "question,answer\n,a\n  ,a\nq,\nq,\u3000\n,\nq,a\n"),
        "a.csv",
        qa(("q", "a")),
        {"empty_input": (1, 2, 5), "empty_output": (3, 4)},
    )
    yield Case(
        "csv too many cells", put("a.csv", "question,answer\nq1,a1\nq2,a2,x\nq3,a3\n"), "a.csv",
        qa(("q1", "a1"), ("q3", "a3")), {"malformed": (2,)},
    )  # fmt: skip
    yield Case("csv empty cells at the end", put("a.csv", "question,answer\nq1,a1,,\nq2,a2,\n"), "a.csv", TWO_ROWS)
    yield Case(
        "csv too few cells", put("a.csv", "question,answer\nq1,a1\nq2\n"), "a.csv", qa(("q1", "a1")),
        {"empty_output": (2,)},
    )  # fmt: skip
    yield Case(
        "csv open quote", put("a.csv", 'question,answer\nq1,a1\n"q2,a2\nq3,a3\nq4,a4\n'), "a.csv",
        qa(("q1", "a1"), ("q3", "a3"), ("q4", "a4")), {"malformed": (2,)},
    )  # fmt: skip
    yield Case(
        "csv open quote before good ones", put("a.csv", 'question,answer\nq1,"a1\n"q2","a2"\nq3,"a,3"\n'), "a.csv",
        qa(("q2", "a2"), ("q3", "a,3")), {"malformed": (1,)},
    )  # fmt: skip
    yield Case(
        "csv quotes that were not doubled", put("a.csv", 'question,answer\n"a\n"b" c\nd",x\nq2,a2\n'), "a.csv",
        qa(("q2", "a2")), {"malformed": (1,)},
    )  # fmt: skip
    bad = b"question,answer\nq1,a1\nq2,\xff\xfe\nq3,\xe4\xb8\nq4,a4\n"
    yield Case("csv invalid bytes", put("a.csv", bad), "a.csv", qa(("q1", "a1"), ("q4", "a4")), {"malformed": (2, 3)})
    for number, wrong in enumerate(
        (b"\xc3\x28", b"\xa0\xa1", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xc0\xaf", b"\x80")
    ):
        data = b"question,answer\nq1,a1\nq, " + wrong + b"\nq2,a2\n"
        yield Case(f"csv invalid bytes {number}", put("a.csv", data), "a.csv", TWO_ROWS, {"malformed": (2,)})
    degrees = "question,answer\n25°C?,±1 µm\n"
    yield Case("csv Latin-1 signs", put("a.csv", degrees.encode("latin-1")), "a.csv", qa(("25°C?", "±1 µm")),
               notes=("latin1",))  # fmt: skip
    worse = ZH.encode() + b"q,\xffa\n" + "再见,拜拜\n".encode()
    yield Case(
        "csv invalid bytes in Chinese", put("a.csv", worse), "a.csv", [*ZH_ROWS, *qa(("再见", "拜拜"))],
        {"malformed": (3,)},
    )  # fmt: skip
    yield Case(
        "csv invalid bytes in GBK", put("a.csv", (ZH * 3).encode("gbk") + b"q,\xff\xff\n"), "a.csv",
        [*ZH_ROWS, *qa(("question", "answer")), *ZH_ROWS, *qa(("question", "answer")), *ZH_ROWS], {"malformed": (9,)},
    )  # fmt: skip
    yield Case("csv gzip", put("a.csv.gz", gzip.compress(ZH.encode())), "a.csv.gz", ZH_ROWS)
    yield Case("csv gzip GBK", put("a.csv.gz", gzip.compress(ZH.encode("gbk"))), "a.csv.gz", ZH_ROWS)
    yield Case("csv zstd", put("a.csv.zst", zstandard.compress(ZH.encode())), "a.csv.zst", ZH_ROWS)
    yield Case("csv gzip of several", put("a.gz", gzip.compress(TWO[:20].encode()) + gzip.compress(TWO[20:].encode())),
               "a.gz", TWO_ROWS)  # fmt: skip
    cut = gzip.compress((TWO + "x" * 3000).encode())[:-20]
    yield Case("csv gzip cut short", put("a.csv.gz", cut), "a.csv.gz", refused=(3, "unreadable_source"))
    cut = zstandard.compress(json.dumps(list(range(9000))).encode())[:-20]
    yield Case("zstd cut short", put("a.csv.zst", cut), "a.csv.zst", refused=(3, "unreadable_source"))
    twice = "question,question,answer\na,b,c\n"
    yield Case("csv a name twice", put("a.csv", twice), "a.csv", refused=(2, "ambiguous_column"))
    yield Case(
        "csv a name twice, asked for", put("a.csv", twice), "a.csv",
        options={"columns": Columns(input="question", output="answer")}, refused=(2, "ambiguous_column"),
    )  # fmt: skip
    yield Case("csv only names", put("a.csv", "question,answer\n"), "a.csv", refused=(3, "empty_source"))
    yield Case("empty file", put("a.csv", b""), "a.csv", refused=(3, "empty_source"))
    yield Case("blank file", put("a.csv", b"\n \n"), "a.csv", refused=(3, "empty_source"))
    yield Case("Chinese names", put("a.csv", "编号,问题,答案\n1,你好,世界\n"), "a.csv", qa(("你好", "世界")))
    yield Case(
        "csv conversation as JSON text",
        put(
            "a.csv",
            'id,messages\n1,"[{""role"":""user"",""content"":""hi""},{""role"":""assistant"",""content"":""yo""}]"\n2,oops\n',
        ),
        "a.csv",
        [chat("hi", "yo")],
        {"malformed": (2,)},
    )


def json_cases() -> Iterator[Case]:
    """JSON in all shapes."""
    records = [{"question": "q1", "answer": "a1"}, {"question": "q2", "answer": "a2"}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    yield Case("json lines", put("a.jsonl", lines), "a.jsonl", TWO_ROWS)
    yield Case("json lines named json", put("a.json", lines), "a.json", TWO_ROWS)
    yield Case("json lines named csv", put("a.csv", lines), "a.csv", TWO_ROWS)
    yield Case(
        "json lines with blank ones", put("a.jsonl", "\n" + lines.replace("\n", "\n\n  \n")), "a.jsonl", TWO_ROWS
    )
    yield Case("json lines CRLF", put("a.jsonl", lines.replace("\n", "\r\n")), "a.jsonl", TWO_ROWS)
    yield Case("json lines with commas", put("a.jsonl", lines.replace("}\n", "},\n")), "a.jsonl", TWO_ROWS)
    yield Case("json lines with mark", put("a.jsonl", b"\xef\xbb\xbf" + lines.encode()), "a.jsonl", TWO_ROWS)
    yield Case("json lines utf-16", put("a.jsonl", lines.encode("utf-16")), "a.jsonl", TWO_ROWS)
    yield Case("json lines gzip", put("a.jsonl.gz", gzip.compress(lines.encode())), "a.jsonl.gz", TWO_ROWS)
    yield Case("json array", put("a.json", json.dumps(records)), "a.json", TWO_ROWS)
    yield Case("json array in a txt file", put("a.txt", json.dumps(records)), "a.txt", TWO_ROWS)
    yield Case("json array, indented", put("a.json", "\n " + json.dumps(records, indent=2)), "a.json", TWO_ROWS)
    pretty = "\n".join(json.dumps(record, indent=4) for record in records)
    yield Case("json concatenated", put("a.json", pretty), "a.json", TWO_ROWS)
    glued = "".join(json.dumps(record, indent=1) for record in records)
    yield Case("json concatenated without space", put("a.json", glued), "a.json", TWO_ROWS)
    yield Case("json wrapper", put("a.json", json.dumps({"version": "1", "data": records})), "a.json", TWO_ROWS)
    yield Case("json wrapper, indented", put("a.json", json.dumps({"rows": records}, indent=2)), "a.json", TWO_ROWS)
    columns = {"question": ["q1", "q2"], "answer": ["a1", "a2"]}
    yield Case("json dict of columns", put("a.json", json.dumps(columns)), "a.json", TWO_ROWS)
    keyed = {"question": {"0": "q1", "1": "q2"}, "answer": {"0": "a1", "1": "a2"}}
    yield Case("json dict of columns by row", put("a.json", json.dumps(keyed)), "a.json", TWO_ROWS)
    named = {"first": records[0], "second": records[1]}
    yield Case("json dict of records", put("a.json", json.dumps(named, indent=1)), "a.json", TWO_ROWS)
    yield Case("json one record", put("a.json", json.dumps(records[0], indent=1)), "a.json", TWO_ROWS[:1])
    numbers = '{"question": 1.10, "answer": 12345678901234567890123}\n{"question": 1e5, "answer": -0.0}\n'
    yield Case(
        "json numbers as written", put("a.jsonl", numbers), "a.jsonl",
        qa(("1.10", "12345678901234567890123"), ("1e5", "-0.0")),
    )  # fmt: skip
    other = '{"question": true, "answer": {"a": [1.50, null, "x\\n"]}}\n{"question": ["a"], "answer": []}\n'
    yield Case(
        "json values as JSON text", put("a.jsonl", other), "a.jsonl",
        qa(("true", '{"a": [1.50, null, "x\\n"]}'), ('["a"]', "[]")), notes=("lists_as_text", "lists_as_text"),
    )  # fmt: skip
    empties = '{"question": null, "answer": "a"}\n{"answer": "a"}\n{"question": "q", "answer": NaN}\n{"question":"q","answer":" "}\n{"question":"NaN","answer":"null"}\n'
    yield Case(
        "json missing values", put("a.jsonl", empties), "a.jsonl", qa(("NaN", "null")),
        {"empty_input": (1, 2), "empty_output": (3, 4)}, notes=("placeholders", "placeholders"),
    )  # fmt: skip
    broken = '{"question": "q1", "answer": "a1"}\n{"question": "q2", \n[1]\nnull\n"x"\n5\n{"question": "q2", "answer": "a2"}\n'
    yield Case("json broken lines", put("a.jsonl", broken), "a.jsonl", TWO_ROWS, {"malformed": (2, 3, 4, 5, 6)})
    first = '{"question": oops}\n' + lines
    yield Case("json first line broken", put("a.jsonl", first), "a.jsonl", TWO_ROWS, {"malformed": (1,)})
    mixed = '[{"question": "q1", "answer": "a1"}, "x", null, [1], {"question": }, {"question": "q2", "answer": "a2"},]'
    yield Case("json array with others", put("a.json", mixed), "a.json", TWO_ROWS, {"malformed": (2, 3, 4, 5)})
    open_string = '[\n{"question": "q1", "answer": "a1"},\n{"question": "oops, "answer": "a},\n{"question": "q2", "answer": "a2"}\n]'
    yield Case("json array with an open string", put("a.json", open_string), "a.json", TWO_ROWS, {"malformed": (2,)})
    short = json.dumps(records, indent=1)[:-10]
    yield Case(
        "json array cut short", put("a.json", short), "a.json", TWO_ROWS[:1], {"malformed": (2,)}, notes=("cut_short",)
    )
    surrogate = '{"question": "\\ud83d", "answer": "a"}\n{"question": "\\ud83d\\ude00", "answer": "a\\u0000b"}\n'
    yield Case("json half a character", put("a.jsonl", surrogate), "a.jsonl", qa(("😀", "a\x00b")), {"malformed": (1,)})
    bad = (
        b'{"question": "q1", "answer": "a1"}\n{"question": "\xff", "answer": "a"}\n{"question": "q2", "answer": "a2"}\n'
    )
    yield Case("json invalid bytes", put("a.jsonl", bad), "a.jsonl", TWO_ROWS, {"malformed": (2,)})
    late = '{"question": "q1", "answer": "a1"}\n' * 300 + '{"question": "q2", "answer": "a2", "sys": "s"}\n'
    yield Case(
        "json a column that comes late", put("a.jsonl", late), "a.jsonl",
        [{**row, "system": sys} for row, sys in zip(qa(*[("q1", "a1")] * 300, ("q2", "a2")), [""] * 300 + ["s"], strict=True)],
        options={"columns": Columns(input="question", output="answer", system="sys")},
    )  # fmt: skip
    twice = '{"question": "old", "question": "q1", "answer": "a1"}\n{"question": "q2", "answer": "a2"}\n'
    yield Case("json a key twice: the last holds", put("a.jsonl", twice), "a.jsonl", TWO_ROWS)
    deep = '{"question": "q1", "answer": "a1"}\n{"question": ' + "[" * 100000 + "}\n"
    yield Case("json nested without end", put("a.jsonl", deep), "a.jsonl", TWO_ROWS[:1], {"malformed": (2,)})
    yield Case("json no records", put("a.json", "[]"), "a.json", refused=(3, "empty_source"))
    for name, text in (("text", '"abc"'), ("numbers", "1\n2\n"), ("Python", "{'question': 'q', 'answer': 'a'}\n")):
        yield Case(f"json that holds {name}", put("a.json", text), "a.json", refused=(3, "no_rows"))
    split = {"columns": ["question", "answer"], "index": [0, 1], "data": [["q1", "a1"], ["q2", "a2"]]}
    yield Case("json rows beside names", put("a.json", json.dumps(split)), "a.json", TWO_ROWS)
    yield Case("json only blank", put("a.json", " \n"), "a.json", refused=(3, "empty_source"))


def alpaca_cases() -> Iterator[Case]:
    """Alpaca with all its parts, fixed texts, mapping."""
    full = {"instruction": "i", "input": "", "output": "o", "system": "s", "history": [["h1", "r1"], ["h2", " r2 "]]}
    row = {"instruction": "i", "input": "", "output": "o", "system": "s", "history": [["h1", "r1"], ["h2", "r2"]]}
    yield Case("alpaca with history", put("a.json", json.dumps([full])), "a.json", [row])
    histories: list[Any] = [
        [["q"]],
        "text",
        [["q", ""]],
        [["", "a"]],
        None,
        [],
        '[["q", "a"]]',
        [["q", ["a"]]],
        {"a": 1},
    ]
    records = [{"instruction": "i", "output": "o", "history": history} for history in histories]
    kept = [{"instruction": "i", "input": "", "output": "o", "history": h} for h in ([], [], [["q", "a"]])]
    yield Case(
        "alpaca histories of wrong shape", put("a.json", json.dumps(records)), "a.json", kept,
        {"malformed": (1, 2, 8, 9), "empty_output": (3,), "empty_input": (4,)},
    )  # fmt: skip
    cells = "instruction,input,output\n,x,a\n,,a\nown,y,a\n"
    yield Case(
        "fixed instruction fills empty cells", put("a.csv", cells), "a.csv",
        [
            {"instruction": "FIXED", "input": "x", "output": "a", "system": "SYS"},
            {"instruction": "own", "input": "y", "output": "a", "system": "SYS"},
        ],
        {"empty_input": (2,)}, {"instruction": "FIXED", "system": "SYS"},
    )  # fmt: skip
    yield Case(
        "instruction and question", put("a.csv", "instruction,question,response\ni,q,r\n"), "a.csv",
        [{"instruction": "i", "input": "q", "output": "r"}],
    )  # fmt: skip
    yield Case(
        "context beside an instruction", put("a.csv", "instruction,context,response,category\ni,c,r,x\n"), "a.csv",
        [{"instruction": "i", "input": "c", "output": "r"}],
    )  # fmt: skip
    yield Case(
        "two prompts", put("a.csv", "prompt,question,answer\na,b,c\n"), "a.csv", refused=(2, "ambiguous_columns")
    )
    yield Case(
        "two answers", put("a.csv", "question,answer,response\na,b,c\n"), "a.csv", refused=(2, "ambiguous_columns")
    )
    yield Case("no answer", put("a.csv", "question,foo\na,b\n"), "a.csv", refused=(2, "unknown_columns"))
    yield Case(
        "unknown column", put("a.csv", TWO), "a.csv", options={"columns": Columns(input="quest")},
        refused=(2, "unknown_column"),
    )  # fmt: skip
    yield Case(
        "preference pairs", put("a.csv", "prompt,chosen,rejected\na,b,c\n"), "a.csv", refused=(2, "preference_pairs")
    )
    yield Case(
        "the better of a pair", put("a.csv", "prompt,chosen,rejected\na,b,c\n"), "a.csv", qa(("a", "b")),
        options={"columns": Columns(input="prompt", output="chosen")},
    )  # fmt: skip
    yield Case("running text", put("a.jsonl", '{"text": "once upon a time"}\n'), "a.jsonl", refused=(2, "no_answers"))
    images = {"instruction": "<image>what?", "output": "cat", "images": ["a.png"]}
    yield Case(
        "images that are not there", put("a.json", json.dumps([images])), "a.json", refused=(3, "no_rows"),
        options={"columns": Columns(instruction="instruction", output="output", images="images")},
    )  # fmt: skip


def chat_cases() -> Iterator[Case]:
    """Conversations."""

    def sharegpt(*turns: tuple[str, str], **more: Any) -> Row:
        return {"conversations": [{"from": side, "value": text} for side, text in turns], **more}

    def openai(*turns: tuple[str, Any], **more: Any) -> Row:
        return {"messages": [{"role": side, "content": text} for side, text in turns], **more}

    def lines(*records: Any) -> str:
        return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)

    yield Case(
        "sharegpt", put("a.json", json.dumps([sharegpt(("system", "s"), ("human", " q "), ("gpt", "a"))])), "a.json",
        [chat("q", "a", system="s")],
    )  # fmt: skip
    yield Case(
        "openai", put("a.jsonl", lines(openai(("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "q2"), ("assistant", "a2")))),
        "a.jsonl", [chat("q", "a", "q2", "a2", system="s")],
    )  # fmt: skip
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    yield Case("openai text parts", put("a.jsonl", lines(openai(("user", parts), ("assistant", "x")))), "a.jsonl",
               [chat("a\nb", "x")])  # fmt: skip
    yield Case(
        "wrong turns",
        put("a.jsonl", lines(
            openai(("user", "q"), ("assistant", "a")),
            openai(("user", "q")),
            openai(("user", "q"), ("user", "q"), ("assistant", "a")),
            openai(("assistant", "a")),
            openai(("user", "q"), ("narrator", "a")),
            openai(("user", "q"), ("system", "s"), ("assistant", "a")),
            openai(("user", "q"), ("assistant", "a"), ("assistant", "b")),
            openai(("user", " "), ("assistant", "a")),
            openai(("user", "q"), ("assistant", None)),
            openai(),
            {"messages": None},
            {"messages": "text"},
            {"messages": [["user", "q"]]},
            {"messages": [{"content": "q"}]},
        )),
        "a.jsonl", [chat("q", "a")],
        {"bad_roles": (2, 3, 4, 5, 6, 7), "empty_input": (8, 10, 11), "empty_output": (9,), "malformed": (12, 13, 14)},
    )  # fmt: skip
    call = {"name": "f", "arguments": {"x": 1.50}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    messages: list[Row] = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1.50}'}},
            {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "1", "content": "r1"},
        {"role": "tool", "tool_call_id": "2", "content": "r2"},
        {"role": "assistant", "content": "done"},
    ]  # fmt: skip
    sides = ("human", "function_call", "observation", "gpt")
    calls = '[{"name": "f", "arguments": {"x": 1.50}}, {"name": "g", "arguments": {}}]'
    results = "r1\n</tool_response>\n<tool_response>\nr2"
    yield Case(
        "openai tool calls", put("a.jsonl", lines({"messages": messages, "tools": tools})), "a.jsonl",
        [chat("q", calls, results, "done", tools=json.dumps(tools), sides=sides)],
    )  # fmt: skip
    beside = [messages[0], {**messages[1], "content": "let me see"}, *messages[2:]]
    yield Case(
        "text beside a tool call is said", put("a.jsonl", lines({"messages": beside, "tools": tools})), "a.jsonl",
        [chat("q", calls, results, "done", tools=json.dumps(tools), sides=sides)], notes=("text_beside_call",),
    )  # fmt: skip
    given = '{"name": "f", "arguments": {"x": 1.50}}'

    def called(text: Any, **more: Any) -> Row:
        return sharegpt(("human", "q"), ("function_call", text), ("observation", "r"), ("gpt", "a"), **more)

    yield Case(
        "sharegpt tool calls",
        put("a.jsonl", lines(
            called(given, tools=json.dumps(tools)),
            called('{"name": "f", "arguments": "{\\"x\\": 1.50}"}', tools=""),
            called(call),
            called("no JSON"),
            called('{"name": "f"}'),
            called('{"arguments": {}}'),
            called('{"name": "f", "arguments": [1]}'),
            called(given, tools="no JSON"),
            called(given, tools='{"name": "f"}'),
            called(given, tools=["f"]),
            called(" "),
            called("<think>hm</think>" + given),
        ).replace("1.5}", "1.50}")),
        "a.jsonl",
        [
            chat("q", given, "r", "a", tools=json.dumps(tools), sides=sides),
            chat("q", given, "r", "a", sides=sides),
            chat("q", given, "r", "a", sides=sides),
            chat("q", "<think>hm</think>" + given, "r", "a", sides=sides),
        ],
        {"malformed": (4, 5, 6, 7, 8, 9, 10), "empty_output": (11,)},
    )  # fmt: skip
    yield Case(
        "fixed system for conversations",
        put("a.jsonl", lines(openai(("user", "q"), ("assistant", "a")), openai(("system", "own"), ("user", "q"), ("assistant", "a")))),
        "a.jsonl", [chat("q", "a", system="SYS"), chat("q", "a", system="own")],
        options={"system": "SYS", "instruction": "never used"}, notes=("instruction_unused",),
    )  # fmt: skip
    yield Case(
        "asked for conversations",
        put("a.csv", TWO),
        "a.csv",
        options={"format": "sharegpt"},
        refused=(2, "no_messages"),
    )
    table = pa.table(
        {"id": [1], "messages": [[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]]}
    )
    yield Case("conversations in parquet", lambda folder: parquet.write_table(table, folder / "a.parquet"), "a.parquet",
               [chat("q", "a")])  # fmt: skip


def table_cases() -> Iterator[Case]:
    """Parquet, Arrow, workbooks, directories."""
    table = pa.table({"question": ["q1", "q2"], "answer": ["a1", "a2"]})
    yield Case("parquet", lambda folder: parquet.write_table(table, folder / "a.parquet"), "a.parquet", TWO_ROWS)
    yield Case("arrow", lambda folder: feather.write_feather(table, str(folder / "a.feather")), "a.feather", TWO_ROWS)
    typed = pa.table({
        "question": pa.array([1, None, 3], pa.int64()),
        "answer": pa.array([decimal.Decimal("1.10"), decimal.Decimal("2.00"), None], pa.decimal128(5, 2)),
    })  # fmt: skip
    yield Case(
        "parquet numbers", lambda folder: parquet.write_table(typed, folder / "a.parquet"), "a.parquet",
        qa(("1", "1.10")), {"empty_input": (2,), "empty_output": (3,)},
    )  # fmt: skip
    times = pa.table({
        "question": pa.array([datetime.date(2024, 1, 2), datetime.date(2024, 1, 3)]),
        "answer": pa.array([datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.datetime(2024, 1, 2, 3, 4, 5, 60000)]),
    })  # fmt: skip
    yield Case(
        "parquet times", lambda folder: parquet.write_table(times, folder / "a.parquet"), "a.parquet",
        qa(("2024-01-02", "2024-01-02T03:04:05"), ("2024-01-03", "2024-01-02T03:04:05.060000")),
    )  # fmt: skip
    floats = pa.table({
        "question": pa.array([1.5, float("nan"), 2.0]), "answer": pa.array([0.1, 0.2, 0.3], pa.float32()),
    })  # fmt: skip
    yield Case(
        "parquet floats", lambda folder: parquet.write_table(floats, folder / "a.parquet"), "a.parquet",
        qa(("1.5", "0.1"), ("2.0", "0.3")), {"empty_input": (2,)},
    )  # fmt: skip
    kinds = pa.table({
        "question": pa.array(["x", "y"]).dictionary_encode(), "answer": pa.array(["a", None], pa.large_string()),
    })  # fmt: skip
    yield Case(
        "parquet dictionary and large text", lambda folder: parquet.write_table(kinds, folder / "a.parquet", row_group_size=1),
        "a.parquet", qa(("x", "a")), {"empty_output": (2,)},
    )  # fmt: skip
    views = pa.table(
        {"question": pa.array(["x", None], pa.string_view()), "answer": pa.array([b"a", b"b"], pa.binary())}
    )
    yield Case(
        "parquet views and bytes", lambda folder: parquet.write_table(views, folder / "a.parquet"), "a.parquet",
        qa(("x", "a")), {"empty_input": (2,)},
    )  # fmt: skip
    zones = pa.table({
        "question": pa.array([datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.UTC)], pa.timestamp("ns", "UTC")),
        "answer": pa.array([1_500_000_123], pa.duration("us")),
    })  # fmt: skip
    yield Case(
        "parquet zones and durations", lambda folder: parquet.write_table(zones, folder / "a.parquet"), "a.parquet",
        qa(("2024-01-02T03:04:00+00:00", "P0DT0H25M0.000123S")),
    )  # fmt: skip
    nothing = pa.table({"question": pa.array([], pa.string()), "answer": pa.array([], pa.string())})
    yield Case("parquet without rows", lambda folder: parquet.write_table(nothing, folder / "a.parquet"), "a.parquet",
               refused=(3, "empty_source"))  # fmt: skip
    nested = pa.table({"question": [["a", "b"]], "answer": [{"x": 1, "y": None}]})
    yield Case(
        "parquet lists and structs", lambda folder: parquet.write_table(nested, folder / "a.parquet"), "a.parquet",
        qa(('["a", "b"]', '{"x": 1, "y": null}')), notes=("lists_as_text", "lists_as_text"),
    )  # fmt: skip

    def invalid(folder: Path) -> None:
        text = pa.array([b"q1", b"\xff", b"q2"], pa.binary()).view(pa.string())
        parquet.write_table(pa.table({"question": text, "answer": ["a1", "x", "a2"]}), folder / "a.parquet")

    yield Case("parquet invalid text", invalid, "a.parquet", TWO_ROWS, {"malformed": (2,)})
    yield Case("parquet cut short", put("a.parquet", b"PAR1abc"), "a.parquet", refused=(3, "unreadable_source"))
    yield Case("parquet in name only", put("a.parquet", TWO), "a.parquet", refused=(3, "unreadable_source"))

    def parts(folder: Path) -> None:
        for number, lang in enumerate(("en", "zh")):
            path = folder / "set" / f"lang={lang}"
            path.mkdir(parents=True)
            parquet.write_table(table.slice(number, 1), path / f"part-{number}.parquet")
        (folder / "set" / "_SUCCESS").write_text("")
        (folder / "set" / ".hidden.parquet").write_text("x")
        (folder / "set" / "README.md").write_text("hello")

    yield Case("directory with partitions", parts, "set",
               [{**row, "system": lang} for row, lang in zip(TWO_ROWS, ("en", "zh"), strict=True)],
               options={"columns": Columns(input="question", output="answer", system="lang")})  # fmt: skip
    several = both(put("s/b.jsonl", '{"question": "q2", "answer": "a2"}\n'), put("s/a.csv", "question,answer\nq1,a1\n"))
    yield Case("directory of kinds, in path order", several, "s", TWO_ROWS)
    yield Case("pattern", several, "s/*", TWO_ROWS)
    yield Case("names with a comma between", both(put("b.csv", "question,answer\nq1,a1\n"), put("a.csv", "question,answer\nq2,a2\n")),
               "{}b.csv,{}a.csv", TWO_ROWS)  # fmt: skip
    yield Case("empty directory", lambda folder: (folder / "s").mkdir(), "s", refused=(3, "empty_source"))
    yield Case("missing", lambda folder: None, "nowhere.csv", refused=(2, "missing_source"))

    def book(*sheets: tuple[str, list[list[Any]]]) -> Make:
        def make(folder: Path) -> None:
            found = Workbook()
            found.remove(found.active) if found.active is not None else None
            for title, rows in sheets:
                sheet = found.create_sheet(title)
                for row in rows:
                    sheet.append(row)
            buffer = io.BytesIO()
            found.save(buffer)
            (folder / "a.xlsx").write_bytes(buffer.getvalue())

        return make

    rows: list[list[Any]] = [[], ["question", "answer"], ["q1", "a1"], [], ["q2", "a2"]]
    yield Case("xlsx, first sheet with rows", book(("empty", []), ("data", rows)), "a.xlsx", TWO_ROWS)
    others = book(("one", [["question", "answer"], ["x", "y"]]), ("two", rows))
    yield Case("xlsx, a sheet by name", others, "a.xlsx", TWO_ROWS, options={"sheet": "two"})
    yield Case("xlsx, no such sheet", others, "a.xlsx", options={"sheet": "tow"}, refused=(2, "unknown_sheet"))
    cells: list[list[Any]] = [
        ["question", "answer"], ["007", 7], [1.5, True], [datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4)],
        [None, "a"], ["q", None], ["x", "y", "z"],
    ]  # fmt: skip
    yield Case(
        "xlsx cells", book(("data", cells)), "a.xlsx",
        qa(("007", "7"), ("1.5", "TRUE"), ("2024-01-02", "2024-01-02T03:04:00")),
        {"empty_input": (4,), "empty_output": (5,), "malformed": (6,)},
    )  # fmt: skip
    yield Case("xlsx, empty", book(("data", [])), "a.xlsx", refused=(3, "empty_source"))
    noise = random.Random(0).randbytes(4096)
    yield Case("random bytes named csv", put("a.csv", noise), "a.csv", refused=(3, "unreadable_source"))
    yield Case("random bytes named jsonl", put("a.jsonl", noise), "a.jsonl", refused=(3, "unreadable_source"))
    yield Case("sheet of a csv", put("a.csv", TWO), "a.csv", options={"sheet": "x"}, refused=(2, "no_workbook"))
    for name, data in (
        ("lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("web page", b"<!DOCTYPE html><html></html>"),
        ("old Excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100)),
        ("zip", b"PK\x03\x04" + bytes(100)),
    ):
        yield Case(name, put("a.csv", data), "a.csv", refused=(3, "unreadable_source"))


def all_cases() -> list[Case]:
    """Every case."""
    return [*csv_cases(), *json_cases(), *alpaca_cases(), *chat_cases(), *table_cases()]
