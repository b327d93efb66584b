"""`make_plan`: from answers and a situation to everything that a run will do. Pure: nothing is read or written."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory import commands
from sft_tui.factory.deepspeed import ZERO, render_zero_config, zero_config
from sft_tui.factory.train_config import render_merge_config, render_train_config
from sft_tui.i18n import _
from sft_tui.machine.environment import Environment
from sft_tui.plan.check_answers import check_answers
from sft_tui.plan.context import template_of
from sft_tui.plan.conversion import PROOF_SUFFIX
from sft_tui.plan.decide import Decisions, decide
from sft_tui.plan.estimate import planned_disk
from sft_tui.plan.names import portable
from sft_tui.plan.options import deepspeed_from_the_project
from sft_tui.plan.sources import located, parts_of
from sft_tui.problems import ExitCode
from sft_tui.project.plan_record import Plan, PlannedFile, PlannedStage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sft_tui.answers import Answers
    from sft_tui.dataset.request import ConvertRequest
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation

_MODULES_DIR = Path(__file__).parent.parent
_NOWHERE = Environment("python", ("llamafactory-cli",), "")


def make_plan(answers: Answers, situation: Situation, decided: Decisions | None = None) -> Plan:
    """Everything that a run of `answers` will do, by what was `decided` for them, or is now.

    Raises `Refusal` (exit 2) with all that is wrong with the answers.
    """
    from sft_tui.answers import answers_hash  # it brings pydantic, which the supervisor does without

    decided = decided or decide(answers, situation)
    problems = check_answers(answers, situation, decided.cards)
    problems.raise_if_any(ExitCode.USAGE)
    options, gpus, preset = decided.options, decided.cards, decided.choice.preset
    merge = commands.merge_options(options, situation.run, answers.export.size_gb, answers.export.device)
    environment = situation.environment or _NOWHERE
    made = _conversions(answers, situation)
    return Plan(
        project=str(situation.project),
        run=situation.run,
        dataset=situation.dataset,
        model=situation.model.path,
        template=str(options["template"]),
        preset=preset.name if preset else answers.preset,
        gpus=tuple(gpu.index for gpu in gpus),
        files=_files(answers, situation, options, merge),
        stages=_stages(answers, situation, decided, environment),
        train_options=options,
        merge_options=merge,
        conversion=made[0],
        more_conversions=tuple(made[1:]),
        verification=_verification(options, merge, gpus, situation.system.cpu_bf16),
        environment=_environment_record(environment),
        reasons=_reasons(answers, situation, decided),
        warnings=tuple(problems),
        estimate=decided.estimate,
        headless_command=f"sft-tui --non-interactive {shlex.quote(f'runs/{situation.run}/answers.yaml')} --fresh",
        answers_hash=answers_hash(
            located(answers, parts_of(answers, situation)), situation.model.path, situation.model.adapter
        ),
        parent=situation.model.parent,
        on_failure={"oom": answers.on_failure.oom},
        wait=answers.hardware.wait,
        any_gpu=answers.hardware.gpus == "auto",
        notify=situation.notify,
        disk=planned_disk(decided.config, decided.estimated_options),
    )


def _reasons(answers: Answers, situation: Situation, decided: Decisions) -> dict[str, str]:
    """Why it is as it is, in a sentence each; of the estimate what it rests on, and what an earlier run needed."""
    from sft_tui.plan.peaks import find_peak, peak_text

    texts, need, cards = [], decided.estimate, len(decided.cards)
    if need is not None and need.longest is not None:
        texts.append(_("no sample has more than {count} tokens").format(count=need.longest))
    found = find_peak(situation.peaks, situation.model.path, decided.options, cards) if cards else None
    texts += [peak_text(found)] if found else []
    environment = situation.environment
    return {
        "template": situation.model.template_why,
        "preset": decided.choice.why,
        "gpus": _why_gpus(answers, situation, decided.cards),
        "environment": environment.why if environment else _("LLaMA-Factory was not found"),
        **({"parent": _parent_text(situation)} if situation.model.adapter else {}),
        **({"estimate": "; ".join(texts)} if texts else {}),
    }


def _parent_text(situation: Situation) -> str:
    text = _("goes on from the adapter {path}; the new adapter holds what that one had learned")
    return text.format(path=situation.model.adapter)


def relocated(answers: Answers, situation: Situation) -> Answers:
    """The answers as they are kept in `runs/<run>/`: valid from there, with the run's name."""
    preset, zero = answers.preset, answers.train.get("deepspeed")
    answers = located(answers, parts_of(answers, situation), situation.project)
    own = situation.presets.get(preset)
    if own is not None and own.path is not None and preset != own.name:  # a file of the user's
        preset = portable(own.path, situation.project)
    train = answers.train | ({"deepspeed": deepspeed_from_the_project(situation, zero)} if zero else {})
    if zero in ZERO:
        train["deepspeed"] = zero
    return answers.model_copy(
        update={
            "run": answers.run.model_copy(
                update={"name": situation.run, "dir": "../..", "notify": list(situation.notify) or None}
            ),
            "model": answers.model.model_copy(
                update={"path": situation.model.path, "adapter": situation.model.adapter}
            ),
            "preset": preset,
            "train": train,
        }
    )


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


def _conversions(answers: Answers, situation: Situation) -> list[dict[str, Any]]:
    """The conversion of the first source that is trained on, and those of the others."""
    from dataclasses import asdict

    template = template_of(answers, situation.model, situation.factory)

    def kept(request: ConvertRequest) -> dict[str, Any]:
        inside = Path(request.source).is_relative_to(situation.project) and "," not in request.source
        source = Path(request.source).relative_to(situation.project).as_posix() if inside else request.source
        before = [kept(other) for other in request.before]
        return asdict(request) | {"out_dir": "data", "source": source, "before": before}

    parts = sorted(parts_of(answers, situation), key=lambda part: part.evaluates)
    return [kept(part.request(Path("data"), template, situation.train_python)) for part in parts]


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
    answers: Answers, situation: Situation, decided: Decisions, environment: Environment
) -> tuple[PlannedStage, ...]:
    run, gpus = situation.run, decided.cards
    proofs = tuple(f"data/{part.dataset}{PROOF_SUFFIX}" for part in parts_of(answers, situation))
    here = {"PYTHONUNBUFFERED": "1"}
    visible = commands.gpu_environment([gpu.uuid for gpu in gpus], [gpu.index for gpu in gpus])
    modelscope = answers.model.source == "modelscope" and not situation.model.local
    train_env = commands.train_environment(run, len(gpus), modelscope=modelscope, torchrun=decided.torchrun) | visible
    train_yaml = f"configs/{run}/{commands.TRAIN_CONFIG}"
    convert_argv = (situation.python, "-m", "sft_tui.run.convert", f"runs/{run}")
    stages = (
        PlannedStage("convert", convert_argv, f"logs/{run}/convert.log", proofs, here),
        PlannedStage(
            "train",
            commands.train_argv(environment.cli, train_yaml, _overrides(situation, decided.options)),
            f"logs/{run}/train.log",
            tuple(f"saves/{run}/{name}" for name in commands.training_proofs(decided.options)),
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
