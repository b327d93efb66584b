"""What an adapter's own adapter_config.json decides when the adapter is trained further, in LLaMA-Factory's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sft_tui.i18n import _
from sft_tui.yaml_io import scalar

_OPTIONS = {
    "lora_rank": "r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "use_dora": "use_dora",
    "use_rslora": "use_rslora",
}
"""Options of a new adapter, and the keys of adapter_config.json that hold them."""


def adapter_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options whose values an adapter brings; LLaMA-Factory passes over what a config says of them beside it."""
    found = {option: config[key] for option, key in _OPTIONS.items() if config.get(key) not in (None, False)}
    targets = config.get("target_modules")
    if isinstance(targets, list) and targets:
        found["lora_target"] = ",".join(sorted(map(str, targets)))
    return found


def passed_over(given: Mapping[str, Any], config: Mapping[str, Any], name: str) -> dict[str, str]:
    """Of the options `given` beside the adapter `name` that is trained further those without a say, in a sentence."""
    own = {"use_dora": False, "use_rslora": False, **adapter_options(config)}
    text = _("`{key}: {value}` has no effect: the adapter {path} that is trained further has {own}.")
    return {
        key: text.format(key=key, value=scalar(given[key]), path=name, own=scalar(own[key]))
        for key in own
        if key in given and not _same(key, given[key], own[key])
    }


def _same(key: str, given: Any, own: Any) -> bool:
    if key != "lora_target" or not isinstance(given, str | list):
        return bool(given == own)
    names = {name.strip() for name in given.split(",")} if isinstance(given, str) else set(map(str, given))
    return "all" in names or names == set(own.split(","))
