"""Explanations: ours for the common options in both languages, LLaMA-Factory's own for the rest."""

from __future__ import annotations

import pytest

from sft_tui.factory.explain import FIELDS, as_lines, explain, search_options, summary, texts
from sft_tui.factory.options import snapshot
from sft_tui.problems import Refusal

GUIDE = (
    "model_name_or_path", "stage", "do_train", "finetuning_type", "lora_target", "lora_rank", "lora_alpha",
    "lora_dropout", "dataset_dir", "dataset", "template", "cutoff_len", "max_samples", "overwrite_cache",
    "preprocessing_num_workers", "output_dir", "logging_steps", "save_steps", "plot_loss", "overwrite_output_dir",
    "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "num_train_epochs",
    "lr_scheduler_type", "warmup_ratio", "bf16", "ddp_timeout", "val_size", "per_device_eval_batch_size",
    "eval_strategy", "eval_steps", "save_only_model", "save_total_limit", "logging_dir", "adapter_name_or_path",
    "export_dir", "export_size", "export_device", "export_legacy_format",
)  # fmt: skip


def test_each_option_of_the_guide_and_many_others_are_explained() -> None:
    assert set(GUIDE) <= set(texts())
    assert len(texts()) >= 90


def test_every_text_is_of_a_known_option_and_in_both_languages() -> None:
    for key, fields in texts().items():
        assert key in snapshot().options, key
        assert {"title", "what"} <= set(fields) <= set(FIELDS), key
        for field, languages in fields.items():
            assert set(languages) == {"en", "zh"}, (key, field)
            assert all(text.strip() for text in languages.values()), (key, field)
            assert any("\u4e00" <= c <= "\u9fff" for c in languages["zh"]) or len(languages["zh"]) < 30, (key, field)
            assert not any("\u4e00" <= c <= "\u9fff" for c in languages["en"]), (key, field)


def test_the_language_is_chosen() -> None:
    assert "LoRA rank" in explain("lora_rank", snapshot(), "en").title
    assert explain("lora_rank", snapshot(), "zh_CN").title == "LoRA 秩"
    assert "4-64" in (explain("train.lora_rank", snapshot(), "zh_CN").advice or "")


def test_every_other_option_has_the_help_of_llama_factory() -> None:
    for name, option in snapshot().options.items():
        explanation = explain(name, snapshot(), "en")
        assert explanation.what
        assert explanation.own or explanation.what == option.help


def test_the_lines_show_default_values_and_range() -> None:
    lines = as_lines(explain("finetuning_type", snapshot(), "en"))
    assert "Default: lora" in lines
    assert "Values: lora, oft, freeze, full" in lines
    assert any(line.startswith("Range:") for line in as_lines(explain("lora_dropout", snapshot(), "en")))


@pytest.mark.parametrize(("word", "meant"), [("lora_rnak", "lora_rank"), ("evaluation_strategy", "eval_strategy")])
def test_an_unknown_option_names_the_nearest(word: str, meant: str) -> None:
    with pytest.raises(Refusal) as refusal:
        explain(word, snapshot())
    assert meant in (refusal.value.problems[0].hint or "")


def test_search_puts_names_before_helps() -> None:
    found = [option.name for option in search_options("lora rank", snapshot())]
    assert found[0] == "lora_rank"
    assert len(search_options("", snapshot())) == len(snapshot().options)
    assert search_options("学习率", snapshot())[0].name == "learning_rate"
    assert search_options("nothing has this word", snapshot()) == []


def test_an_option_in_a_sentence_is_in_the_users_language_where_we_have_it() -> None:
    options = snapshot().options
    assert summary(options["lora_rank"], "zh_CN") == texts()["lora_rank"]["what"]["zh"]
    assert summary(options["apollo_rank"], "zh_CN") == options["apollo_rank"].help.strip()
