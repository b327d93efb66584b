"""Statistics are those of the rows that would be written, and token lengths are LLaMA-Factory's."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.dataset import ConvertRequest, convert, statistics
from sft_tui.dataset.remote.lengths import Counting, Pieces
from sft_tui.dataset.stats.content_checks import PERSONAL
from sft_tui.dataset.stats.data_statistics import packing_gain, suggest, suggested_cutoff
from sft_tui.dataset.stats.token_lengths import TokenLengths
from sft_tui.factory.dataset_info import entry_for
from sft_tui.factory.rendering import Renderer

MODEL = Path(__file__).parents[3] / "data" / "demo" / "model"


def lines(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def test_what_stands_out(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "a.jsonl",
        {"question": "你好，请问", "answer": "好"},
        {"question": "hello there", "answer": "A long answer that stops in the middle of a " * 6},
        {"question": "hello there", "answer": "A long answer that ends as it should. " * 6},
        {"question": "code", "answer": "```python\n" + "x = 1\n" * 60},
        {"question": "", "answer": "dropped"},
        {"question": "write to a.b-c@example.com.cn", "answer": "call 13812345678."},
        {"question": "id 11010519491231002X", "answer": "key sk-abcdefghijklmnopqrstuv"},
        {"question": "你好，请问", "answer": "好"},
        {"question": "1234567890123456789", "answer": "not.a@mail"},
        {"question": "привет как дела", "answer": "хорошо, спасибо"},
    )
    found = statistics(ConvertRequest(str(source), tmp_path / "out"))
    assert found.rows == 9
    assert found.dropped == {"empty_input": 1}
    assert found.duplicates == 1
    assert (found.near_empty.count, found.near_empty.rows) == (2, [1, 8])
    assert found.cut_off.rows == [2, 4]
    rows = {kind: finding.rows for kind, finding in found.personal.items()}
    assert rows == {"mail": [6], "phone": [6], "id_number": [7], "key": [7]}
    assert set(rows) == set(PERSONAL)
    assert round(found.scripts["han"] * 9) == 2
    assert round(found.scripts["cyrillic"] * 9) == 1
    assert found.tokens is None
    assert not (tmp_path / "out").exists()
    json.dumps(found.as_json())


def test_suggestions_follow_from_lengths() -> None:
    lengths = TokenLengths(1000, ((100, 500), (200, 485), (900, 10), (5000, 5)), 2048, 0.005, 0.5, 1000, True)
    assert [lengths.percentile(share) for share in (0.5, 0.9, 0.99, 1.0)] == [100, 200, 900, 5000]
    assert suggested_cutoff(lengths) == 1024
    assert [suggest(1000, lengths, 2, context)[0].value for context in (None, 512, 4096)] == [1024, 512, 1024]
    assert lengths.share_longer_than(1024) < 0.01
    same = TokenLengths(10, ((100, 10),), 2048, 0.0, 0.5, 1000, True)
    assert packing_gain(same, 128, 2) == pytest.approx(1.0)
    mixed = TokenLengths(10, ((10, 5), (100, 5)), 2048, 0.0, 0.5, 1000, True)
    assert packing_gain(mixed, 128, 2) == pytest.approx((10 * 0.25 + 100 * 0.75) / 55)


def test_texts_that_nobody_meant_are_found(tmp_path: Path) -> None:
    def turns(question: str, answer: str, system: str = "") -> dict[str, Any]:
        return {
            "system": system,
            "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
        }

    pairs = [
        ("what is it?", "an apple"), ("what is it?", "a pear"), ("what is it?", "an apple"), ("ok?", "锟斤拷 yes"),
        ("cafÃ© or not?", "yes"), ("tags?", "<div class='a'>no</div>&nbsp;"), ("a < b and c > d?", "yes & no; &c"),
        ("list?", "['a', 'b']"), ("object?", '{"a": 1}'), ("sum?", "[see below]"), ("Ärger, naïve, «café»?", "déjà vu"),
        ("ä½\xa0å¥½", "hello"),
    ]  # fmt: skip
    expected = {"mojibake": [4, 5, 12], "markup": [6], "structure": [8, 9], "contradiction": [1, 2, 3]}
    plain = lines(tmp_path / "a.jsonl", *({"question": q, "answer": a} for q, a in pairs))
    talks = lines(tmp_path / "b.jsonl", *(turns(q, a) for q, a in pairs), turns("ok?", "other", "with a system text"))
    for source in (plain, talks):
        found = statistics(ConvertRequest(str(source), tmp_path / "out"))
        assert {kind: finding.rows for kind, finding in found.doubtful.items()} == expected


@pytest.mark.real
def test_lengths_are_those_of_the_rendered_samples(tmp_path: Path) -> None:
    chats = [
        {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "苹果 " * number},
                      {"role": "assistant", "content": "word " * (number * 3)}, {"role": "user", "content": "more"},
                      {"role": "assistant", "content": "yes"}]}
        for number in range(1, 12)
    ]  # fmt: skip
    tables = [
        {"instruction": "问 " * n, "input": "x", "output": "答 " * n, "history": [["a", "b"]] * (n % 3)}
        for n in range(1, 12)
    ]
    with Renderer(sys.executable) as renderer:
        for name, records in (("chat", chats), ("table", tables)):
            source = lines(tmp_path / f"{name}.jsonl", *records)
            request = ConvertRequest(str(source), tmp_path / "out")
            written = convert(request)
            samples = [json.loads(line) for line in written.train.read_text("utf-8").splitlines()]
            entry = entry_for(written.format, written.columns, written.tags, "x.jsonl")
            for template in ("qwen", "qwen3", "llama3", "default"):
                options = {"template": template, "cutoff_len": 64}
                frame = renderer.frame(model=str(MODEL), data_args=options)
                shown = renderer.render(samples, entry, model=str(MODEL), data_args=options).rows
                tokens = statistics(request, model=MODEL, frame=frame, cutoff_len=64).tokens
                assert tokens is not None
                full = sorted(row.full_length for row in shown)
                assert [length for length, count in tokens.histogram for _row in range(count)] == full, template
                assert tokens.kept_tokens == sum(len(row.ids) for row in shown), template
                assert tokens.truncated_share == sum(row.truncated for row in shown) / len(shown)
                assert round(tokens.loss_share * tokens.kept_tokens) == sum(row.trained for row in shown), template


def _counting() -> Counting:
    return Counting(MODEL, {})


# Characters that one of the two libraries does not know yet.
NEW = (
    "\u0558\u058b\u058c\u088f\u0c5c\u0cdc\u208f\u209d\u209e\u209f\ua7ce\ua7cf\ua7d2\ua7d4\ua7dd\ua7e2\ua7f1\uab6c\uab6d"
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters=NEW), max_size=20)
SPECIAL = ("<|im_end|>", "<|im_start|>user\n", "<|endoftext|>")


@pytest.fixture(scope="module")
def by_pieces() -> Counting:
    """One that remembers pieces, as in a long run."""
    found = _counting()
    assert found._pieces is not None
    return found


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.lists(TEXT | st.sampled_from(SPECIAL), max_size=4).map("".join), max_size=8))
def test_tokens_counted_by_pieces_are_as_many(by_pieces: Counting, texts: list[str]) -> None:
    exact = _counting()
    exact._pieces = None
    assert by_pieces._pieces is not None
    composed = [unicodedata.normalize("NFC", text) for text in texts]
    assert by_pieces._pieces.lengths(composed, by_pieces._exact) == exact.lengths(texts)


def test_a_tokenizer_that_cuts_otherwise_is_asked_itself() -> None:
    counting = _counting()
    described = json.loads(counting._tokenizer.to_str())
    for change in (
        {"model": {**described["model"], "dropout": 0.1}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"added_tokens": [{**described["added_tokens"][0], "lstrip": True}]},
    ):
        spoilt = type(counting._tokenizer).from_str(json.dumps({**described, **change}))
        assert Pieces.of(spoilt) is None
    pieces = counting._pieces
    assert pieces is not None and not pieces.agree(["a b", "c"], lambda texts: [99 for _text in texts])
