"""From the fix that a diagnosis names to the change of options that it means for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

_ONLY_SMALLER = (
    "cutoff_len",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "preprocessing_num_workers",
)
"""Options that a fix makes smaller: what is written for large values must not enlarge a small one."""
_SHORT = 128
"""A cutoff length below this was hardly meant, so that a fix may enlarge it."""


def changes_of(fix: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options to set (None: to remove) so that `fix` is applied to a run with `options`; empty: it changes nothing.

    A smaller batch on each card comes with as many more accumulation steps, so that the effective batch size stays.
    """
    key, kind = fix.get("key"), fix.get("kind")
    if not isinstance(key, str) or kind not in ("set", "unset"):
        return {}
    if kind == "unset":
        return {key: None} if options.get(key) is not None else {}
    value, now = fix.get("value"), options.get(key)
    if value is None or value == now:
        return {}
    if not (_is_number(value) and _is_number(now)):
        return {key: value}
    if key == "cutoff_len" and value >= now >= _SHORT:
        return {key: now // 2}
    if key in _ONLY_SMALLER and key != "cutoff_len" and value >= now:
        return {}
    changes = {key: value}
    accumulated = options.get("gradient_accumulation_steps", 1)
    if key == "per_device_train_batch_size" and _is_number(accumulated) and value > 0 and now % value == 0:
        changes["gradient_accumulation_steps"] = accumulated * now // value
    return changes


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
