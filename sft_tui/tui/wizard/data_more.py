"""What few users change about their examples, folded: which rows, the seed, strictness, the dataset's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.i18n import _
from sft_tui.tui.look.values import parse_typed, show_typed
from sft_tui.tui.widgets.choice import Item, Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.field import Field, LineInput
from sft_tui.tui.widgets.fold import Fold
from sft_tui.tui.wizard.draft import Draft

DEFAULT_SEED = 42
TYPED = ("seed", "name")
"""The answers that are typed here, and can be wrong."""


class DataMore(Fold):
    """Fields of `data` beyond the usual; open where one of them is set."""

    def __init__(self, draft: Draft) -> None:
        given = draft.get("data", {})
        self._sample = Chooser(
            [Item("first", _("the first ones")), Item("random", _("a random sample"))],
            str(draft.get("data.sample", "first")),
            title=_("Which rows"),
            id="data-sample",
        )
        self._seed = LineInput(show_typed(draft.get("data.seed", DEFAULT_SEED)), id="data-seed")
        self._seed.add_class("number")
        self._strict = Toggle(bool(draft.get("data.strict")), id="data-strict")
        self._named = LineInput(
            show_typed(draft.get("data.name")), placeholder=_("made from the file's name"), id="data-name"
        )
        fields = (
            Field(_("Which rows"), self._sample, key="data.sample", note=_("if not all are used")),
            Field(_("Seed"), self._seed, key="data.seed", note=_("of sample and split"), id="field-seed"),
            Field(_("Refuse bad rows"), self._strict, key="data.strict", note=_("instead of dropping them")),
            Field(_("Name of the dataset"), self._named, key="data.name", id="field-name"),
        )
        super().__init__(
            _("More about the rows"),
            *fields,
            is_open=_is_set(given),
            note=_("{count} settings").format(count=len(fields)),
            id="data-more",
        )

    def store(self, draft: Draft) -> None:
        """Only what differs from the defaults goes into the answers."""
        seed = parse_typed(self._seed.value)
        draft.set("data.sample", self._sample.value if self._sample.value != "first" else None)
        draft.set("data.seed", seed if seed != DEFAULT_SEED else None)
        draft.set("data.strict", self._strict.value or None)
        draft.set("data.name", self._named.value.strip())


def _is_set(given: Any) -> bool:
    return isinstance(given, Mapping) and any(given.get(key) for key in ("sample", "seed", "strict", "name"))
