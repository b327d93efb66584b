"""The pages of the review: what speaks against the run, what it does, its files, its commands, its changes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from sft_tui.i18n import _
from sft_tui.plan.gpu_headroom import waiting_helps
from sft_tui.problems import Problem, Severity
from sft_tui.tui.look.highlight import highlighted
from sft_tui.tui.look.memory import changes_text
from sft_tui.tui.look.signs import Signs
from sft_tui.tui.look.text import clean, pad, wrapped
from sft_tui.tui.widgets.tabs import Page
from sft_tui.tui.wizard.summary import differences, plan_lines

if TYPE_CHECKING:
    from sft_tui.plan.assess import Assessment
    from sft_tui.project.plan_record import Plan

MEMORY = "gpu_memory"
"""The problem of a run that seems not to fit."""
HUB = frozenset({"hub_unreachable", "hub_refuses", "model_offline"})
"""The problems of a download that seems not to work."""


def review_pages(found: Assessment, info: str, width: int, signs: Signs) -> list[Page]:
    """All pages, in `width` cells; only the summary where there is no plan. `info` is for dataset_info.json."""
    pages = [Page(_("Summary"), _summary(found, max(40, min(110, width)), signs))]
    plan = found.plan
    if plan is None:
        return pages
    for file in plan.files:
        name = Path(file.path).name
        kind = {".yaml": "yaml", ".json": "json"}.get(Path(file.path).suffix)
        if kind is not None and name != "answers.yaml":
            head = Content.styled(f"{file.path}\n\n", "bold")
            pages.append(Page(name, head + highlighted(file.content, kind, width, signs.ellipsis)))
    head = Content.styled(_("Added to data/dataset_info.json; what others have in it stays.") + "\n\n", "bold")
    pages.append(Page("dataset_info.json", head + highlighted(info, "json")))
    pages.append(Page(_("Commands"), _commands(plan, width)))
    lines = differences(found)
    same = _("Nothing is changed against the preset and the guide's values.")
    text = _("Changed against preset {name} and the guide's values:").format(name=plan.preset)
    pages.append(Page(_("Changes"), highlighted("\n".join([text, "", *lines]) if lines else same, "diff")))
    return pages


def _summary(found: Assessment, width: int, signs: Signs) -> Content:
    parts: list[Content] = []
    for what, how in plan_lines(found, signs):
        for index, line in enumerate(wrapped(how, width - 12)):
            label = pad(what, 11) if index == 0 else " " * 11
            parts.append(Content.assemble((label, "bold"), " ", line))
    return Content("\n").join([*problem_lines(found.problems, width, signs, _way_out(found)), *parts])


def problem_lines(problems: tuple[Problem, ...], width: int, signs: Signs, way_out: str = "") -> list[Content]:
    """Errors, then warnings, each with its hint; `way_out` is that of memory that seems not to suffice."""
    lines: list[Content] = []
    for problem in sorted(problems, key=lambda p: p.severity is not Severity.ERROR):
        if problem.severity is Severity.INFO:
            continue
        error = problem.severity is Severity.ERROR
        sign, style = (signs.problem, "$error bold") if error else (signs.warning, "$warning")
        for index, line in enumerate(wrapped(problem.message, width - 2)):
            lines.append(Content.styled(f"{sign if index == 0 else ' '} {line}", style))
        hint = way_out if problem.code == MEMORY and way_out else problem.hint or ""
        lines += [Content(f"  {line}") for line in wrapped(hint, width - 2) if line]
    return [*lines, Content("")] if lines else []


def _way_out(found: Assessment) -> str:
    """What can be done here about a run that seems not to fit."""
    need = found.plan.estimate if found.plan is not None else None
    parts = [_("F6 shows what makes it less, f starts it all the same.")]
    if need is not None and need.changes:
        parts.insert(0, _("F7 makes it fit ({changes}).").format(changes=changes_text(need.changes)))
    if found.plan is not None and found.situation is not None and waiting_helps(found.plan, found.situation.gpus):
        parts.append(_("If others free the card later: `Wait for a free GPU`, on the step GPU."))
    return " ".join(parts)


def _commands(plan: Plan, width: int) -> Content:
    def bold(text: str) -> Content:
        return Content.styled(clean(text), "bold")

    def command(text: str) -> list[Content]:
        return [Content(line) for line in shell_lines(clean(text), width)]

    parts = [bold(_("The same without this wizard, after Start:")), *command(plan.headless_command)]
    parts += [Content(""), bold(_("By hand, in {project}:").format(project=plan.project))]
    for stage in plan.stages:
        parts += command(stage.shown) if stage.shown else []
    parts += [Content(""), bold(_("What sft-tui itself runs:"))]
    for stage in plan.stages:
        parts += [Content(f"{stage.name}:"), *command(shlex.join(stage.argv))]
    return Content("\n").join(parts)


_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")


def shell_lines(command: str, width: int) -> list[str]:
    """`command` on lines of at most `width` cells that a shell reads as one, where no word of it is longer."""
    lines = [""]
    for word in _WORD.findall(command):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1].strip() and cell_len(longer) > width - 2:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] = longer
    return lines
