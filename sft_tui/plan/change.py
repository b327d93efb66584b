"""Changing a plan that was made: the one way, whoever asks for it and for whatever reason.

What was decided for the run stays as it was decided: its preset's options, its data's name. Only what was asked for
changes, after the preflight, and the run's events say what and why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory import commands
from sft_tui.i18n import _
from sft_tui.problems import ExitCode, Problems, Refusal, exit_code_for, refuse
from sft_tui.project.events import append_event, make_event
from sft_tui.project.files import write_atomically, write_json
from sft_tui.project.layout import RunLayout
from sft_tui.project.plan_record import Plan, PlannedFile, PlannedStage

if TYPE_CHECKING:
    from sft_tui.answers import Answers
    from sft_tui.machine.gpus import Gpu
    from sft_tui.plan.context import Situation


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different, and in a sentence why.

    `train` are training options (None removes one) that are planned anew from the answers; with `only_options` nothing
    else is looked at again (cards, data). `export` are keys of the answers' section. `gpus` are other cards.
    `force`, `overwrite_model` and `restart_on_crash` are those of the plan. None: as it is.
    """

    reason: str
    train: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    only_options: bool = False
    export: Mapping[str, Any] | None = None
    gpus: Sequence[Gpu] | None = None
    force: bool | None = None
    overwrite_model: bool = False
    restart_on_crash: int | None = None


def change(plan: Plan, wanted: Change) -> Plan:
    """The plan as it is `wanted`; nothing is written. Raises `Refusal` with all that is wrong with it."""
    plan = replace(plan, overwrite_model=wanted.overwrite_model)
    if wanted.force is not None:
        plan = replace(plan, force=wanted.force)
    if wanted.restart_on_crash is not None:
        plan = replace(plan, restart_on_crash=wanted.restart_on_crash)
    if wanted.gpus is not None:
        plan = _on_cards(plan, wanted.gpus)
    if wanted.export is not None:
        plan = _with_export(plan, wanted.export)
    if wanted.only_options:
        return _with_options(plan, wanted.train)
    return _planned_anew(plan, wanted.train) if wanted.train or wanted.again else plan


def put_in_force(before: Plan, after: Plan, reason: str) -> None:
    """Write the changed plan with its files, and into the events what has changed. Raises `Refusal` (exit 3)."""
    layout = RunLayout(Path(after.project), after.run)
    write_plan(layout, after)
    changes = differences(before, after)
    if changes:
        with contextlib.suppress(OSError):  # a full disk must not keep the run from going on
            append_event(layout.events, make_event("plan_changed", reason=reason, changes=changes))


def differences(before: Plan, after: Plan) -> dict[str, list[Any]]:
    """What is different, each with its values before and after; options of the training by their plain names."""

    def flat(plan: Plan) -> dict[str, Any]:
        export = {f"export.{key}": value for key, value in plan.merge_options.items() if key.startswith("export_")}
        stages = {"stages": [stage.name for stage in plan.stages]}
        rest = {"data.name": plan.dataset, "gpus": list(plan.gpus), "force": plan.force}
        return {**plan.train_options, **export, **stages, **rest, "restart_on_crash": plan.restart_on_crash}

    old, new = flat(before), flat(after)
    return {key: [old.get(key), new.get(key)] for key in {**old, **new} if old.get(key) != new.get(key)}


def write_plan(layout: RunLayout, plan: Plan) -> None:
    """Write the plan and its files; on failure take back what was new. Raises `Refusal` (exit 3)."""
    contents = {layout.project / file.path: file.content for file in plan.files}
    new_files = [path for path in (*contents, layout.plan) if not path.exists()]
    new_dirs = _missing_dirs((*new_files, layout.log_dir / "x", layout.requests / "x"))
    try:
        for path, content in contents.items():
            write_atomically(path, content, private=path == layout.answers, follow=False)
        write_json(layout.plan, plan.as_json(), private=True, follow=False)
        layout.log_dir.mkdir(parents=True, exist_ok=True)
        layout.requests.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        for path in new_files:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for directory in new_dirs:
            with contextlib.suppress(OSError):
                directory.rmdir()
        message = _("The project directory {path} cannot be written: {reason}.")
        hint = _("Free space or choose another directory with `run.dir`.")
        text = message.format(path=layout.project, reason=error.strerror or error)
        raise refuse(
            "project_not_writable",
            text,
            key="run.dir",
            hint=hint,
            path=str(layout.project),
            exit_code=ExitCode.PREFLIGHT,
        ) from error


