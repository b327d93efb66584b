"""The sixth step: the settings of the training, with what they amount to while one types."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from sft_tui.i18n import N_, _
from sft_tui.plan.assess import Assessment, Assessor
from sft_tui.plan.need import TOO_MUCH
from sft_tui.problems import Problem, Severity
from sft_tui.tui.look.amounts import amounts
from sft_tui.tui.look.memory import main_parts
from sft_tui.tui.look.text import clean
from sft_tui.tui.look.values import show_typed
from sft_tui.tui.widgets.choice import Toggle
from sft_tui.tui.widgets.chooser import Chooser
from sft_tui.tui.widgets.fold import Fold
from sft_tui.tui.wizard.base import CostScreen
from sft_tui.tui.wizard.setting_field import SettingField
from sft_tui.tui.wizard.settings import ANSWER_CHOICES, ANSWER_DEFAULTS, GROUPS, LISTED, Group, Setting, setting_of

PAUSE_S = 0.15
LEFT = 3
"""So many groups stand in the left column of a wide terminal."""
ORIGINS = {
    "preset": N_("(preset)"),
    "machine": N_("(for this machine)"),
    "answers": N_("(changed)"),
}


class ConfigScreen(CostScreen):
    """Groups of fields; `field_key` is the setting that gets the focus."""

    STEP = "config"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "options", N_("All options")),
        Binding("f8", "next_problem", N_("Next problem")),
    ]

    def __init__(self, field_key: str | None = None) -> None:
        super().__init__()
        self._wanted = field_key
        self._assessor: Assessor | None = None
        self._timer: Timer | None = None
        self._built = False
        self._going = False
        self._peak_before: int | None = None
        self.assessment: Assessment | None = None

    @property
    def waits(self) -> bool:
        """There is no form yet, or it is being looked at once more."""
        return self._going or not self._built

    # -- the form -----------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """What it amounts to, and the groups."""
        yield Static(_("How should it be trained? The values suit this machine; Enter accepts them."), classes="title")
        yield Static("", id="amounts", classes="note", markup=False)
        yield Static("", id="problems", classes="note", markup=False)

    def on_mount(self) -> None:
        """Find out what the options are before showing them."""
        self._assess()
        self.sft.learn_lengths()

    def focus_first(self) -> None:
        """Wait for the form."""
        if self._built:
            super().focus_first()

    def first_field(self) -> Widget | None:
        """The wanted field, or the first setting."""
        fields = self._fields()
        if self._wanted is not None and self._wanted in fields:
            return self._open(fields[self._wanted])
        return next(iter(fields.values())).control if fields else None

    def _fields(self) -> dict[str, SettingField]:
        return {field.key: field for field in self.query(SettingField)}

    def _open(self, field: SettingField) -> Widget:
        for fold in field.ancestors:
            if isinstance(fold, Fold):
                fold.set_open(True)
        return field.control

    async def _build(self, found: Assessment) -> None:
        self._built = True
        folds = [self._fold(group, found) for group in GROUPS]
        more = Fold(_("More options"), *self._more(found), is_open=True, id="group-more")
        columns = Vertical(*folds[:LEFT], classes="half"), Vertical(*folds[LEFT:], more, classes="half")
        await self.query_one("#body").mount(Container(*columns, id="groups"))
        self.query_one("#group-more").display = bool(self.query("#group-more SettingField"))
        if self._wanted is not None and self._wanted.startswith("train."):
            self.add_option(self._wanted.removeprefix("train."))
        self.focus_first()

    def _fold(self, group: Group, found: Assessment) -> Fold:
        fields = [self._field(setting, found) for setting in group.settings if self._applies(setting, found)]
        note = "" if group.id == "basic" else _("{count} settings").format(count=len(fields))
        return Fold(_(group.title), *fields, is_open=group.id == "basic", note=note, id=f"group-{group.id}")

    def _more(self, found: Assessment) -> list[SettingField]:
        given = self.sft.draft.get("train", {})
        keys = [f"train.{name}" for name in (given if isinstance(given, dict) else {})]
        keys += [f"train.{name}" for name, origin in found.base_origins.items() if origin == "preset"]
        return [self._field(setting_of(key), found) for key in dict.fromkeys(keys) if key not in LISTED]

    def _applies(self, setting: Setting, found: Assessment) -> bool:
        name = setting.key.removeprefix("train.")
        return not setting.key.startswith("train.") or name in found.base or self._option(name) is not None

    def _option(self, name: str) -> Any:
        machine = self.sft.machine
        situation = self.assessment.situation if self.assessment is not None else None
        factory = situation.factory if situation is not None else machine.factory if machine is not None else None
        return factory.options.get(name) if factory is not None else None

    def _field(self, setting: Setting, found: Assessment) -> SettingField:
        key = setting.key
        if not key.startswith("train."):
            base = ANSWER_DEFAULTS.get(key)
            kind = "bool" if isinstance(base, bool) else "int" if isinstance(base, int) else "str"
            value = self.sft.draft.get(key, base)
            return SettingField(setting, value, base, kind=kind, choices=ANSWER_CHOICES.get(key), optional=False)
        name = key.removeprefix("train.")
        option = self._option(name)
        base = found.base.get(name, option.default if option is not None else None)
        value = self.sft.draft.get(key, base)
        kind = option.type if option is not None else "str"
        choices = option.choices if option is not None and kind != "bool" else None
        return SettingField(
            setting, value, base, kind=kind, choices=choices, optional=option.optional if option is not None else True
        )

    def add_option(self, name: str, *, focus: bool = True) -> None:
        """Show the option `name` (in its group, or among the further ones) and put the focus on it."""
        key = f"train.{name}"
        field = self._fields().get(key)
        if field is None and self.assessment is not None:
            field = self._field(setting_of(key), self.assessment)
            fold = self.query_one("#group-more", Fold)
            fold.display = True
            fold.query_one(".fold-content").mount(field)
            fold.set_open(True)
        if field is not None:
            control = self._open(field)
            if focus:
                self.call_after_refresh(self.set_focus, control)

    # -- what it amounts to -------------------------------------------------------------------------------------------

    @on(Input.Changed)
    @on(Chooser.Changed)
    @on(Toggle.Changed)
    def _changed(self, event: Input.Changed | Chooser.Changed | Toggle.Changed) -> None:
        if any(self._differs(field) for field in event.control.ancestors if isinstance(field, SettingField)):
            self.notice = ""
        self._stop_timer()
        self._timer = self.set_timer(PAUSE_S, self._assess)

    def _differs(self, field: SettingField) -> bool:
        """Whether the field holds something that is not in the draft yet: the user has just changed it."""
        return bool(field.value != self.sft.draft.get(field.key, field.base))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = None

    @property
    def waiting(self) -> bool:
        """Whether what is shown is not yet that of the last key."""
        return self._timer is not None or self.jobs.busy("assess")

    def _assess(self) -> None:
        self._stop_timer()
        if self._built:
            self.store()
        app, draft = self.sft, self.sft.draft
        known = app.rows
        rows = known[1] if known is not None and known[0] == draft.get("data.source") else None
        if self._assessor is None:
            self._assessor = Assessor(app.services.gpus)
        assess = partial(self._assessor.assess, deepcopy(draft.data), draft.answers_path, rows, tokens=app.mean_tokens)
        self.jobs.start("assess", lambda _job: assess(), self._has_assessed, alone=True)

    async def _has_assessed(self, found: Assessment) -> None:
        self._remember_peak(found)
        self.assessment = found
        if not self._built and found.options:
            await self._build(found)
        self._show()
        if self._going:
            self._going = False
            if found.errors:
                self._lead_to_error()
            else:
                super().primary()

    def _remember_peak(self, new: Assessment) -> None:
        """What the last change of the settings changed the memory from."""
        old, now = _peak(self.assessment), _peak(new)
        if old is None or now is None:
            self._peak_before = None
        elif old != now:
            self._peak_before = old

    @property
    def fit(self) -> str:
        """What the estimate says."""
        plan = self.assessment.plan if self.assessment is not None else None
        return plan.estimate.fit if plan is not None and plan.estimate is not None else ""

    def draft_changed(self) -> None:
        """Take the values of the draft into the fields, also where one has the focus."""
        fields, train = self._fields(), self.sft.draft.get("train", {})
        for key, field in fields.items():
            field.take(self.sft.draft.get(key))
        for name in train if isinstance(train, dict) else ():
            if f"train.{name}" not in fields:
                self.add_option(name, focus=False)
        self._assess()

    def tokens_known(self) -> None:
        """Memory and time rest on the lengths of the samples."""
        self._assess()

    def _amounts(self, found: Assessment) -> list[str]:
        lines = amounts(found, self.sft.signs, self._peak_before)
        need = found.plan.estimate if found.plan is not None else None
        if need is not None and self.has_class("-wide"):
            lines.append(_("most of the memory: {parts}").format(parts=main_parts(need)))
        if self.fit in TOO_MUCH:
            lines.append(_("F7 changes the settings so that it fits, F6 shows each change that helps."))
        return lines

    def _show(self) -> None:
        found = self.assessment
        if found is None:
            return
        self.query_one("#amounts", Static).update(Content("\n".join(self._amounts(found))))
        by_key: dict[str, Problem] = {}
        for problem in found.problems:
            if (
                problem.key
                and problem.severity is not Severity.INFO
                and (problem.key not in by_key or problem.severity is Severity.ERROR)
            ):
                by_key[problem.key] = problem
        for key, field in self._fields().items():
            name = key.removeprefix("train.")
            if key.startswith("train.") and name in found.base:
                origin = "answers" if field.own else found.base_origins.get(name, "")
                field.set_base(found.base[name], _(ORIGINS[origin]) if origin in ORIGINS else "")
            fix = by_key[key].fix if key in by_key else None
            field.suggestion = fix.value if fix is not None and fix.kind == "set" and fix.key == key else None
            field.show(*self._message(field, by_key.get(key)))
        self._list_problems(found)
        self.refresh_bindings()
        self.refresh_actions()

    def _message(self, field: SettingField, problem: Problem | None) -> tuple[str, str]:
        if problem is None:
            return "", ""
        text = f"{field.label}: {problem.message} {problem.hint or ''}".strip()
        if field.suggestion is not None:
            text += " " + _("(= takes {value})").format(value=show_typed(field.suggestion))
        elif field.own:
            text += " " + _("(Del goes back to {value})").format(value=show_typed(field.base) or _("nothing"))
        return text, "error" if problem.severity is Severity.ERROR else "warning"

    def _list_problems(self, found: Assessment) -> None:
        signs, fields = self.sft.signs, self._fields()
        lines = []
        for problem in found.problems:
            if problem.severity is Severity.INFO:
                continue
            sign = signs.problem if problem.severity is Severity.ERROR else signs.warning
            if problem.key in fields:
                label = fields[problem.key].label
                lines.append(f"{sign} {label}: {problem.message}")
            else:
                lines.append(f"{sign} {problem.message} {problem.hint or ''}".rstrip())
        box = self.query_one("#problems", Static)
        box.display = bool(lines)
        box.set_class(bool(found.errors), "error")
        box.update(Content(clean("\n".join(lines[:6]))))

    def action_next_problem(self) -> None:
        """F8: the focus goes to the next field with a problem, or to the step on which the mistake is."""
        found = self.assessment
        worth = [p for p in found.problems if p.severity is not Severity.INFO] if found is not None else []
        keys = list(dict.fromkeys(str(p.key) for p in worth if p.key in self._fields()))
        if keys:
            here = self._focused_key()
            self._focus_key(keys[(keys.index(here) + 1) % len(keys)] if here in keys else keys[0])
        elif found is not None and found.errors:
            self.sft.show_answer(found.errors[0].key)
        else:
            self.say(_("Nothing is wrong."))

    def _lead_to_error(self) -> None:
        """Enter, where there are errors: the focus is or goes to one, or the step on which it is is shown."""
        errors = self.assessment.errors if self.assessment is not None else []
        fields = self._fields()
        keys = [str(p.key) for p in errors if p.key in fields]
        if not keys:
            self.sft.show_answer(errors[0].key)
        elif self._focused_key() not in keys:
            self._focus_key(keys[0])

    def _focused_key(self) -> str:
        above = self.focused.ancestors if self.focused is not None else ()
        return next((field.key for field in above if isinstance(field, SettingField)), "")

    def _focus_key(self, key: str) -> None:
        self.call_after_refresh(self.set_focus, self._open(self._fields()[key]))

    # -- the way on ---------------------------------------------------------------------------------------------------

    def store(self) -> None:
        """Only what the user set differently goes into the answers."""
        if not self._built:
            return
        draft = self.sft.draft
        for key, field in self._fields().items():
            if field.own:
                name = key.removeprefix("train.")
                value = field.value
                if value is None and key.startswith("train."):
                    draft.data.setdefault("train", {})[name] = None
                else:
                    draft.set(key, value)
            else:
                draft.set(key, None)

    def primary(self) -> None:
        """Check everything once more, then go on; a field that still reports its change does not undo the wish."""
        self._going = True
        self._assess()

    def action_options(self) -> None:
        """F5: any option of the installed LLaMA-Factory by name."""
        self.store()
        found = self.assessment
        if found is None or found.situation is None:
            self.say(_("The options are not known yet."), "warning")
            return
        options = dict(found.options)
        self.sft.choose_option(found.situation.factory, options, self._option_chosen)

    def _option_chosen(self, name: str | None) -> None:
        if name is not None:
            self.add_option(name)

    def primary_label(self) -> str:
        """Enter leads to the first problem where there is one."""
        return _("Put it right") if self.assessment is not None and self.assessment.errors else _("Continue")

    def next_text(self) -> str:
        """Problems first; otherwise what comes next."""
        found = self.assessment
        if found is None:
            return _("working out the settings")
        if found.errors:
            count = len(found.errors)
            return _("{count} to put right (F8 goes there).").format(count=count)
        return self.notice or _("F5 opens any of the other options. Next: review what will be run")

    def say(self, text: str, severity: str = "") -> None:
        """Problems are shown as such."""
        if not severity and self.assessment is not None and self.assessment.errors:
            severity = "error"
        super().say(text, severity)


def _peak(found: Assessment | None) -> int | None:
    plan = found.plan if found is not None else None
    return plan.estimate.peak_bytes if plan is not None and plan.estimate is not None else None
