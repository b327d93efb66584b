"""What a plan will do, in plain words, and what its settings change against the preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sft_tui.i18n import N_, _
from sft_tui.tui.look.amounts import amounts
from sft_tui.tui.look.values import show_typed

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.plan.assess import Assessment
    from sft_tui.project.plan_record import Plan
    from sft_tui.tui.look.signs import Signs

METHODS = {
    "lora": N_("LoRA (a small adapter is trained)"),
    "full": N_("full (all weights are trained)"),
    "freeze": N_("freeze (some layers are trained)"),
    "oft": N_("OFT (an orthogonal adapter is trained)"),
}


def plan_lines(found: Assessment, signs: Signs) -> list[tuple[str, str]]:
    """(what, how) of everything that the run will do, in its order."""
    plan, answers = found.plan, found.answers
    if plan is None or answers is None:
        return []
    method = str(plan.train_options.get("finetuning_type", "lora"))
    lines = [
        (_("Run"), f"{plan.run}  ({plan.project})"),
        (_("Model"), _model(plan)),
        (_("Hardware"), _("{what}: {why}").format(what=_hardware(plan), why=plan.reasons.get("gpus", ""))),
        (_("Examples"), _examples(answers, found)),
        (_("Method"), _(METHODS[method]) if method in METHODS else method),
        (_("Settings"), _("preset {name}: {why}").format(name=plan.preset, why=plan.reasons.get("preset", ""))),
        (_("Values"), _values(found.options)),
        (_("Amount"), "".join(_("{sentence}. ").format(sentence=line) for line in amounts(found, signs))),
        (_("Then"), _after(answers)),
    ]
    return [(what, how.strip().rstrip(":：")) for what, how in lines]


VALUES = {
    "learning_rate": N_("learning rate {value}"),
    "num_train_epochs": N_("{value} epochs"),
    "max_steps": N_("at most {value} steps"),
    "cutoff_len": N_("samples up to {value} tokens"),
    "lora_rank": N_("LoRA rank {value}"),
    "quantization_bit": N_("base model in {value} bits"),
}
"""What decides most about the result, and how it is said."""


def _values(options: Mapping[str, Any]) -> str:
    given = {name: options.get(name) for name in VALUES}
    if options.get("finetuning_type", "lora") != "lora":
        given["lora_rank"] = None
    if isinstance(given["max_steps"], int) and given["max_steps"] <= 0:
        given["max_steps"] = None
    shown = {
        k: show_typed(int(v) if isinstance(v, float) and v == int(v) else v) for k, v in given.items() if v is not None
    }
    return _(", ").join(_(VALUES[name]).format(value=value) for name, value in shown.items())


def _model(plan: Plan) -> str:
    text = _("{model}, template {template}: {why}")
    return text.format(model=plan.model, template=plan.template, why=plan.reasons.get("template", ""))


def _hardware(plan: Plan) -> str:
    if not plan.gpus:
        return _("processor (CPU)")
    return ", ".join(f"GPU {index}" for index in plan.gpus)


def _examples(answers: Answers, found: Assessment) -> str:
    parts = [source.text for source in answers.data.sources or ()] or [answers.data.source]
    if found.length.rows is not None:
        text = _("{rows:,} rows to train on") if found.length.exact else _("about {rows:,} rows to train on")
        parts.append(text.format(rows=found.length.rows))
    if answers.data.test_size:
        size = answers.data.test_size
        kept = f"{size:,}" if isinstance(size, int) else f"{size * 100:.3g}%"
        parts.append(_("{size} kept for testing").format(size=kept))
    if answers.data.instruction:
        parts.append(_("instruction: {text}").format(text=answers.data.instruction))
    return _(", ").join(parts)


def _after(answers: Answers) -> str:
    if not answers.export.enabled:
        return _("the adapter is kept, nothing is merged")
    if answers.export.verify:
        return _("adapter and model are merged, and the merged model is loaded, compared and asked")
    return _("adapter and model are merged")


def differences(found: Assessment) -> list[str]:
    """The options that the answers change, as lines of a diff against the preset and the defaults."""
    lines = []
    for name, value in found.options.items():
        if found.origins.get(name) != "answers":
            continue
        if name in found.base:
            if found.base[name] == value:
                continue
            lines.append(f"- {name}: {_shown(found.base, name)}")
        lines.append(f"+ {name}: {_shown(found.options, name)}")
    removed = [name for name in found.base if name not in found.options]
    return lines + [f"- {name}: {_shown(found.base, name)}" for name in removed]


def _shown(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name)
    return "null" if value is None else show_typed(value)
