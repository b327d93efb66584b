"""What stands where in a model's config.json."""

from __future__ import annotations

from typing import Any


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """The language model's part of a config (the config itself unless it is a multimodal one)."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config
