"""What would keep a run from starting, found before anything is started."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory.check import CheckContext, check_model_dir, check_train_options
from sft_tui.factory.check.context import ANSWER_KEYS
from sft_tui.factory.check.rules import RULE_CODES
from sft_tui.factory.dataset_info import listed_names
from sft_tui.factory.deepspeed import zero_config
from sft_tui.factory.options import TESTED_VERSIONS
from sft_tui.i18n import _
from sft_tui.machine.hub_cache import may_be_on_a_hub
from sft_tui.machine.installing import install_command
from sft_tui.machine.system import existing_parent
from sft_tui.plan.estimate import model_config, more_cards
from sft_tui.plan.gpu_headroom import cards_of, holder, waiting_helps
from sft_tui.plan.length import file_rows, run_length
from sft_tui.plan.preflight_data import check_data, check_split
from sft_tui.plan.sources import parts_of
from sft_tui.problems import (
    Fix,
    Problem,
    Problems,
    Refusal,
    Severity,
    locked_problem,
)
from sft_tui.units import GIB, size_text
from sft_tui.yaml_io import scalar

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation
    from sft_tui.plan.sources import Part
    from sft_tui.project.plan_record import Plan


def preflight(
    answers: Answers,
    situation: Situation,
    plan: Plan,
    *,
    force: bool = False,
    light: bool = False,
    hub: bool = False,
) -> list[Problem]:
    """Everything that would keep the run from starting, and what should be known before it does.

    `force` turns a GPU that seems too small into a warning; `light` only glances at the data, without a data library.
    `hub` also looks after a model that must come from a hub: in the cache, on the network (3 s at most).
    """
    problems = Problems()
    try:
        _look(answers, situation, plan, problems, force=force, light=light, hub=hub)
    except PermissionError as error:
        problems.items.append(locked_problem(error))
    return list(problems)


def _look(
    answers: Answers, situation: Situation, plan: Plan, problems: Problems, *, force: bool, light: bool, hub: bool
) -> None:
    _check_environment(situation, problems)
    _check_project(situation, problems)
    _check_notify(situation, problems)
    _check_model(answers, situation, problems)
    readable = check_data(answers, situation, problems, light=light)
    if readable:
        readable = check_split(answers, situation, problems)
    judged = situation if readable else replace(situation, rows=None, parts=_uncounted(situation))
    cards = cards_of(plan, situation.gpus)
    problems.extend(check_options(answers, judged, plan.train_options, cards))
    _check_memory(situation, plan, problems, force=force)
    if hub:
        from sft_tui.plan.preflight_hub import check_hub_model

        check_hub_model(answers, situation, problems, force=force)
    if not light:
        _check_disk(answers, situation, plan, problems)
    unknown = situation.factory.source == "probe" and situation.factory.version not in TESTED_VERSIONS
    if unknown and not light and all(p.code in RULE_CODES for p in problems if p.severity is Severity.ERROR):
        _heed_verdict(problems, verdict_of_plan(situation, plan))


def _uncounted(situation: Situation) -> tuple[Part, ...]:
    return tuple(replace(part, rows=None) for part in situation.parts)


def _heed_verdict(problems: Problems, verdict: list[Problem]) -> None:
    """Add the `verdict` of LLaMA-Factory's own parser; what breaks only our rules is no error where it accepts it."""
    if all(problem.severity is Severity.INFO for problem in verdict):
        accepted = _("The installed LLaMA-Factory accepts it.")
        problems.items[:] = [
            replace(p, severity=Severity.WARNING, message=f"{p.message} {accepted}")
            if p.severity is Severity.ERROR and p.code in RULE_CODES
            else p
            for p in problems
        ]
    problems.extend(verdict)


def verdict_of_plan(situation: Situation, plan: Plan) -> list[Problem]:
    """What the installed LLaMA-Factory's own parser says of the planned training: about 10 s, without the model.

    A launch asks it only for versions that the checks were not tested with: training itself would say it as soon.
    """
    from sft_tui.factory.verdict import run_verdict

    config, stage = plan.file("train_config.yaml"), plan.stage("train")
    if situation.environment is None or config is None or stage is None:
        return []
    cwd = situation.project if situation.project.is_dir() else situation.base
    with tempfile.TemporaryDirectory(prefix="sft-tui-verdict-") as folder:
        path = Path(folder) / "train_config.yaml"
        content, zero = config.content, str(plan.train_options.get("deepspeed"))
        for file in plan.files:
            if file.path == zero:  # only written at the start
                beside = Path(folder) / Path(zero).name
                beside.write_text(file.content, encoding="utf-8")
                content = content.replace(zero, str(beside))
        path.write_text(content, encoding="utf-8")
        found = run_verdict(
            situation.environment.python,
            path,
            cwd,
            stage.env,
            distributed="FORCE_TORCHRUN" in stage.env,
            options=frozenset(situation.factory.options),
        )
    return [replace(p, path=None, key=f"train.{p.key}" if p.key else "train") for p in found]


