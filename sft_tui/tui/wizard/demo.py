"""The demo that ships with sft-tui, as the beginning of a wizard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sft_tui.project.places import shipped
from sft_tui.tui.wizard.draft import Draft


def demo_draft(project: Path) -> Draft:
    """The demo's answers, with its model and its examples named by absolute paths."""
    from sft_tui.yaml_io import read_document

    directory = shipped("data", "demo")
    data: dict[str, Any] = dict(read_document(directory / "answers.yaml").data)
    data.pop("version", None)
    data.pop("run", None)
    draft = Draft(project, data=data, answers_path=project / "answers.yaml")
    for key in ("model.path", "data.source"):
        named = draft.get(key)
        if isinstance(named, str) and (directory / named).exists():
            draft.set(key, str(directory / named))
    return draft
