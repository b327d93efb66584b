"""Which settings the config screen shows, in the guide's groups, and what each is called."""

from __future__ import annotations

from dataclasses import dataclass

from sft_tui.i18n import N_


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its dotted path in the answers, what it is called, and a word behind the control."""

    key: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Settings under one heading; the first group is open, the others are folded."""

    id: str
    title: str
    settings: tuple[Setting, ...]


GROUPS: tuple[Group, ...] = (
    Group(
        "basic",
        N_("Basic"),
        (
            Setting("train.learning_rate", N_("Learning rate"), N_("1e-4 to 5e-4")),
            Setting("train.num_train_epochs", N_("Epochs"), N_("passes over the data, 1-5")),
            Setting("train.per_device_train_batch_size", N_("Batch size per card"), N_("samples at once")),
            Setting("train.gradient_accumulation_steps", N_("Accumulation"), N_("batches per step")),
            Setting("train.cutoff_len", N_("Longest sample"), N_("tokens; the rest is cut")),
            Setting("train.lora_rank", N_("LoRA rank"), N_("4-64")),
            Setting("train.lora_alpha", N_("LoRA alpha"), N_("usually twice the rank")),
        ),
    ),
    Group(
        "method",
        N_("Method"),
        (
            Setting("train.finetuning_type", N_("Method")),
            Setting("train.lora_target", N_("LoRA layers"), N_("all: every linear layer")),
            Setting("train.lora_dropout", N_("LoRA dropout"), N_("0.05-0.1")),
            Setting("train.quantization_bit", N_("Quantize base model"), N_("bits; empty: not")),
        ),
    ),
    Group(
        "dataset",
        N_("Data preparation"),
        (
            Setting("train.preprocessing_num_workers", N_("Processes")),
            Setting("train.overwrite_cache", N_("Prepare anew")),
            Setting("train.packing", N_("Pack short samples")),
        ),
    ),
    Group(
        "training",
        N_("Training"),
        (
            Setting("train.lr_scheduler_type", N_("Course of the rate")),
            Setting("train.warmup_ratio", N_("Warm-up"), N_("share of the steps")),
            Setting("train.bf16", N_("bf16"), N_("Ampere cards and newer")),
            Setting("train.fp16", N_("fp16"), N_("older cards")),
            Setting("train.seed", N_("Seed")),
            Setting("train.ddp_timeout", N_("Patience"), N_("seconds")),
        ),
    ),
    Group(
        "evaluation",
        N_("Evaluation"),
        (
            Setting("train.val_size", N_("Kept for evaluation"), N_("share or samples")),
            Setting("train.per_device_eval_batch_size", N_("Batch size")),
            Setting("train.eval_strategy", N_("When to evaluate")),
            Setting("train.eval_steps", N_("Every"), N_("steps")),
        ),
    ),
    Group(
        "output",
        N_("Output and checkpoints"),
        (
            Setting("train.logging_steps", N_("Report every"), N_("steps")),
            Setting("train.save_steps", N_("Checkpoint every"), N_("steps")),
            Setting("train.save_total_limit", N_("Checkpoints kept")),
            Setting("train.save_only_model", N_("Weights only"), N_("cannot be resumed")),
            Setting("train.plot_loss", N_("Draw the loss")),
            Setting("train.report_to", N_("Report to")),
        ),
    ),
    Group(
        "export",
        N_("Merging and failures"),
        (
            Setting("export.enabled", N_("Merge the model")),
            Setting("export.size_gb", N_("Largest file"), N_("GB")),
            Setting("export.device", N_("Merge on")),
            Setting("export.verify", N_("Check the result")),
            Setting("on_failure.oom", N_("If memory runs out")),
            Setting("run.name", N_("Name of the run"), N_("letters, digits, hyphens")),
            Setting("run.dir", N_("Project directory"), N_("all files of the run")),
        ),
    ),
)
ANSWER_CHOICES: dict[str, tuple[str, ...]] = {
    "export.device": ("cpu", "auto"),
    "on_failure.oom": ("ask", "retry", "stop"),
}
"""Settings outside `train` with a closed set of values."""
ANSWER_DEFAULTS: dict[str, object] = {
    "export.enabled": True,
    "export.size_gb": 2,
    "export.device": "cpu",
    "export.verify": True,
    "on_failure.oom": "ask",
    "run.name": None,
    "run.dir": ".",
}
"""The schema's defaults of the settings outside `train`; a test compares them."""
LISTED = frozenset(setting.key for group in GROUPS for setting in group.settings)


def setting_of(key: str) -> Setting:
    """The setting with `key`; one that no group lists is called by its option's name."""
    for group in GROUPS:
        for setting in group.settings:
            if setting.key == key:
                return setting
    return Setting(key, key.removeprefix("train."))
