"""Merging the adapter of a run again, with other options or after a failure."""

from __future__ import annotations

from sft_tui.factory import commands
from sft_tui.i18n import _
from sft_tui.problems import refuse
from sft_tui.project.layout import RunLayout
from sft_tui.project.state import RunState, StageState, Status, present_status, write_state
from sft_tui.run.start import write_plan


def prepare_export(
    layout: RunLayout,
    state: RunState,
    *,
    size_gb: int | None = None,
    device: str | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> None:
    """Plan a run's export anew; the stages before it count as done. `start.launch` then does it. Raises `Refusal`."""
    from sft_tui.answers import read_answers
    from sft_tui.plan.context import gather
    from sft_tui.plan.make import make_plan

    if present_status(state) is Status.RUNNING:
        raise refuse("already_running", _("The run {run} is running already.").format(run=layout.name))
    if not commands.has_weights(layout.save_dir):
        message = _("The run {run} has no adapter in {path} yet.").format(run=layout.name, path=layout.save_dir)
        hint = _("Train first: sft-tui resume {run}").format(run=layout.name)
        raise refuse("no_adapter", message, hint=hint)
    exported = state.stages.get("export", StageState()).status is Status.FINISHED
    if exported and commands.has_weights(layout.model_dir) and not overwrite:
        message = _("There is a merged model in {path} already.").format(path=layout.model_dir)
        raise refuse("model_exists", message, hint=_("`--overwrite` replaces it."))
    answers = read_answers(layout.answers).require()
    export = {"enabled": True, "verify": verify} | {
        key: value for key, value in (("size_gb", size_gb), ("device", device)) if value is not None
    }
    changed = answers.model_copy(update={"export": answers.export.model_copy(update=export)})
    if overwrite:
        for file in layout.model_dir.glob("*.safetensors*"):
            file.unlink()
    write_plan(layout, make_plan(changed, gather(changed, layout.answers)))
    for name in ("convert", "train"):
        state.stages[name] = state.stages.get(name, StageState())
        state.stages[name].status = Status.FINISHED
    state.stages["export"] = StageState()
    state.stages["verify"] = StageState()
    write_state(layout, state)
