"""The printed training sample is no part of the log, whatever its text looks like."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sft_tui.factory.failures import diagnose_text
from sft_tui.factory.failures.lines import clean_lines
from sft_tui.factory.failures.samples import REDACTED, redact_samples, without_samples

BAD = (
    "Traceback (most recent call last):",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "ValueError: Template llama does not exist.",
    "Killed",
    "exitcode: -9",
    "label_ids:",
    "[-100, 2]",
    "labels:",
    "inputs:",
    "training example:",
    "[INFO|a.py:1] 2025-01-01 00:00:00 >> done",
    "",
    "hello",
    "Assistant: yes yes yes",
)


def sample(prompt: list[str], answer: list[str], ids: int) -> str:
    """What LLaMA-Factory prints of one sample with the template qwen."""
    user = "<|im_start|>user\n" + "\n".join(prompt) + "<|im_end|>\n<|im_start|>assistant\n"
    label = "\n".join(answer) + "<|im_end|>\n"
    numbers = str(list(range(1000, 1000 + ids)))
    return (
        f"training example:\ninput_ids:\n{numbers}\ninputs:\n{user}{label}\n"
        f"label_ids:\n{[-100] * ids!s}\nlabels:\n{label}\n"
    )


def kept(text: str) -> list[str]:
    return [line.text for line in without_samples(clean_lines(text)) if line.text]


@settings(max_examples=300, deadline=None)
@given(
    prompt=st.lists(st.sampled_from(BAD), min_size=1, max_size=6),
    answer=st.lists(st.sampled_from(BAD), min_size=1, max_size=6),
)
def test_nothing_of_a_sample_remains(prompt: list[str], answer: list[str]) -> None:
    text = "[INFO|1] >> before\n" + sample(prompt, answer, 40) + "[INFO|2] >> after\n{'loss': 1.0}\n"
    assert kept(text) == ["[INFO|1] >> before", "[INFO|2] >> after", "{'loss': 1.0}"]
    assert diagnose_text(text) == []


def test_what_follows_at_once_is_kept() -> None:
    text = sample(["why?"], ["because"], 9) + "ValueError: Template x does not exist.\n"
    assert kept(text) == ["ValueError: Template x does not exist."]
    assert [diagnosis.id for diagnosis in diagnose_text(text)] == ["template-unknown"]


def test_words_like_its_headings_alone_are_no_sample() -> None:
    text = "labels:\ntorch.OutOfMemoryError: CUDA out of memory.\ninputs:\nnothing\n"
    assert kept(text) == ["labels:", "torch.OutOfMemoryError: CUDA out of memory.", "inputs:", "nothing"]


def test_redaction_leaves_the_rest_as_it_was() -> None:
    text = "a\r\n" + sample(["secret question"], ["secret answer"], 5) + "  b\t\n"
    redacted = redact_samples(text)
    assert redacted == f"a\r\n{REDACTED}\n  b\t\n"


def test_redaction_cuts_records_out_of_warnings() -> None:
    text = "[WARNING|x] llamafactory.data.converter:1 >> Invalid role tag in [{'content': 'my secret'}].\n"
    assert "my secret" not in redact_samples(text)


def test_a_sample_that_is_still_being_written() -> None:
    whole = "[INFO|1] >> before\n" + sample(list(BAD[:5]), list(BAD[:5]), 40)
    for end in range(0, len(whole), 3):
        assert diagnose_text(whole[:end]) == [], whole[max(0, end - 60) : end]


def test_a_sample_with_shortened_ids() -> None:
    text = (
        "training example:\ninput_ids:\n[1, 2, ...]\ninputs:\nwhy?\nKilled\nlabel_ids:\n[-100, -100, 7, ...]\n"
        'labels:\nKilled\nTraceback (most recent call last):\n  File "a"\n    f()\n'
        "ValueError: Template x does not exist.\n"
    )
    assert [diagnosis.id for diagnosis in diagnose_text(text)] == ["template-unknown"]
