"""`make_plan`: from answers and a situation to everything that a run will do. Pure: nothing is read or written."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory import commands
from sft_tui.factory.deepspeed import render_zero_config, zero_config
from sft_tui.factory.train_config import render_merge_config, render_train_config
from sft_tui.i18n import _
from sft_tui.machine.environment import Environment
from sft_tui.plan.context import chosen_gpus, template_of
from sft_tui.plan.conversion import conversion_request
from sft_tui.plan.estimate import plan_estimate
from sft_tui.plan.options import by_torchrun, choose, train_options
from sft_tui.problems import ExitCode, Fix, Problems, nearest
from sft_tui.project.plan_record import Plan, PlannedEstimate, PlannedFile, PlannedStage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation

OWNED = {
    "model_name_or_path": "model.path",
    "dataset_dir": "data.source",
    "output_dir": "run.name",
    "adapter_name_or_path": "model.path",
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
_MODULES_DIR = Path(__file__).parent.parent
_NOWHERE = Environment("python", ("llamafactory-cli",), "")


def make_plan(answers: Answers, situation: Situation) -> Plan:
    """Everything that a run of `answers` will do. Raises `Refusal` (exit 2) with all that is wrong with the answers."""
    from sft_tui.answers import answers_hash  # it brings pydantic, which the supervisor does without

    problems = check_answers(answers, situation)
    problems.raise_if_any(ExitCode.USAGE)
    options, _origins = train_options(answers, situation)
    gpus = chosen_gpus(answers, situation.gpus)
    choice = choose(answers, situation)
    merge = commands.merge_options(options, situation.run, answers.export.size_gb, answers.export.device)
    environment = situation.environment or _NOWHERE
    need = plan_estimate(situation, options, gpus)
    return Plan(
        project=str(situation.project),
        run=situation.run,
        dataset=situation.dataset,
        model=situation.model.path,
        template=str(options["template"]),
        preset=choice.preset.name if choice.preset else answers.preset,
        gpus=tuple(gpu.index for gpu in gpus),
        files=_files(answers, situation, options, merge),
        stages=_stages(answers, situation, options, environment, gpus),
        train_options=options,
        merge_options=merge,
        conversion=_conversion(answers, situation),
        verification=_verification(options, merge, gpus, situation.system.cpu_bf16),
        environment=_environment_record(environment),
        reasons={
            "template": situation.model.template_why,
            "preset": choice.why,
            "gpus": _why_gpus(answers, situation, gpus),
            "environment": environment.why or _("LLaMA-Factory was not found"),
            **_why_estimate(situation, options, gpus, need),
        },
        warnings=tuple(problems),
        estimate=need,
        headless_command=f"sft-tui --non-interactive {shlex.quote(f'runs/{situation.run}/answers.yaml')} --fresh",
        answers_hash=answers_hash(answers, situation.source, situation.model.path),
        on_failure={"oom": answers.on_failure.oom},
        wait=answers.hardware.wait,
        any_gpu=answers.hardware.gpus == "auto",
        notify=situation.notify,
    )


def _why_estimate(
    situation: Situation, options: dict[str, Any], gpus: tuple[Gpu, ...], need: PlannedEstimate | None
) -> dict[str, str]:
    """What the estimate rests on, and what an earlier run of the model needed, where the project has one."""
    from sft_tui.plan.peaks import find_peak, peak_text

    texts = []
    if need is not None and need.longest is not None:
        texts.append(_("no sample has more than {count} tokens").format(count=need.longest))
    found = find_peak(situation.peaks, situation.model.path, options, len(gpus)) if gpus else None
    if found:
        texts.append(peak_text(found))
    return {"estimate": "; ".join(texts)} if texts else {}


def relocated(answers: Answers, situation: Situation) -> Answers:
    """The answers as they are kept in `runs/<run>/`: valid from there, with the run's name."""
    from sft_tui.plan.names import portable

    source = situation.source
    if not source.startswith("hub:"):
        source = portable(Path(source), situation.project)
    return answers.model_copy(
        update={
            "run": answers.run.model_copy(
                update={"name": situation.run, "dir": "../..", "notify": list(situation.notify) or None}
            ),
            "data": answers.data.model_copy(update={"source": source}),
            "model": answers.model.model_copy(update={"path": situation.model.path}),
        }
    )


def check_answers(answers: Answers, situation: Situation) -> Problems:
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
    _check_trust(answers, problems)
    _check_template(answers, situation, problems)
    _check_gpus(answers, situation, problems)
    _check_launcher(answers, situation, problems)
    return problems


def _check_launcher(answers: Answers, situation: Situation, problems: Problems) -> None:
    """What the launcher needs of the cards: one process uses one, and what divides a training needs some."""
    key, launcher, gpus = "hardware.launcher", answers.hardware.launcher, chosen_gpus(answers, situation.gpus)
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


def _why_gpus(answers: Answers, situation: Situation, gpus: tuple[Gpu, ...]) -> str:
    if answers.hardware.gpus == "none":
        return _("CPU, as the answers say")
    if not gpus:
        return situation.gpus.reason or _("no GPU was found")
    if answers.hardware.gpus == "auto":
        return _("the card with the most free memory")
    return _("given in the answers")


