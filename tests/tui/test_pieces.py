"""The parts below the screens: drafts, paths, typed values, text, the terminal, help, summaries."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sft_tui.answers import Answers
from sft_tui.factory.explain import explain
from sft_tui.factory.options import snapshot
from sft_tui.plan.assess import Assessor
from sft_tui.tui.dialogs.help_for import help_for
from sft_tui.tui.dialogs.help_texts import TEXTS
from sft_tui.tui.look.amounts import amounts
from sft_tui.tui.look.highlight import highlighted
from sft_tui.tui.look.signs import UNICODE
from sft_tui.tui.look.text import clean, one_line, pad, shorten_path, wrapped
from sft_tui.tui.look.values import parse_typed, show_typed
from sft_tui.tui.terminal import Terminal, says_utf8, why_not
from sft_tui.tui.widgets.bars import key_name
from sft_tui.tui.widgets.paths import complete, entries
from sft_tui.tui.wizard.draft import Draft, draft_from_file, kept_draft
from sft_tui.tui.wizard.model_check import look_at_model
from sft_tui.tui.wizard.settings import ANSWER_DEFAULTS, GROUPS
from tests.tui.helpers import MODEL, filled


def test_a_draft_sets_gets_and_removes_by_path(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    draft.set("data.columns.input", "q")
    draft.set("train.lora_rank", 8)
    assert draft.get("data.columns.input") == "q" and draft.get("data.columns.output", "-") == "-"
    draft.set("data.columns.input", None)
    assert draft.data == {"train": {"lora_rank": 8}}
    draft.set("train.lora_rank", "")
    assert draft.data == {} and not draft.touched
    draft.set("nothing.here", None)
    assert draft.data == {}


def test_a_draft_is_kept_and_found_again(tmp_path: Path) -> None:
    draft = filled(tmp_path, train__learning_rate=1e-4)
    draft.save("config")
    again, aside = kept_draft(tmp_path)
    assert aside is None and again is not None
    assert again.step == "config" and again.data == draft.data
    again.discard()
    assert kept_draft(tmp_path) == (None, None)


def test_an_untouched_draft_is_not_kept(tmp_path: Path) -> None:
    draft = Draft(tmp_path, {"hardware": {"gpus": "none"}})
    draft.save("gpu")
    assert not draft.file.exists()


def test_an_answers_file_with_mistakes_opens_with_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("version: 1\nmodel: {path: m}\ndata: {source: s, test_size: lots}\n", encoding="utf-8")
    draft, problems = draft_from_file(tmp_path, path)
    assert draft.get("data.test_size") == "lots" and draft.opened_from == path
    assert [p.key for p in problems] == ["data.test_size"]


def test_completion_lists_wanted_entries_first(tmp_path: Path) -> None:
    (tmp_path / "adir").mkdir()
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.py").touch()
    (tmp_path / ".hidden.csv").touch()
    found = entries(tmp_path, models=False)
    assert [e.text for e in found] == ["a.csv", "adir/"]
    assert complete("a", (tmp_path,), models=False).paths == ("a.csv", "adir/")
    assert complete(".h", (tmp_path,), models=False).paths == (".hidden.csv",)
    assert complete("a.csv", (tmp_path,), models=False).exact
    assert complete("nowhere/x", (tmp_path,), models=False).all == ()


def test_tab_takes_what_all_share_then_the_first(tmp_path: Path) -> None:
    for name in ("data-1.csv", "data-2.csv"):
        (tmp_path / name).touch()
    found = complete("d", (tmp_path,), models=False)
    assert found.longer("d") == "data-"
    assert complete("data-", (tmp_path,), models=False).longer("data-") == "data-1.csv"
    assert complete("data-1.csv", (tmp_path,), models=False).longer("data-1.csv") is None


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("", None),
        ("8", 8),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("true", True),
        ("abc", "abc"),
        ("[0, 1]", [0, 1]),
        ("1_000", 1000),
    ],
)
def test_typed_text_becomes_a_value(typed: str, value: object) -> None:
    assert parse_typed(typed) == value and type(parse_typed(typed)) is type(value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_a_shown_value_reads_back(value: object) -> None:
    assert parse_typed(show_typed(value)) == value


@given(st.text(max_size=200), st.integers(1, 60))
def test_one_line_never_exceeds_its_cells(text: str, cells: int) -> None:
    line = one_line(text, cells)
    assert "\n" not in line and cell_len(line) <= max(cells, 1)
    assert not [c for c in clean(text).replace("\n", "") if ord(c) < 32]


@given(st.text(alphabet="ab 你好[/]", max_size=200), st.integers(8, 60))
def test_wrapping_loses_no_character(text: str, cells: int) -> None:
    rows = wrapped(text, cells)
    assert all(cell_len(row) <= cells for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


def test_a_path_is_cut_at_its_start() -> None:
    assert shorten_path("/a/very/long/path/file.csv", 12) == "…th/file.csv"
    assert pad("你好", 6) == "你好  "


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "zh_CN.gbk"}, False),
        ({}, False),
    ],
)
def test_utf8_is_what_the_locale_says(environ: dict[str, str], utf8: bool) -> None:
    assert says_utf8(environ) is utf8


@pytest.mark.parametrize(
    ("terminal", "said"),
    [
        (Terminal(False, "xterm", 0, 0, True), "--non-interactive"),
        (Terminal(True, "dumb", 80, 24, True), "TERM=dumb"),
        (Terminal(True, "xterm", 59, 24, True), "59x24"),
        (Terminal(True, "xterm", 80, 19, True), "at least 60x20"),
        (Terminal(True, "xterm", 60, 20, True), None),
    ],
)
def test_a_terminal_that_cannot_show_the_wizard_is_told_why(terminal: Terminal, said: str | None) -> None:
    reason = why_not(terminal)
    assert (reason is None) if said is None else (reason is not None and said in reason and "\n" not in reason)


def test_every_setting_has_a_help_text_and_is_an_option() -> None:
    factory = snapshot()
    for group in GROUPS:
        for setting in group.settings:
            if setting.key.startswith("train."):
                name = setting.key.removeprefix("train.")
                assert name in factory.options and explain(name, factory).own, setting.key
            else:
                assert setting.key in TEXTS, setting.key


def test_every_option_has_some_help() -> None:
    factory = snapshot()
    for name in factory.options:
        assert help_for(f"train.{name}", factory).paragraphs[0]


def test_the_defaults_beside_train_are_those_of_the_schema() -> None:
    answers = Answers.model_validate({"model": {"path": "m"}, "data": {"source": "s"}})
    for key, default in ANSWER_DEFAULTS.items():
        section, name = key.split(".")
        assert getattr(getattr(answers, section), name) == default, key


def test_amounts_are_counted_and_unknown_is_said(tmp_path: Path) -> None:
    draft = filled(tmp_path, train__num_train_epochs=2, train__per_device_train_batch_size=2)
    found = Assessor().assess(draft.data, draft.answers_path, 30)
    assert found.effective_batch == 16
    assert (found.length.rows, found.length.steps, found.length.exact) == (24, 4, False)
    assert "about 4 steps, about 24 training rows" in amounts(found, UNICODE)[0]
    assert "assuming 512 tokens" in amounts(found, UNICODE)[-1], "what an estimate rests on is said"


def test_an_assessment_collects_mistakes_of_all_kinds(tmp_path: Path) -> None:
    draft = filled(tmp_path, train__learning_rate="fast", data__test_size="lots")
    found = Assessor().assess(draft.data, draft.answers_path, 30)
    assert {"data.test_size"} <= {p.key for p in found.errors}
    assert found.plan is None


def test_a_model_is_a_directory_if_it_exists(tmp_path: Path) -> None:
    factory = snapshot()
    local = look_at_model(str(MODEL), tmp_path, tmp_path, factory)
    assert local.local and local.error is None and local.template == "qwen"
    hub = look_at_model("Qwen/Qwen2.5-0.5B-Instruct", tmp_path, tmp_path, factory)
    assert not hub.local and hub.error is None and hub.template == "qwen"
    assert look_at_model("qwen", tmp_path, tmp_path, factory).error is not None


def test_yaml_is_coloured_without_being_changed() -> None:
    source = "### model\nkey: [/b]  # comment [0]\n  - x: 1\n"
    assert highlighted(source, "yaml").plain == source
    assert highlighted('{\n  "a[0]": "[/b]"\n}', "json").plain == '{\n  "a[0]": "[/b]"\n}'


def test_keys_are_named_as_on_the_keyboard() -> None:
    assert [key_name(k) for k in ("escape", "f10", "ctrl+o", "slash", "s")] == ["Esc", "F10", "Ctrl+O", "/", "s"]
