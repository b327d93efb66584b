"""Every option of the installed LLaMA-Factory, found by a part of its name or of what it does."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.dialogs.filtered import FilteredScreen
from sft_tui.tui.look.values import show_typed
from sft_tui.tui.widgets.field import LineInput
from sft_tui.tui.widgets.list_box import ListBox, Row, aligned


class OptionsScreen(FilteredScreen):
    """Dismissed with the name of the chosen option, or with None."""

    HELP_ID = "options"

    def __init__(self, factory: Any, options: dict[str, Any]) -> None:
        super().__init__()
        self._factory = factory
        self._options = options

    def heading(self) -> str:
        """How many there are."""
        return _("All {count} options of LLaMA-Factory {version}").format(
            count=len(self._factory.options), version=self._factory.version
        )

    def compose_body(self) -> ComposeResult:
        """The search and the list."""
        yield LineInput(placeholder=_("part of a name or of what it does"), id="options-search")
        yield ListBox(self.rows(""), id="options-list")

    def first_field(self) -> Widget:
        """Typing searches."""
        return self.query_one("#options-search")

    def primary_label(self) -> str:
        """Enter takes the option to the settings."""
        return _("Change it")

    def next_text(self) -> str:
        """What the option does, and its values."""
        from sft_tui.factory.explain import summary

        current = self.query_one(ListBox).current
        option = self._factory.options.get(current.id) if current is not None else None
        if option is None:
            return _("No option has these words.")
        parts = [summary(option)]
        if option.choices:
            parts.append(_("One of: {choices}.").format(choices=", ".join(show_typed(c) for c in option.choices)))
        else:
            parts.append(_("Type: {type}.").format(type=" | ".join(option.types)))
        default = show_typed(option.default) or _("none")
        parts.append(_("Default: {value}.").format(value=default))
        return " ".join(parts)[:300]

    def rows(self, text: str) -> list[Row]:
        """The options that the words of `text` leave, each with its value."""
        from sft_tui.factory.explain import search_options, summary
        from sft_tui.plan.check_answers import OWNED

        rows = []
        for option in search_options(text, self._factory):
            if option.name in OWNED or option.name == "dataset":
                continue
            if option.name in self._options:
                note = f"= {show_typed(self._options[option.name])}  {summary(option)}"
            else:
                note = f"[{show_typed(option.default)}]  {summary(option)}"
            rows.append(Row(option.name, option.name, note))
        return aligned(rows, 34)