def _missing_dirs(paths: tuple[Path, ...]) -> list[Path]:
    """Directories that will have to be made for `paths`, the deepest first."""
    missing = {parent for path in paths for parent in path.parents if not parent.exists()}
    return sorted(missing, key=lambda p: len(p.parts), reverse=True)


def _on_cards(plan: Plan, gpus: Sequence[Gpu]) -> Plan:
    """The plan with its stages on `gpus` instead of the cards that it was made for."""
    before = plan.stage("train")
    old = before.env.get("CUDA_VISIBLE_DEVICES") if before else None
    new = commands.gpu_environment([gpu.uuid for gpu in gpus], [gpu.index for gpu in gpus])

    def moved(stage: PlannedStage) -> PlannedStage:
        if not old or stage.env.get("CUDA_VISIBLE_DEVICES") != old:
            return stage
        shown = stage.shown.replace(old, new["CUDA_VISIBLE_DEVICES"])
        return replace(stage, env={**stage.env, **new}, shown=shown)

    return replace(plan, gpus=tuple(gpu.index for gpu in gpus), stages=tuple(moved(stage) for stage in plan.stages))


def _planned_anew(plan: Plan, train: Mapping[str, Any]) -> Plan:
    """The plan of the run's answers with `train`, as the machine and the data are now."""
    from sft_tui.plan.context import gather
    from sft_tui.plan.make import make_plan
    from sft_tui.plan.preflight import preflight

    answers = _answers(plan)
    wanted = {key: value for key, value in {**answers.train, **train}.items() if train.get(key, value) is not None}
    answers = answers.model_copy(update={"train": wanted})
    rows = _rows_without_source(plan)
    if rows is not None:  # what was converted stands
        answers = answers.model_copy(update={"data": answers.data.model_copy(update={"name": plan.dataset})})
    situation = gather(answers, _layout(plan).answers, rows=rows, count_tokens=True)
    answers = _with_the_presets_options(plan, answers, situation, train)
    after = make_plan(answers, situation)
    found = [*after.warnings, *preflight(answers, situation, after, force=plan.force)]
    _refuse_errors([p for p in found if rows is None or not (p.key or "").startswith("data.source")])
    return replace(
        after, force=plan.force, restart_on_crash=plan.restart_on_crash, overwrite_model=plan.overwrite_model
    )


def _with_the_presets_options(plan: Plan, answers: Answers, situation: Situation, train: Mapping[str, Any]) -> Answers:
    """The answers with what the preset gave when the run was planned: another card must not make another training."""
    from sft_tui.plan.decide import decide

    decided = decide(answers, situation, estimated=False)
    options = decided.options
    given = {key for key, origin in decided.origins.items() if origin == "preset" and key not in train}
    kept = {k: plan.train_options[k] for k in given if k in plan.train_options and plan.train_options[k] != options[k]}
    return answers.model_copy(update={"train": {**kept, **answers.train}}) if kept else answers


def _with_options(plan: Plan, train: Mapping[str, Any]) -> Plan:
    """The plan with other values for options that it has, and its answers with them; all else stays as it is."""
    from sft_tui.factory.check import CheckContext, check_train_options
    from sft_tui.factory.probe import load_factory
    from sft_tui.factory.train_config import render_train_config

    options = {**plan.train_options, **train}
    context = CheckContext(load_factory(plan.environment["python"]), Path(plan.project), look_at_files=False)
    _refuse_errors([p for p in check_train_options(options, context) if (p.key or "").split(".")[0] in train])
    answers = _answers(plan)
    answers = answers.model_copy(update={"train": {**answers.train, **train}})
    content = render_train_config(options, plan.run)
    return _with_files(replace(plan, train_options=options), answers, {commands.TRAIN_CONFIG: content})


