"""What is wrong with answers in a situation, beyond their types: names, cards, and options that are not the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_tui.factory.adapter_config import passed_over
from sft_tui.i18n import _
from sft_tui.problems import Fix, Problems, nearest

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation

OWNED = {
    "model_name_or_path": "model.path",
    "dataset_dir": "data.source",
    "output_dir": "run.name",
    "adapter_name_or_path": "model.adapter",
    "export_dir": "run.name",
    "resume_from_checkpoint": "run.name",
    "export_size": "export.size_gb",
    "export_device": "export.device",
    "export_legacy_format": "export.enabled",
}
"""Options that the run sets by itself, and the key of the answers that decides them."""
_EXPORTING = "export_"
"""What begins so belongs to the merge; the rest of it is not done by a run."""
SECRETS = frozenset({"hf_hub_token", "ms_hub_token", "om_hub_token", "hub_token", "push_to_hub_token"})
"""Options that no file may hold."""


def check_answers(answers: Answers, situation: Situation, cards: tuple[Gpu, ...]) -> Problems:
    """What is wrong with the answers in this situation, beyond their types: names, and keys that the run owns."""
    problems = Problems()
    if answers.preset != "auto" and answers.preset not in situation.presets:
        close = nearest(answers.preset, situation.presets, 1)
        hint = _("Did you mean `{name}`?").format(name=close[0]) if close else None
        known = _("Presets: {names}.").format(names=", ".join(situation.presets))
        message = _("There is no preset `{name}`.").format(name=answers.preset)
        problems.error("unknown_preset", message, key="preset", hint=hint or known)
    for key, owner in OWNED.items():
        if key in answers.train:
            message = _("`{key}` is set by the run itself; it follows from `{owner}`.").format(key=key, owner=owner)
            hint = _("Remove it and set `{owner}`.").format(owner=owner)
            fix = Fix("unset", f"train.{key}")
            problems.error("owned_key", message, key=f"train.{key}", hint=hint, fix=fix)
    for key in sorted(key for key in answers.train if key.startswith(_EXPORTING) and key not in OWNED):
        message = _("`{key}` belongs to a merge of its own; a run would pass over it.").format(key=key)
        hint = _("Remove it. When the run has finished: llamafactory-cli export, with the merged model and `{key}`.")
        fix = Fix("unset", f"train.{key}")
        problems.error("not_in_run", message, key=f"train.{key}", hint=hint.format(key=key), fix=fix)
    _check_adapter(answers, situation, problems)
    _check_trust(answers, problems)
    _check_template(answers, situation, problems)
    _check_gpus(answers, situation, problems)
    _check_launcher(answers, cards, problems)
    return problems


def _check_adapter(answers: Answers, situation: Situation, problems: Problems) -> None:
    """What training an adapter further needs of the answers; its files are looked at by the preflight."""
    if situation.model.adapter is None:
        return
    if situation.model.parent == situation.run and situation.model.adapter.startswith("./saves/"):
        message = _("The run {run} cannot go on from its own adapter: it would write over what it goes on from.")
        hint = _("Give the new run another `run.name`. A run that has stopped goes on with: sft-tui resume {run}")
        text, name = message.format(run=situation.run), situation.run
        problems.error("own_adapter", text, key="model.adapter", hint=hint.format(run=name))
    if answers.train.get("create_new_adapter"):
        message = _("`create_new_adapter` trains a second adapter beside `model.adapter`, which the merge would lack.")
        hint = _("Remove it to train `model.adapter` further.")
        key = "train.create_new_adapter"
        problems.error("owned_key", message, key=key, hint=hint, fix=Fix("unset", key))
        return
    for option, text in passed_over(answers.train, situation.model.adapter_config, situation.model.adapter).items():
        key = f"train.{option}"
        hint = _("Remove it, or train a new adapter.")
        problems.warning("adapter_shape", text, key=key, hint=hint, fix=Fix("unset", key))


def _check_launcher(answers: Answers, gpus: tuple[Gpu, ...], problems: Problems) -> None:
    """What the launcher needs of the cards: one process uses one, and what divides a training needs some."""
    key, launcher = "hardware.launcher", answers.hardware.launcher
    deepspeed = bool(answers.train.get("deepspeed"))
    if launcher in ("ray", "slurm"):
        message = _("The launcher `{name}` is not supported by this version of sft-tui.").format(name=launcher)
        hint = _("Use `auto`, `single`, `torchrun` or `deepspeed`.")
        problems.error("unsupported_launcher", message, key=key, hint=hint)
    if (deepspeed or launcher == "deepspeed") and not gpus:
        message = _("DeepSpeed divides a training among GPUs, and none is used.")
        where = "train.deepspeed" if deepspeed else key
        problems.error("deepspeed_without_gpu", message, key=where, hint=_("Use `launcher: auto`."))
    if launcher == "torchrun" and not gpus:
        message = _("torchrun divides a training among GPUs, and none is used.")
        problems.error("torchrun_without_gpu", message, key=key, hint=_("Use `launcher: auto`."))
    if launcher == "single" and (len(gpus) > 1 or deepspeed):
        message = _("`single` starts one process, which uses one card without DeepSpeed.")
        hint = _("Name one card in `hardware.gpus`, or use `launcher: auto`.")
        problems.error("single_process", message, key=key, hint=hint)


def _check_trust(answers: Answers, problems: Problems) -> None:
    for key in SECRETS & set(answers.train):
        message = _("`{key}` is a secret: it would stand in files that others can read.").format(key=key)
        hint = _("Remove it and set the environment variable instead: export HF_TOKEN=...")
        fix = Fix("unset", f"train.{key}")
        problems.error("secret_in_file", message, key=f"train.{key}", hint=hint, fix=fix)
    if answers.train.get("trust_remote_code") is True:
        message = _("`trust_remote_code` runs Python code that comes with the model, with your rights.")
        hint = _("Keep it only if you trust who made the model.")
        problems.warning("remote_code", message, key="train.trust_remote_code", hint=hint)


def _check_template(answers: Answers, situation: Situation, problems: Problems) -> None:
    name = answers.train.get("template", situation.model.template)
    key = "train.template" if "template" in answers.train else "model.template"
    known = situation.factory.templates
    if known and name not in known:
        close = nearest(str(name), known)
        message = _("LLaMA-Factory {version} has no template `{name}`.")
        message = message.format(version=situation.factory.version, name=name)
        hint = _("Nearest: {names}.").format(names=", ".join(close)) if close else _("`auto` finds it.")
        fix = Fix("set", key, close[0]) if close else None
        problems.error("unknown_template", message, key=key, hint=hint, fix=fix)
    elif key == "model.template" and answers.model.template == "auto" and not situation.model.template_certain:
        message = _("The template `{name}` is a guess: {why}.")
        message = message.format(name=name, why=situation.model.template_why.rstrip("."))
        hint = _("A wrong template spoils the training: set `model.template` if you know it.")
        problems.warning("template_guessed", message, key="model.template", hint=hint)


def _check_gpus(answers: Answers, situation: Situation, problems: Problems) -> None:
    wanted = answers.hardware.gpus
    there = {gpu.index for gpu in situation.gpus.gpus}
    if isinstance(wanted, list):
        missing = [i for i in wanted if i not in there]
        if missing:
            have = ", ".join(str(i) for i in sorted(there)) or situation.gpus.reason or _("none")
            message = _("GPU {missing} is not there.").format(missing=", ".join(map(str, missing)))
            hint = _("GPUs of this machine: {have}").format(have=have)
            problems.error("no_such_gpu", message, key="hardware.gpus", hint=hint)
    elif wanted == "auto" and not there:
        message = _("No GPU is used: {reason}").format(reason=situation.gpus.reason or _("none was found."))
        hint = _("Training on the CPU is practical for tiny models only.")
        problems.warning("no_gpu", message, key="hardware.gpus", hint=hint)
