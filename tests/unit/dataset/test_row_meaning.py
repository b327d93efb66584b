"""What data says beside question and answer is honoured, named or refused; nothing is trained that was not meant."""

# ruff: noqa: E501 (long lines are data)
from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sft_tui.dataset import Columns, ConvertRequest, ConvertResult, convert
from sft_tui.problems import ExitCode, Refusal


def write(folder: Path, rows: list[dict[str, Any]], name: str = "a.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return str(path)


def made(result: ConvertResult, *, test: bool = False) -> list[dict[str, Any]]:
    path = result.test if test else result.train
    assert path is not None
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def run(folder: Path, rows: list[dict[str, Any]], **options: Any) -> ConvertResult:
    return convert(ConvertRequest(write(folder, rows), folder / "out", name="x", overwrite=True, **options))


def refused(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        run(folder, rows, **options)
    assert not (folder / "out").exists()
    return found.value


@pytest.mark.parametrize("broken", ["cut", "flipped"])
@pytest.mark.parametrize("kind", ["a.csv.gz", "a.jsonl.gz"])
def test_a_packed_file_that_was_cut_off_is_refused(tmp_path: Path, kind: str, broken: str) -> None:
    rows = [{"question": f"q{n * 7919 % 10007}", "answer": f"a{n * 104729 % 10007}"} for n in range(30_000)]
    lines = [json.dumps(row) if "json" in kind else ",".join(row.values()) for row in rows]
    packed = bytearray(gzip.compress("\n".join(["question,answer"][: "csv" in kind] + lines).encode()))
    if broken == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    (tmp_path / kind).write_bytes(packed if broken == "flipped" else packed[: len(packed) // 2])
    with pytest.raises(Refusal) as found:
        convert(ConvertRequest(str(tmp_path / kind), tmp_path / "out"))
    assert (found.value.exit_code, found.value.problems[0].code) == (ExitCode.PREFLIGHT, "unreadable_source")


@pytest.mark.parametrize(
    "text", ["Ângela Ñoño Éva ÅÄÖ", "résumé — ok, naïve “quote” €5", "Über Äpfel", "ÁÉÍÓÚ y ñandú, ¿qué?"]
)
def test_western_texts_are_no_broken_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"question,answer\nwhat is it?,{text.replace(',', '')}\n".encode("cp1252"))
    result = convert(ConvertRequest(str(tmp_path / "a.csv"), tmp_path / "out"))
    assert made(result)[0]["output"] == text.replace(",", "")
    assert [note.code for note in result.notes] == ["latin1"]


def qa(number: int, **more: Any) -> dict[str, Any]:
    return {"question": f"q{number}", "answer": f"a{number}", **more}


def chat(*turns: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": role[0], **keys} for role, keys in turns], **more}


U: tuple[str, dict[str, Any]] = ("user", {})


def answers(result: ConvertResult, *, test: bool = False) -> list[str]:
    return [row["output"] for row in made(result, test=test)]


@pytest.mark.parametrize("name", ["label", "kto_tag", "is_correct", "accepted"])
@pytest.mark.parametrize("kind", ["bool", "number", "text"])
def test_answers_that_are_marked_as_bad_are_not_trained_on(tmp_path: Path, name: str, kind: str) -> None:
    yes, no = {"bool": (True, False), "number": (1, 0), "text": ("True", "False")}[kind]
    result = run(tmp_path, [qa(1, **{name: yes}), qa(2, **{name: no}), qa(3), qa(4, **{name: yes})])
    assert answers(result) == ["a1", "a3", "a4"]
    assert (result.dropped, result.dropped_rows) == ({"rejected": 1}, {"rejected": (2,)})
    assert {note.code for note in result.notes} == {"label_column", "rejected"}


def test_a_label_that_is_no_verdict_is_only_named(tmp_path: Path) -> None:
    result = run(tmp_path, [qa(n, label=n % 3) for n in range(9)])
    assert (result.written, result.dropped) == (9, {})
    assert [(c.name, c.looks_like) for c in result.unused] == [("label", "numbers")]


def test_a_verdict_can_be_passed_over(tmp_path: Path) -> None:
    result = run(tmp_path, [qa(1, label=0), qa(2, label=1)], columns=Columns(label=""))
    assert answers(result) == ["a1", "a2"]


def test_named_columns_do_not_hide_a_verdict(tmp_path: Path) -> None:
    mapping = Columns(input="question", output="answer")
    assert answers(run(tmp_path, [qa(1, label=False), qa(2, label=True)], columns=mapping)) == ["a2"]


def test_kto_conversations(tmp_path: Path) -> None:
    good, bad = (chat(U, ("assistant", {}), label=label) for label in (True, False))
    result = run(tmp_path, [good, bad])
    assert (result.written, result.dropped) == (1, {"rejected": 1})


@pytest.mark.parametrize("masked", [{"weight": 0}, {"loss": False}, {"loss_weight": 0.0}, {"train": False}])
def test_turns_that_are_not_to_be_trained_on(tmp_path: Path, masked: dict[str, Any]) -> None:
    plain: tuple[str, dict[str, Any]] = ("assistant", {})
    silent = ("assistant", masked)
    rows = [chat(U, plain), chat(U, plain, U, silent), chat(U, silent), chat(U, silent, U, plain)]
    result = run(tmp_path, rows)
    assert [len(row["conversations"]) for row in made(result)] == [2, 2]
    assert result.dropped_rows == {"rejected": (3,), "masked_turn": (4,)}
    assert {note.code for note in result.notes} == {"cut_turns", "rejected", "masked_turn"}
    last = run(tmp_path, rows, mask_history=True)
    assert [len(row["conversations"]) for row in made(last)] == [2, 2, 4]
    assert last.dropped == {"rejected": 1}


def test_half_a_weight_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, [chat(U, ("assistant", {"weight": 0.5}))])
    assert (result.written, [note.code for note in result.notes]) == (1, ["weights"])


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_the_split_of_the_data_is_kept(tmp_path: Path, kind: str) -> None:
    sides = ["train", "test", "validation", "train", "Train_sft", ""]
    rows = [qa(n, split=side) for n, side in enumerate(sides)]
    source = write_as(tmp_path, rows, kind)
    result = convert(ConvertRequest(source, tmp_path / "out", name="x", test_size=1))
    assert (answers(result), answers(result, test=True)) == (["a0", "a3", "a4"], ["a1", "a2"])
    assert result.dropped == {"other_split": 1}
    assert {note.code for note in result.notes} == {"split_column", "test_size_unused"}


def write_as(folder: Path, rows: list[dict[str, Any]], kind: str) -> str:
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        return write(folder, rows)
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_a_split_says_which_rows_are_on_both_sides(tmp_path: Path) -> None:
    result = run(tmp_path, [qa(1, split="train"), qa(1, split="test"), qa(2, split="train")])
    assert (result.train_rows, result.test_rows) == (2, 1)
    assert "rows_on_both_sides" in {note.code for note in result.notes}


def test_only_test_rows_are_nothing_to_train_on(tmp_path: Path) -> None:
    refusal = refused(tmp_path, [qa(1, split="test"), qa(2, split="test")])
    assert refusal.problems[0].key == "data.columns.split"


def test_a_split_of_train_rows_alone_leaves_the_size_to_the_user(tmp_path: Path) -> None:
    result = run(tmp_path, [qa(n, split="train") for n in range(10)], test_size=0.2)
    assert (result.train_rows, result.test_rows) == (8, 2)


_TALK = [{"role": "user", "content": "q"}]
_REPLY = [{"role": "assistant", "content": "a"}]
PAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "texts": ({"prompt": "q", "chosen": "a", "rejected": "b"}, "--input-column prompt --output-column chosen"),
    "whole talks": ({"chosen": _TALK + _REPLY, "rejected": _TALK + _REPLY}, "--messages-column chosen"),
    "talks beside a prompt": (
        {"prompt": "q", "chosen": _TALK + _REPLY, "rejected": _TALK + _REPLY, "score_chosen": 9.0, "score_rejected": 1.0},
        "--messages-column chosen",
    ),
    "replies": ({"prompt": _TALK, "chosen": _REPLY, "rejected": _REPLY}, "--messages-column prompt --output-column chosen"),
    "LLaMA-Factory": (
        {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"},
         "rejected": {"from": "gpt", "value": "b"}},
        "--messages-column conversations --output-column chosen",
    ),
    "responses": ({"instruction": "q", "chosen_response": "a", "rejected_response": "b"}, "--output-column chosen_response"),
    "OpenAI": ({"question": "q", "preferred_output": "a", "non_preferred_output": "b"}, "--output-column preferred_output"),
    "winner": ({"prompt": "q", "response_a": "a", "response_b": "b", "winner": "model_a"}, "column of their own"),
    "safety": ({"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 0}, "column of their own"),
    "farm": ({"instruction": "q", "output_1": "a", "output_2": "b", "preference": 2}, "column of their own"),
    "arena": (
        {"question_id": "x", "conversation_a": _TALK + _REPLY, "conversation_b": _TALK + _REPLY, "winner": "tie"},
        "column of their own",
    ),
    "Chinese": ({"问题": "q", "更好回答": "a", "更差回答": "b"}, "--output-column 更好回答"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_preference_pairs_are_refused_in_every_spelling(tmp_path: Path, name: str) -> None:
    row, hint = PAIRS[name]
    refusal = refused(tmp_path, [row, row])
    assert (refusal.exit_code, refusal.problems[0].code) == (ExitCode.USAGE, "preference_pairs")
    assert hint in (refusal.problems[0].hint or "")


@pytest.mark.parametrize("name", [name for name, (_row, hint) in PAIRS.items() if hint.startswith("--")])
def test_what_the_refusal_says_trains_on_the_better_answer(tmp_path: Path, name: str) -> None:
    row, _hint = PAIRS[name]
    words = (refused(tmp_path, [row]).problems[0].hint or "").split(": ", 1)[1].split()
    named = {
        flag.removeprefix("--").removesuffix("-column"): column
        for flag, column in zip(words[::2], words[1::2], strict=True)
    }
    text = json.dumps(made(run(tmp_path, [row], columns=Columns(**named))))
    assert '"q"' in text
    assert '"a"' in text
    assert '"b"' not in text


def test_a_rejected_answer_beside_a_conversation_is_named_and_not_used(tmp_path: Path) -> None:
    result = run(tmp_path, [{"messages": _TALK + _REPLY, "rejected_response": "b"}])
    assert [column.name for column in result.unused] == ["rejected_response"]


def test_worse_answers_that_are_asked_for_are_said(tmp_path: Path) -> None:
    result = run(tmp_path, [PAIRS["texts"][0]], columns=Columns(input="prompt", output="rejected"))
    assert "bad_answers" in {note.code for note in result.notes}


# -- files of a row ------------------------------------------------------------------------------------------------


def picture(folder: Path, name: str = "pics/a.png") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG")
    return name


@pytest.mark.parametrize(("role", "mark"), [("images", "<image>"), ("videos", "<video>"), ("audios", "<audio>")])
@pytest.mark.parametrize("shape", ["query", "chat"])
def test_files_of_rows_are_found_beside_the_source(tmp_path: Path, role: str, mark: str, shape: str) -> None:
    name = picture(tmp_path)

    def row(text: str, files: Any) -> dict[str, Any]:
        turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "a"}]
        return {role: files, **({"messages": turns} if shape == "chat" else {"query": text, "response": "a"})}

    rows = [row(f"{mark}what?", [name]), row("what?", name), row(f"{mark}{mark}?", [name]), row(f"{mark}?", ["no.png"]),
            row("text alone", []), row(f"{mark}?", ["https://example.org/a.png"]), row(f"{mark}?", [])]  # fmt: skip
    result = run(tmp_path, rows)
    written = made(result)
    prompts = [row["conversations"][0]["value"] if shape == "chat" else row["input"] for row in written]
    assert prompts == [f"{mark}what?", f"{mark}\nwhat?", "text alone"]
    assert [row[role] for row in written] == [[str(tmp_path / name)], [str(tmp_path / name)], []]
    assert result.columns[role] == role
    assert result.dropped_rows == {"malformed": (3, 7), "missing_file": (4, 6)}
    assert {"marks", "missing_file"} == {note.code for note in result.notes}


def test_files_among_the_parts_of_a_turn(tmp_path: Path) -> None:
    name = picture(tmp_path)

    def row(*parts: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": list(parts)}, {"role": "assistant", "content": "a"}]}

    what = {"type": "text", "text": "what?"}
    rows = [row({"type": "image_url", "image_url": {"url": name}}, what), row(what, {"type": "image", "image": name}),
            row(what), row({"type": "video", "video": name}, what)]  # fmt: skip
    result = run(tmp_path, rows[:3])
    assert [row["conversations"][0]["value"] for row in made(result)] == ["<image>what?", "what?<image>", "what?"]
    assert [row["images"] for row in made(result)] == [[str(tmp_path / name)], [str(tmp_path / name)], []]
    assert result.mapping == {"messages": "messages", "images": "messages"}
    with_mark = run(tmp_path, [{**row({"type": "image"}, what), "images": [name]}])
    assert made(with_mark)[0]["conversations"][0]["value"] == "<image>what?"
    assert run(tmp_path, [*rows[:1] * 250, rows[3]]).dropped == {"malformed": 1}


def test_files_that_are_stored_in_the_data_are_refused(tmp_path: Path) -> None:
    table = pa.table({"question": ["<image>q"], "answer": ["a"], "image": [{"bytes": b"x", "path": None}]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(Refusal) as refusal:
        convert(ConvertRequest(str(tmp_path / "a.parquet"), tmp_path / "out"))
    assert refusal.value.problems[0].code == "stored_files"


# -- reasoning, tool calls, other shapes ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_kept_before_the_answer(tmp_path: Path, key: str) -> None:
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", key: "hm"}]}
    result = run(tmp_path, [row])
    assert made(result)[0]["conversations"][1]["value"] == "<think>\nhm\n</think>\n\na"
    assert [(note.code, note.severity.value) for note in result.notes] == [("reasoning", "info")]
    other = run(tmp_path, [row], thought=("[", "]"))
    assert made(other)[0]["conversations"][1]["value"] == "[hm]a"
    dropped = run(tmp_path, [row], reasoning="drop")
    assert made(dropped)[0]["conversations"][1]["value"] == "a"
    assert [note.severity.value for note in dropped.notes] == ["warning"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_column_of_reasoning(tmp_path: Path, kind: str) -> None:
    rows = [qa(1, Complex_CoT="hm"), qa(2, Complex_CoT=""), {**qa(3, Complex_CoT="hm"), "answer": ""}]
    result = convert(ConvertRequest(write_as(tmp_path, rows, kind), tmp_path / "out"))
    assert answers(result) == ["<think>\nhm\n</think>\n\na1", "a2"]
    assert (result.dropped, result.notes[0].message[:6]) == ({"empty_output": 1}, "1 rows")
    left_out = convert(ConvertRequest(write_as(tmp_path, rows, kind), tmp_path / "out", name="y", reasoning="drop"))
    assert answers(left_out) == ["a1", "a2"]
    assert [column.name for column in left_out.unused] == ["Complex_CoT"]


def test_reasoning_before_a_tool_call_stays_readable(tmp_path: Path) -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "reasoning_content": "hm", "tool_calls": [call]}]
    value = made(run(tmp_path, [{"messages": turns}]))[0]["conversations"][1]
    assert value["from"] == "function_call"
    assert value["value"] == '<think>\nhm\n</think>\n\n{"name": "f", "arguments": {}}'


def test_fields_that_a_table_invents_are_no_arguments(tmp_path: Path) -> None:
    def turns(name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        call = {"function": {"name": name, "arguments": arguments}}
        return [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": [call]}]

    def tool(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
        }

    text = {"type": "string"}
    rows = [
        {"messages": turns("time", {"tz": "UTC"}), "tools": [tool("time", {"tz": text}), tool("rain", {"city": text})]},
        {"messages": turns("rain", {"city": "Oslo"}), "tools": [tool("rain", {"city": text})]},
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = made(convert(ConvertRequest(str(tmp_path / "a.parquet"), tmp_path / "out")))
    calls = [json.loads(row["conversations"][1]["value"]) for row in found]
    assert [call["arguments"] for call in calls] == [{"tz": "UTC"}, {"city": "Oslo"}]
    assert "null" not in found[0]["tools"]
    written = made(run(tmp_path, [*rows[:1], {**rows[1], "messages": turns("rain", {"city": "Oslo", "day": None})}]))
    assert '"day": null' in written[1]["conversations"][1]["value"]


def test_answers_that_are_places_among_choices_are_said(tmp_path: Path) -> None:
    result = run(tmp_path, [{"question": "q", "choices": ["x", "y"], "answer": 1}])
    assert [note.code for note in result.notes] == ["answers_are_places"]


def test_a_refusal_of_masked_turns_names_the_option(tmp_path: Path) -> None:
    row = chat(U, ("assistant", {"weight": 0}), U, ("assistant", {"weight": 1}))
    assert "mask_history: true" in (refused(tmp_path, [row]).problems[0].hint or "")


def test_lists_as_answers_are_said(tmp_path: Path) -> None:
    result = run(tmp_path, [{"question": "q", "answer": ["a", "b"]}])
    assert answers(result) == ['["a", "b"]']
    assert [(note.code, note.key) for note in result.notes] == [("lists_as_text", "data.columns.output")]


def test_the_next_version_of_llama_factory(tmp_path: Path) -> None:
    row = {"messages": [
        {"role": "user", "content": [{"type": "text", "value": "q"}], "loss_weight": 0.0},
        {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "a"}], "loss_weight": 1.0},
    ]}  # fmt: skip
    turns = made(run(tmp_path, [row]))[0]["conversations"]
    assert [turn["value"] for turn in turns] == ["q", "<think>\nhm\n</think>\n\na"]
