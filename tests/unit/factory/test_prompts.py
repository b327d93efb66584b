"""The template that `auto` takes writes what the tokenizer's own chat template writes, and what differs is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sft_tui.factory.options import snapshot
from sft_tui.factory.prompts import CASES, ChatTemplate, Tokens, differences, factory_prompt
from sft_tui.factory.templates import misfit, template_for_model

JINJA: dict[str, str] = json.loads((Path(__file__).with_name("chat_templates.json")).read_text(encoding="utf-8"))
"""What LLaMA-Factory 0.9.5 itself makes of each of its templates for a tokenizer with <s> and </s>
(`Template._get_jinja_template`): no thoughts, and no end-of-text behind the last answer of those that only train it.
"""
CHATML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
ANSWER = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
SYSTEM = "{{% if messages[0]['role'] != 'system' %}}{{{{ '<|im_start|>system\n{}<|im_end|>\n' }}}}{{% endif %}}"
SMOLLM2 = SYSTEM.format("You are a helpful AI assistant named SmolLM, trained by Hugging Face.") + CHATML + ANSWER
LLAMA3 = (
    "{% for m in messages %}{% set c = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content']"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
DATED = LLAMA3.replace(
    "{% for", "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul' }}{% for", 1
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else 'user') + '\n'"
    " + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
QWEN3 = (
    "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}"
    "{{ '<|im_start|>assistant\n<think>\n' + '' + '\n</think>\n\n' + m.content + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
) + ANSWER


def model_with(folder: Path, chat: str, bos: str = "<s>", eos: str = "</s>") -> Path:
    """A directory whose tokenizer has the chat template."""
    folder.mkdir(exist_ok=True)
    config: dict[str, Any] = {"chat_template": chat, "bos_token": bos, "eos_token": {"content": eos}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("chat", "kind", "expected"),
    [
        (SMOLLM2, "llama", "smollm2"),
        (CHATML + ANSWER, "llama", "yi"),
        (LLAMA3, "llama", "llama3"),
        (GEMMA, "gemma", "gemma"),
        (QWEN3, "qwen3", "qwen3"),
        (CHATML + ANSWER, "qwen3", "qwen3_nothink"),
    ],
)
def test_the_template_that_writes_the_same_prompts_is_taken(
    tmp_path: Path, chat: str, kind: str, expected: str
) -> None:
    guess = template_for_model(str(model_with(tmp_path, chat)), {"model_type": kind}, snapshot())
    assert (guess.name, guess.certain, guess.same_prompts) == (expected, True, True)


def test_a_directory_that_is_called_like_another_model_is_judged_by_its_chat_template(tmp_path: Path) -> None:
    model = model_with(tmp_path / "Qwen2.5-7B-Instruct", LLAMA3)
    assert template_for_model(str(model), {"model_type": "llama"}, snapshot()).name == "llama3"


def test_what_differs_is_said_to_the_character(tmp_path: Path) -> None:
    guess = template_for_model(str(model_with(tmp_path, DATED)), {"model_type": "llama"}, snapshot())
    assert guess.name == "llama3"
    assert not guess.same_prompts
    assert "Today: 26 Jul" in guess.how
    assert "one question" in guess.how


def test_a_template_that_frames_the_turns_otherwise_is_a_misfit(tmp_path: Path) -> None:
    model, factory = model_with(tmp_path, GEMMA.replace("system", "other")), snapshot()
    assert misfit("gemma", model, {"model_type": "gemma"}, factory) is None
    wrong = misfit("gemma2", model_with(tmp_path, SMOLLM2), {"model_type": "llama"}, factory)
    assert wrong is not None
    other = misfit("qwen", model_with(tmp_path, SMOLLM2), {"model_type": "llama"}, factory)
    assert other is None, "only the standing system text is another"


@pytest.mark.parametrize("name", sorted(JINJA))
def test_prompts_are_those_of_llamafactory(name: str) -> None:
    template = snapshot().templates[name]
    tokens = Tokens("<s>", template.stop_words[0] if template.replace_eos else "</s>")
    chat = ChatTemplate(JINJA[name], tokens)
    whole = not (template.reasoning or template.efficient_eos)
    assert [str(d) for d in differences(template, chat, tokens) if whole or d.case.asks] == []


@pytest.mark.parametrize("name", sorted(name for name in JINJA if not snapshot().templates[name].reasoning))
def test_auto_finds_a_template_that_writes_what_each_family_writes(tmp_path: Path, name: str) -> None:
    template = snapshot().templates[name]
    eos = template.stop_words[0] if template.replace_eos else "</s>"
    tokens = Tokens("<s>", eos)
    chat = ChatTemplate(JINJA[name], tokens)
    guess = template_for_model(str(model_with(tmp_path, JINJA[name], eos=eos)), {"model_type": "new"}, snapshot())
    found = snapshot().templates[guess.name]
    assert [str(d) for d in differences(found, chat, tokens) if d.case.asks] == [], guess


def test_a_hostile_or_broken_chat_template_makes_no_prompt() -> None:
    for text in (
        "{% for",
        "{{ ().__class__.__base__.__subclasses__() }}{{ 1/0 }}",
        "{{ messages.nothing.at_all() }}",
        "{{",
    ):
        assert all(ChatTemplate(text, Tokens()).render(case) is None for case in CASES), text


def test_the_first_question_holds_the_system_text_where_the_template_puts_it_there() -> None:
    llama2 = snapshot().templates["llama2"]
    assert factory_prompt(llama2, CASES[1], Tokens("<s>", "</s>")) == (
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nQuestion one? [/INST]"
    )