def _files(
    answers: Answers, situation: Situation, options: dict[str, Any], merge: dict[str, Any]
) -> tuple[PlannedFile, ...]:
    from sft_tui.answers import dump_answers

    run = situation.run
    files = [
        PlannedFile(f"configs/{run}/{commands.TRAIN_CONFIG}", render_train_config(options, run)),
        PlannedFile(f"configs/{run}/{commands.MERGE_CONFIG}", render_merge_config(merge, run)),
        PlannedFile(f"runs/{run}/answers.yaml", dump_answers(relocated(answers, situation))),
    ]
    zero = zero_config(run, options.get("deepspeed"))
    if zero is not None:
        files.append(PlannedFile(str(options["deepspeed"]), render_zero_config(zero)))
    return tuple(files)


def _conversion(answers: Answers, situation: Situation) -> dict[str, Any]:
    from dataclasses import asdict

    template = template_of(answers, situation.model, situation.factory)
    python = situation.train_python
    request = conversion_request(answers, situation.source, Path("data"), situation.dataset, template, python)
    return asdict(request) | {"out_dir": "data"}


def _verification(
    options: dict[str, Any], merge: dict[str, Any], gpus: tuple[Gpu, ...], cpu_bf16: bool | None
) -> dict[str, Any]:
    return {
        "base": options["model_name_or_path"],
        "adapter": options["output_dir"],
        "merged": merge["export_dir"],
        "template": options["template"],
        "trust_remote_code": bool(options.get("trust_remote_code", False)),
        "cutoff_len": options.get("cutoff_len", 2048),
        "max_new_tokens": 64,
        "finetuning_type": options.get("finetuning_type", "lora"),
        "device": "auto" if gpus else "cpu",
        "cpu_bf16": cpu_bf16,
    }


def _stages(
    answers: Answers,
    situation: Situation,
    options: dict[str, Any],
    environment: Environment,
    gpus: tuple[Gpu, ...],
) -> tuple[PlannedStage, ...]:
    run, dataset = situation.run, situation.dataset
    here = {"PYTHONUNBUFFERED": "1"}
    visible = commands.gpu_environment([gpu.uuid for gpu in gpus], [gpu.index for gpu in gpus])
    modelscope = answers.model.source == "modelscope" and not situation.model.local
    torchrun = by_torchrun(answers, options, len(gpus))
    train_env = commands.train_environment(run, len(gpus), modelscope=modelscope, torchrun=torchrun) | visible
    train_yaml = f"configs/{run}/{commands.TRAIN_CONFIG}"
    convert_argv = (situation.python, "-m", "sft_tui.run.convert", f"runs/{run}")
    stages = (
        PlannedStage("convert", convert_argv, f"logs/{run}/convert.log", (f"data/{dataset}.convert.json",), here),
        PlannedStage(
            "train",
            commands.train_argv(environment.cli, train_yaml, _overrides(situation, options)),
            f"logs/{run}/train.log",
            tuple(f"saves/{run}/{name}" for name in commands.training_proofs(options)),
            train_env,
            commands.plain_command(("train", train_yaml), train_env),
        ),
    )
    return (*stages, *export_stages(answers, run, _environment_record(environment), train_env))


def _overrides(situation: Situation, options: Mapping[str, Any]) -> dict[str, str]:
    """What only the supervisor wants of the training, beside its YAML."""
    packages = situation.environment.packages if situation.environment else {}
    asked = situation.factory.source == "probe"
    found = commands.stop_overrides(situation.factory.options, packages, asked=asked)
    return {key: value for key, value in found.items() if key not in options}


def export_stages(
    answers: Answers, run: str, environment: Mapping[str, Any], train_env: Mapping[str, str]
) -> tuple[PlannedStage, ...]:
    """Merging and verifying, as the answers want them: on the cards and with the hub of the training's `train_env`."""
    if not answers.export.enabled:
        return ()
    here = {"PYTHONUNBUFFERED": "1"}
    hub = {key: train_env[key] for key in ("USE_MODELSCOPE_HUB",) if key in train_env}
    visible = {key: train_env[key] for key in commands.gpu_environment((), ()) if key in train_env}
    cards = visible if answers.export.device == "auto" else commands.gpu_environment((), ())
    merge_yaml = f"configs/{run}/{commands.MERGE_CONFIG}"
    export = PlannedStage(
        "export",
        commands.export_argv(environment["cli"], merge_yaml),
        f"logs/{run}/export.log",
        (f"models/{run}/config.json", f"models/{run}/*.safetensors"),
        here | commands.CPU_ENVIRONMENT | hub | cards,
        commands.plain_command(("export", merge_yaml), hub),
    )
    if not answers.export.verify:
        return (export,)
    argv = (
        environment["python"],
        str(_MODULES_DIR / "factory" / "remote" / "verify.py"),
        f"runs/{run}/verify_spec.json",
    )
    proofs = (f"runs/{run}/verify.json",)
    return (export, PlannedStage("verify", argv, f"logs/{run}/verify.log", proofs, here | hub | visible))


def _environment_record(environment: Environment) -> dict[str, Any]:
    return {"python": environment.python, "cli": list(environment.cli), "version": environment.version}
