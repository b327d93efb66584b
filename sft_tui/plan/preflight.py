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
from sft_tui.plan.context import DATA_KINDS, template_of
from sft_tui.plan.estimate import model_config, more_cards
from sft_tui.plan.gpu_headroom import cards_of, holder, waiting_helps
from sft_tui.plan.length import file_rows, run_length
from sft_tui.plan.sources import parts_of, trained_parts
from sft_tui.problems import (
    ENVIRONMENT_CODES,
    ExitCode,
    Fix,
    Problem,
    Problems,
    Refusal,
    Severity,
    locked_problem,
    nearest,
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
    readable = _check_data(answers, situation, problems, light=light)
    if readable:
        readable = _check_split(answers, situation, problems)
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


def _check_data(answers: Answers, situation: Situation, problems: Problems, *, light: bool) -> bool:
    """Look at each source; whether all have data. Of several, each problem names the source that it is about."""
    parts, good = parts_of(answers, situation), True
    for part in parts:
        own = Problems()
        good = (_glance_at_part(part, own) if light else _check_part(part, situation, own)) and good
        if len(parts) == 1:
            problems.extend(own)
            continue
        key = "data.eval" if part.evaluates else "data.sources"
        for problem in own:
            message = problem.message if part.source in problem.message else f"{part.source}: {problem.message}"
            problems.add(replace(problem, message=message, key=key, fix=None))
    return good


def _check_part(part: Part, situation: Situation, problems: Problems) -> bool:
    """Convert the first rows, which shows what is wrong with columns, format and file; whether there is data."""
    from sft_tui.dataset import preview
    from sft_tui.dataset.rows.media import MEDIA
    from sft_tui.dataset.tally import page_notes
    from sft_tui.factory.check.dataset_files import media_sentence

    template = template_of(part.answers, situation.model, situation.factory)
    request = part.request(situation.project / "data", template, situation.train_python)
    try:
        page = preview(request, 1, 20)
    except Refusal as refusal:
        for problem in refusal.problems:
            code = problem.code
            if refusal.exit_code is ExitCode.PREFLIGHT and code not in ENVIRONMENT_CODES:
                code = "source_unreadable"
            problems.add(replace(problem, code=code, key=_data_key(problem.key)))
        return False
    if not page.more and all(row.sample is None for row in page.rows):
        reasons = ", ".join(sorted({row.drop for row in page.rows if row.drop})) or _("it has none")
        message = _("No row of {source} can be used: {reasons}.").format(source=part.source, reasons=reasons)
        hint = _("Look at them: sft-tui preview {source}").format(source=part.source)
        problems.error("source_empty", message, key="data.source", hint=hint)
        return False
    for note in (*page.notes, *page_notes(page, request)):
        problems.add(replace(note, key=_data_key(note.key)))
    media = [role for role in MEDIA if role in page.mapping.mapped()]
    if media and template is not None and not template.media:
        message, hint = media_sentence(part.dataset, template.name)
        problems.error("template_media", message, key=f"data.columns.{media[0]}", hint=hint)
    elif media:
        message = _("What `{column}` names is not counted: not in the lengths, and not in the estimated memory.")
        hint = _("Pictures take from hundreds to thousands of tokens each; measure with: sft-tui estimate --measure")
        text = message.format(column=page.mapping.mapped()[media[0]])
        problems.warning("media_not_counted", text, key=f"data.columns.{media[0]}", hint=hint)
    return True


def _glance_at_part(part: Part, problems: Problems) -> bool:
    """Look at the head of the source: is it there, has it rows, has it the columns that were named?"""
    from sft_tui.dataset.readers.files import resolve
    from sft_tui.factory.check.records import read_records

    if part.source.startswith("hub:"):
        return True
    path = Path(part.source)
    if not path.exists():
        try:
            return bool(resolve(part.source))
        except Refusal as refusal:
            problems.extend(refusal.problems)
            return False
    kind = DATA_KINDS.get(path.suffix.lower()) if path.is_file() else None
    records = read_records(path, kind) if kind else None
    if records is None:
        return True
    if records.fault is not None and records.fault[0] in ("empty_data", "file_unreadable", "lfs_pointer"):
        code = "source_empty" if records.fault[0] == "empty_data" else "source_unreadable"
        problems.error(code, records.fault[1], key="data.source")
        return False
    if records.fault is None and records.columns:
        _check_columns(part.answers, sorted(records.columns), problems)
    return True


def _check_split(answers: Answers, situation: Situation, problems: Problems) -> bool:
    """Whether the test rows leave something to train on."""
    for part in trained_parts(answers, situation):
        if part.rows and file_rows(part)[0] == 0:
            message = _("`data.test_size: {size}` leaves nothing to train on: there are only {rows} rows.")
            rows = min(part.rows, part.answers.data.max_samples or part.rows)
            text = message.format(size=answers.data.test_size, rows=rows)
            hint = _("Write a smaller number, for example 0.1.")
            problems.error("out_of_range", text, key="data.test_size", hint=hint)
            return False
    return True


def _check_columns(answers: Answers, there: list[str], problems: Problems) -> None:
    """Whether the columns that the answers name are among those that are `there`."""
    from sft_tui.dataset.rows.mapping import listed

    for role, column in answers.data.columns.model_dump(exclude_none=True).items():
        if not column or column in there:
            continue
        message = _("The source has no column `{column}`; it has: {names}.")
        close = nearest(column, there, 1)
        fix = Fix("set", f"data.columns.{role}", close[0]) if close else None
        hint = _("Did you mean `{name}`?").format(name=close[0]) if close else None
        text = message.format(column=column, names=listed(there))
        problems.error("unknown_column", text, key=f"data.columns.{role}", hint=hint, fix=fix)


def _data_key(key: str | None) -> str:
    """The key in the answers that goes with a key of the conversion (`--input-column`, `columns.input`, `source`)."""
    if key is None:
        return "data.source"
    name = key.lstrip("-").replace("-", "_")
    if name.endswith("_column"):
        return f"data.columns.{name.removesuffix('_column')}"
    return name if name.startswith("data.") else f"data.{name}"


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
