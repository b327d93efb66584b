"""From the command line to the first screen, and from the last one back to the shell."""

from __future__ import annotations

import sys
from pathlib import Path

from sft_tui.i18n import _
from sft_tui.problems import nearest
from sft_tui.tui.app import SftApp
from sft_tui.tui.signs import ASCII, UNICODE

DEFAULT_THEME = "ansi-dark"


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
    app = SftApp(project, language=lang, signs=ASCII if ascii else UNICODE)
    if theme is not None:
        if theme not in app.available_themes:
            close = nearest(theme, app.available_themes, 1)
            known = ", ".join(sorted(app.available_themes))
            hint = _("Did you mean {name}?").format(name=close[0]) if close else _("Known: {names}").format(names=known)
            sys.stderr.write(_("There is no theme {theme}.").format(theme=theme) + f" {hint}\n")
            return 2
        app.theme = theme
    code = app.run(mouse=mouse)
    for line in app.farewell:
        sys.stderr.write(line + "\n")
    return int(code or 0)
