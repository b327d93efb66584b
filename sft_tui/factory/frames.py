"""The fixed texts of a template around the contents, without asking the training environment."""

from __future__ import annotations

import re
from typing import Any

from sft_tui.factory.options import Template

_PLACE = "\ue000"
"""Stands for the content, as in the answer of the render script."""
_TOKEN = re.compile(r"\{\{(bos_token|eos_token|<[^{}]*>)\}\}")
_THOUGHT_TOKENS = 20
"""An empty thought has 19 bytes: four tokens for the models that know its marks, more for others."""


def frame_of(template: Template) -> dict[str, Any]:
    """What `dataset.statistics` wants as `frame`, from what is known of `template`.

    As the render script's answer, but the tokens that LLaMA-Factory adds to a tokenizer are not known, and tool results
    are taken to be framed like questions: counts may be a few tokens too high for each turn.
    """
    return {
        "prefix": _slots(template.prefix),
        "system": _slots(template.system),
        "user": _slots(template.user),
        "assistant": _slots(template.assistant),
        "observation": _slots(template.user),
        "default_system": template.default_system,
        "efficient_eos": template.efficient_eos,
        "thought": _THOUGHT_TOKENS if template.reasoning else 0,
    }


def _slots(slots: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for slot in slots:
        if _TOKEN.fullmatch(slot):
            found.append({"id": 0})
        elif slot:
            found.append({"text": slot.replace("{{content}}", _PLACE).replace("{{idx}}", "0")})
    return found
