"""The Chinese catalogue: complete, with the fields of the English texts, compiled, and short where room is short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len

from sft_tui.i18n import LANGUAGES, current_language, set_language
from sft_tui.locale.__main__ import MO, as_mo, broken, missing, translated, updated
from sft_tui.tui.steps import STEPS
from sft_tui.tui.wizard.settings import GROUPS


def test_every_text_is_translated() -> None:
    assert missing(updated()) == []


def test_translations_have_the_fields_of_the_texts() -> None:
    assert broken(updated()) == []


def test_translations_can_be_formatted_like_the_texts() -> None:
    for message in translated():
        if message.id and "{" in str(message.id):
            for text in (str(message.id), str(message.string)):
                assert text.count("{") == text.count("}"), text


def test_the_compiled_catalogue_is_that_of_the_text() -> None:
    assert MO.read_bytes() == as_mo(translated())


def test_translations_are_chinese_and_keep_commands_as_they_are() -> None:
    commands = "attach|resume|runs|doctor|stop|preview|explain|convert|report|estimate|COMMAND"
    plain = re.compile(rf"`[a-z_.:][^`{{}}\s]*`|sft-tui (?:--[a-z-]+|(?:{commands})\b)")
    for message in translated():
        source, target = str(message.id), str(message.string)
        for word in plain.findall(source) if target else ():
            assert word.replace("COMMAND", "命令") in target, target


def test_steps_and_labels_fit_their_places() -> None:
    before = current_language()
    try:
        for language in LANGUAGES:
            set_language(language)
            from sft_tui.i18n import _

            bar = " sft-tui  " + " ".join(f"x {_(label)}" for _name, label in STEPS)
            assert cell_len(bar) <= 80, bar
            for group in GROUPS:
                for setting in group.settings:
                    assert cell_len(_(setting.label)) <= 22, setting
    finally:
        set_language(before)


def test_the_command_checks_without_writing(tmp_path: Path) -> None:
    before = MO.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "sft_tui.locale", "--check"], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert MO.read_bytes() == before
