"""The Textual front end: an editor of the answers document, and a window on runs. It owns no training logic."""

from __future__ import annotations

import sys
from pathlib import Path


def run_tui(
    answers: Path | None = None,
    *,
    lang: str | None = None,
    theme: str | None = None,
    mouse: bool = True,
    ascii: bool = False,
    attach: str | None = None,
    project: Path,
) -> int:
    """Show the wizard (with the answers in `answers`) or the run `attach`; returns the exit code.

    Without a terminal that can show it, one line on standard error says what to type instead, and the code is 2.
    """
    from sft_tui.tui.terminal import look_at_terminal, why_not

    if lang:
        from sft_tui.i18n import set_language

        set_language(lang)
    terminal = look_at_terminal()
    reason = why_not(terminal)
    if reason is not None:
        sys.stderr.write(f"sft-tui: {reason}\n")
        return 2
    from sft_tui.tui.opening import open_app

    return open_app(
        answers,
        lang=lang,
        theme=theme,
        mouse=mouse,
        ascii=ascii or not terminal.utf8,
        attach=attach,
        project=project.absolute(),
    )
