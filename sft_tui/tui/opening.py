"""From the command line to the first screen, and from the last one back to the shell."""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from pathlib import Path

from sft_tui.i18n import _
from sft_tui.problems import nearest
from sft_tui.project.layout import RunLayout, runs_of
from sft_tui.text import clean
from sft_tui.tui.app import SftApp
from sft_tui.tui.look.signs import ASCII, UNICODE
from sft_tui.tui.wizard.draft import draft_from_file


def open_app(
    answers: Path | None,
    *,
    lang: str | None,
    theme: str | None,
    mouse: bool,
    ascii: bool,
    attach: str | None,
    project: Path,
) -> int:
    """Run the app until the user leaves; prints where to find what goes on, and returns the exit code."""
    draft, start = None, None
    if attach is not None:
        layout = RunLayout(project, attach)
        if not layout.state.is_file():
            return _complain(_no_such_run(project, attach))
        start = partial(_open_run, layout=layout)
    elif answers is not None:
        draft, problems = draft_from_file(project, answers)
        if not draft.data and problems:
            return _complain("\n".join(str(problem) for problem in problems))
    app = SftApp(project, draft=draft, language=lang, signs=ASCII if ascii else UNICODE, start=start)
    if theme is not None:
        if theme not in app.available_themes:
            return _complain(_no_such_theme(theme, list(app.available_themes)))
        app.theme = theme
    code = app.run(mouse=mouse)
    with contextlib.suppress(OSError):  # of a terminal that went away
        for line in app.farewell:
            sys.stderr.write(clean(line) + "\n")
    return int(app.return_code or code or 0)


def _complain(text: str) -> int:
    sys.stderr.write(f"sft-tui: {clean(text)}\n")
    return 2


def _open_run(app: SftApp, layout: RunLayout) -> None:
    from sft_tui.project.state import Status, read_state

    state = read_state(layout)
    done = state is not None and state.status is Status.FINISHED
    app.push_screen(app.make("result" if done else "run", layout))


def _no_such_run(project: Path, name: str) -> str:
    names = [layout.name for layout in runs_of(project)]
    close = nearest(name, names, 1)
    message = _("There is no run {name} in {project}.").format(name=name, project=project)
    if close:
        return f"{message} " + _("Did you mean {name}?").format(name=close[0])
    return f"{message} " + (
        _("Runs: {names}").format(names=", ".join(names[:5])) if names else _("There are none yet.")
    )


def _no_such_theme(theme: str, known: list[str]) -> str:
    close = nearest(theme, known, 1)
    hint = (
        _("Did you mean {name}?").format(name=close[0]) if close else _("Known: {names}").format(names=", ".join(known))
    )
    return _("There is no theme {theme}.").format(theme=theme) + f" {hint}"
