"""The command palette: what can be done from anywhere, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sft_tui.i18n import _
from sft_tui.tui.steps import STEPS
from sft_tui.tui.widgets.bars import key_name
from sft_tui.tui.widgets.choice import Item

if TYPE_CHECKING:
    from sft_tui.tui.app import SftApp


def commands(app: SftApp) -> list[Item]:
    """All commands, those of the present screen first."""
    here = [each for each in app.screen.active_bindings.values() if each.node is not app and each.enabled]
    items = [
        Item(f"key:{each.binding.key}", _(each.binding.description), key_name(each.binding.key))
        for each in here
        if each.binding.show and each.binding.action != "back"
    ]
    items += [Item(f"step:{name}", _("Go to: {step}").format(step=_(label))) for name, label in STEPS if name != "run"]
    items += [
        Item("runs", _("Runs of this project"), "F3"),
        Item("language", _("中文"), "F2"),
        Item("report", _("Save a report for an issue"), "Ctrl+O"),
        Item("new", _("Start a new setup; the present one is forgotten")),
        Item("leave", _("Quit"), "F10"),
    ]
    themes = sorted(app.available_themes, key=lambda name: (not name.startswith("ansi"), name))
    return items + [Item(f"theme:{name}", _("Theme: {name}").format(name=name)) for name in themes]


def run_command(app: SftApp, command: str) -> None:
    """Do what was chosen."""
    kind, _colon, argument = command.partition(":")
    if kind == "step":
        app.show_step(argument)
    elif kind == "key":
        app.simulate_key(argument)
    elif kind == "theme":
        app.theme = argument
    elif kind == "new":
        app.draft.discard()
        app.new_draft()
        app.kept = None
        app.show_wizard("welcome")
    elif kind == "runs":
        app.action_runs()
    elif kind == "language":
        app.action_language()
    elif kind == "report":
        app.action_report()
    elif kind == "leave":
        app.action_leave()