def _check_environment(situation: Situation, problems: Problems) -> None:
    if situation.environment is not None:
        return
    message = _("LLaMA-Factory was not found. Looked at: {places}.")
    hint = _("Install it: {command}, or set SFT_TUI_TRAIN_PYTHON to the Python that has it.")
    text = message.format(places="; ".join(situation.search.looked_at))
    problems.error("no_environment", text, hint=hint.format(command=install_command()))


def _check_project(situation: Situation, problems: Problems) -> None:
    place = existing_parent(situation.project)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        message = _("The project directory {path} cannot be written.").format(path=situation.project)
        hint = _("Choose another directory with `run.dir`.")
        problems.error("project_not_writable", message, key="run.dir", hint=hint, path=str(situation.project))


def _check_notify(situation: Situation, problems: Problems) -> None:
    """Whether the program to tell is there; the run goes on without it."""
    if not situation.notify:
        return
    program = situation.notify[0]
    if shutil.which(str(situation.project / program) if "/" in program else program) is None:
        message = _("The program {program} of `run.notify` is not there or may not be executed: nobody will be told.")
        hint = _("Check its path, and: chmod +x {program}").format(program=program)
        problems.warning("notify_program", message.format(program=program), key="run.notify", hint=hint)


def _check_model(answers: Answers, situation: Situation, problems: Problems) -> None:
    model = situation.model
    if model.directory is None:
        if not may_be_on_a_hub(answers.model.path):
            message = _("There is no model directory {path}.").format(path=answers.model.path)
            hint = _("Give the directory that holds config.json, or a hub id such as Qwen/Qwen2.5-0.5B-Instruct.")
            problems.error("model_not_found", message, key="model.path", hint=hint)
        return
    for problem in check_model_dir(model.directory):
        problems.add(replace(problem, key="model.path"))


def check_options(
    answers: Answers, situation: Situation, options: dict[str, Any], gpus: tuple[Gpu, ...]
) -> list[Problem]:
    """What is wrong with the training's `options` on `gpus`, with keys as they stand in the answers."""
    from sft_tui.plan.options import by_torchrun

    parts = parts_of(answers, situation)
    own: dict[str, int | None] = {f"{part.dataset}_test": None for part in parts}
    own |= {part.registered: file_rows(part)[0] for part in parts}
    context = CheckContext(
        factory=situation.factory,
        base_dir=situation.project,
        gpus=gpus,
        cpus=situation.system.cpus,
        cpu_bf16=situation.system.cpu_bf16,
        coming=own,
        launching=True,
        distributed=by_torchrun(answers, options, len(gpus)),
        processes=max(len(gpus), 1),
    )
    found = _check_stage(options, set(own))
    zero = zero_config(situation.run, options.get("deepspeed"))  # its file is only written at the start
    for problem in check_train_options({**options, "deepspeed": zero} if zero else options, context):
        key = problem.key or ""
        if key.split(".")[0] in ("model_name_or_path", "output_dir") or (problem.code == "wrong_stage" and found):
            continue
        if key == "dataset_dir":
            key = "dataset" if set(listed_names(options.get("dataset"))) - set(own) else "eval_dataset"
        if key == "adapter_name_or_path":
            found.append(_of_the_adapter(problem))
            continue
        fix = Fix(problem.fix.kind, f"train.{problem.fix.key}", problem.fix.value) if problem.fix else None
        found.append(replace(problem, key=f"train.{key}" if key else "train", fix=fix))
    if options.get("use_cpu") is True:
        found += _check_main_memory(situation, options)
    return found


def _check_main_memory(situation: Situation, options: dict[str, Any]) -> list[Problem]:
    """Whether the model that is trained on the processor fits into the main memory, as far as its size is known."""
    from sft_tui.memory.architecture import read_architecture
    from sft_tui.memory.weights import count_parameters

    problems, system = Problems(), situation.system
    try:
        count = count_parameters(read_architecture(model_config(situation) or {}))
    except Refusal:  # of a model that is not known here, or that the check of its directory refuses
        return []
    full = options.get("finetuning_type") == "full"
    need = count * (2 if options.get("bf16") else 4) * (4 if full else 1)  # with gradients and two moments of Adam
    if need <= system.ram_available_bytes:
        return []
    message = _("On the processor the model takes at least {need} of main memory; {free} of {total} are free.")
    sizes = {"need": need, "free": system.ram_available_bytes, "total": system.ram_total_bytes}
    text = message.format(**{name: size_text(size) for name, size in sizes.items()})
    hint = _("Train it on a machine with a GPU, or take a smaller model.")
    problems.warning("main_memory", text, key="model.path", hint=hint)  # the answers may be for another machine
    return list(problems)


