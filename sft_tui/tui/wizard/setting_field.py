"""A field for one setting: its control follows from the option's type, its note says where the value came from."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widget import Widget

from sft_tui.i18n import _
from sft_tui.tui.look.values import parse_typed, show_typed
from sft_tui.tui.widgets.choice import Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.wizard.settings import Setting

NOTHING = "\0"


class SettingField(Field):
    """Knows the value that holds where the user sets none (`base`), and tells whether the user has set another."""

    def __init__(
        self, setting: Setting, value: Any, base: Any, *, kind: str, choices: tuple[Any, ...] | None, optional: bool
    ) -> None:
        self.setting = setting
        self.base = base
        self._choices = choices
        self._text = kind == "str" and not setting.key.startswith("train.")  # a name is one, also where it is 2024
        super().__init__(
            _(setting.label) if setting.label else setting.key,
            self._make(value, base, kind, choices, optional),
            key=setting.key,
            note=_(setting.note) if setting.note else "",
        )

    def _make(self, value: Any, base: Any, kind: str, choices: tuple[Any, ...] | None, optional: bool) -> Widget:
        if choices is not None:
            values = list(choices)
            if (optional or base is None) and None not in values:
                values.insert(0, None)
            if value not in values:
                values.append(value)
            items = [Item(show_typed(v) if v is not None else NOTHING, show_typed(v) or _("(none)")) for v in values]
            chosen = NOTHING if value is None else show_typed(value)
            return Chooser(items, chosen, title=_(self.setting.label) or self.setting.key)
        if kind == "bool" and isinstance(value, bool | None):
            return Toggle(bool(value))
        shown = "" if value is None else show_typed(value)
        control = LineInput(shown, placeholder=show_typed(base), replace=kind in ("int", "float"))
        if kind in ("int", "float"):
            control.add_class("number")
        return control

    @property
    def value(self) -> Any:
        """What the control holds; None where an input is empty."""
        control = self.control
        if isinstance(control, Toggle):
            return control.value
        if isinstance(control, Chooser):
            if control.value == NOTHING:
                return None
            return next((c for c in self._choices or () if show_typed(c) == control.value), control.value)
        assert isinstance(control, LineInput)
        return control.value.strip() or None if self._text else parse_typed(control.value)

    @property
    def own(self) -> bool:
        """Whether the user wants something else than `base`."""
        value = self.value
        if value is None and isinstance(self.control, LineInput):
            return False
        if isinstance(value, bool) and self.base is None:
            return value
        return bool(value != self.base or (type(value) is bool and type(self.base) is not bool))

    def set_base(self, base: Any, origin: str) -> None:
        """Another value holds now where the user sets none; the control follows if the user has set none."""
        was_own = self.own
        self.base = base
        control = self.control
        if isinstance(control, LineInput):
            control.placeholder = show_typed(base)
        if not was_own:
            self._put(base)
        note = _(self.setting.note) if self.setting.note else ""
        self.set_note("  ".join(part for part in (note, origin) if part))

    def take(self, value: Any) -> None:
        """Hold `value` from now on (None: what holds where the user sets none), as if the user had entered it."""
        self._put(self.base if value is None else value, always=True)

    def take_suggestion(self) -> bool:
        """`=`: hold what the problem at the field suggests; whether it suggests anything."""
        if self.suggestion is None:
            return False
        self._enter(self.suggestion)
        return True

    def restore(self) -> bool:
        """Del: hold the preset's value again; whether another was held."""
        changed = self.own
        if changed:
            self._enter(None)
        return changed

    def _enter(self, value: Any) -> None:
        """Hold `value` and say so; a line of text says it by itself."""
        self.take(value)
        if isinstance(self.control, Chooser | Toggle):
            self.control.call_later(self.control.say_changed)  # by itself: what its parent sends goes no further

    def on_key(self, event: events.Key) -> None:
        """The same keys where the control is no line of text."""
        if isinstance(self.control, LineInput):
            return
        if (event.key == "equals_sign" and self.take_suggestion()) or (event.key == "delete" and self.restore()):
            event.stop()

    def _put(self, value: Any, *, always: bool = False) -> None:
        control = self.control
        if isinstance(control, Toggle):
            if control.value != bool(value):
                control.value = bool(value)
                control.refresh()
        elif isinstance(control, Chooser):
            control.value = NOTHING if value is None else show_typed(value)
        elif isinstance(control, LineInput) and (always or not control.has_focus):
            text = "" if value is None else show_typed(value)
            if control.value != text:
                control.value = text