def _with_export(plan: Plan, export: Mapping[str, Any]) -> Plan:
    """The plan with another merge of the adapter that is there. What the run was made from is not needed for it."""
    from sft_tui.factory.train_config import render_merge_config
    from sft_tui.plan.make import export_stages

    answers = _answers(plan)
    answers = answers.model_copy(update={"export": answers.export.model_copy(update=dict(export))})
    merge = commands.merge_options(plan.train_options, plan.run, answers.export.size_gb, answers.export.device)
    train = plan.stage("train")
    assert train is not None
    before = tuple(stage for stage in plan.stages if stage.name in ("convert", "train"))
    after = export_stages(answers, plan.run, plan.environment, train.env)
    _check_export(plan)
    plan = replace(plan, merge_options=merge, stages=(*before, *after))
    return _with_files(plan, answers, {commands.MERGE_CONFIG: render_merge_config(merge, plan.run)})


def _check_export(plan: Plan) -> None:
    """Refuse an export that must fail: no base model, no LLaMA-Factory, no room for the merged model."""
    import shutil

    from sft_tui.factory.check import check_model_dir

    problems, project = Problems(), Path(plan.project)
    base = project / str(plan.merge_options["model_name_or_path"])
    if base.is_dir():
        problems.extend(check_model_dir(base))
        need = sum(path.stat().st_size for pattern in ("*.safetensors", "*.bin") for path in base.glob(pattern))
        free = shutil.disk_usage(project).free
        if need > free:
            message = _("The merged model needs about {need} GB of disk, {free} GB are free.")
            text = message.format(need=f"{need / 1e9:.1f}", free=f"{free / 1e9:.1f}")
            problems.error("disk_space", text, hint=_("Free space, then export again."), path=str(project))
    elif str(plan.model).startswith((".", "/")):
        message = _("There is no model directory {path}.").format(path=base)
        problems.error("model_not_found", message, key="model.path", path=str(base))
    program = plan.environment["python"]
    if shutil.which(program) is None:
        message = _("{program}, which has LLaMA-Factory, is not there any more.").format(program=program)
        hint = _("Set SFT_TUI_TRAIN_PYTHON to the Python that has it, and plan anew: sft-tui resume {run} --set K=V")
        problems.error("no_environment", message, hint=hint.format(run=plan.run))
    _refuse_errors(list(problems))


def _rows_without_source(plan: Plan) -> int | None:
    """How many rows were converted of a source that is gone since; None where it is there, or nobody knows.

    Of several, all must be there.
    """
    from sft_tui.dataset.readers.files import is_there
    from sft_tui.plan.conversion import read_proof, request_from_json

    request = request_from_json(plan.conversion, Path(plan.project))
    if plan.more_conversions or is_there(request.source):
        return None
    proof = read_proof(request.out_dir, plan.dataset)
    return proof[1].train_rows + proof[1].test_rows if proof else None


def _with_files(plan: Plan, answers: Answers, contents: Mapping[str, str]) -> Plan:
    """The plan with new `contents` of files, by their last names, and of its answers."""
    from sft_tui.answers import dump_answers

    new = {**contents, "answers.yaml": dump_answers(answers)}

    def rewritten(file: PlannedFile) -> PlannedFile:
        return replace(file, content=new.get(Path(file.path).name, file.content))

    return replace(plan, files=tuple(rewritten(file) for file in plan.files))


def _answers(plan: Plan) -> Answers:
    from sft_tui.answers import read_answers

    return read_answers(_layout(plan).answers).require()


def _layout(plan: Plan) -> RunLayout:
    return RunLayout(Path(plan.project), plan.run)


def _refuse_errors(problems: list[Any]) -> None:
    code = exit_code_for(problems)
    if code is not ExitCode.DONE:
        raise Refusal(problems, code)