def _of_the_adapter(problem: Problem) -> Problem:
    """A problem of the adapter that is trained further, in the words of the answers."""

    def told(text: str | None) -> str | None:
        for option in ("adapter_name_or_path", "model_name_or_path"):
            text = text.replace(f"`{option}`", f"`{ANSWER_KEYS[option]}`") if text else text
        return text

    fix = problem.fix and Fix(problem.fix.kind, f"train.{problem.fix.key}", problem.fix.value)
    message = told(problem.message) or ""
    return replace(problem, message=message, hint=told(problem.hint), key="model.adapter", fix=fix)


def _check_stage(options: dict[str, Any], own: set[str]) -> list[Problem]:
    """The conversion writes questions with answers; preferences must be registered by hand."""
    stage = options.get("stage")
    if stage not in ("rm", "dpo", "kto") or not own & set(listed_names(options.get("dataset"))):
        return []
    message = _("Stage `{stage}` needs preferences, but the conversion of `data.source` writes questions with answers.")
    hint = _(
        "Use `stage: sft`, or register a preference dataset in data/dataset_info.json and name it in `train.dataset`."
    )
    return [Problem("wrong_stage", message.format(stage=stage), key="train.stage", hint=hint)]


def _check_disk(answers: Answers, situation: Situation, plan: Plan, problems: Problems) -> None:
    """Whether checkpoints, adapter and merged model have room in the project."""
    from sft_tui.memory import disk_needs

    config = model_config(situation)
    if config is None or not problems.ok:
        return
    steps = run_length(answers, situation, plan.train_options, len(plan.gpus)).steps
    try:
        needs = disk_needs(config, plan.train_options, export=answers.export.enabled, steps=steps)
    except Refusal:  # a model that is not known here
        return
    free, total = situation.system.disk_free_bytes, sum(needs.values())
    if total <= free:
        return
    parts = ", ".join(f"{name} {size_text(size)}" for name, size in needs.items())
    message = _("The run needs about {need} of disk ({parts}), {free} are free for {path}.")
    text = message.format(need=size_text(total), parts=parts, free=size_text(free), path=situation.project)
    hint = _("Free space, choose another `run.dir`, or lower `save_total_limit`.")
    problems.error("disk_space", text, key="run.dir", hint=hint)


def _check_memory(situation: Situation, plan: Plan, problems: Problems, *, force: bool) -> None:
    """Whether the chosen cards have the memory that the plan needs now, and who holds it where they have not."""
    need = plan.estimate
    if need is None or need.limit_bytes is None or need.fit not in ("no", "tight"):
        return
    sizes = {"need": f"{need.peak_bytes / GIB:.1f}", "free": f"{need.limit_bytes / GIB:.1f}"}
    if plan.wait and waiting_helps(plan, situation.gpus):
        message = _("About {need} GiB of GPU memory are needed, {free} GiB are free: the training will wait for them.")
        problems.warning("gpu_memory_wait", message.format(**sizes), key="hardware.wait")
        return
    if need.fit == "tight":
        message = _("It may just not fit: about {need} GiB are needed, {free} GiB are free.").format(**sizes)
        hint = _("Smaller: cutoff_len, per_device_train_batch_size (with more accumulation).")
        problems.warning("gpu_memory_tight", message, key="hardware.gpus", hint=hint)
        return
    message = _("It does not fit: about {need} GiB of GPU memory are needed, {free} GiB are free.").format(**sizes)
    cards = cards_of(plan, situation.gpus)
    holders = [holder(process) for gpu in cards for process in gpu.processes]
    if holders:
        message += " " + _("Held by: {who}.").format(who="; ".join(holders[:4]))
    hint = _("`sft-tui estimate` suggests smaller settings; `--force` starts all the same.")
    if need.changes:
        changed = ", ".join(f"{key}: {scalar(value)}" for key, value in need.changes.items())
        hint = _("It would fit with train: {{{changes}}}. `--force` starts all the same.").format(changes=changed)
    together = more_cards(situation, plan.train_options, cards)
    if together is not None:
        changed = ", ".join(f"{key}: {scalar(value)}" for key, value in together[1].items())
        text = _("Several cards hold it together: hardware: {{gpus: {gpus}}}, train: {{{changes}}}.")
        hint = f"{text.format(gpus=list(together[0]), changes=changed)} {hint}"
    add = problems.warning if force else problems.error
    add("gpu_memory", message, key="hardware.gpus", hint=hint)
