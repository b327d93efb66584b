"""One rule between options, and what several rules ask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sft_tui.factory.check.context import Findings, Test
from sft_tui.factory.check.deepspeed import zero_stage
from sft_tui.factory.options import release


@dataclass(frozen=True, slots=True)
class Rule:
    """`when` it holds, the option `key` is wrong. `fix` is as in `Findings`; `merge` rules hold in a merge too.

    The rule is one of LLaMA-Factory from version `since` on, and before version `until`, as far as they are given.
    """

    key: str
    when: Test
    message: str
    hint: str
    fix: tuple[Any, ...] | None = None
    merge: bool = False
    code: str = "conflict"
    since: str | None = None
    until: str | None = None

    @property
    def id(self) -> str:
        """Its name: the option, and the first words of what it says."""
        words = re.findall(r"\w+", self.message.replace("{key}", "").replace(f"`{self.key}`", ""))
        return ".".join([self.key, "-".join(words[:6]).lower()])

    def holds_in(self, version: str) -> bool:
        """Whether this version of LLaMA-Factory has the rule; one without a number is taken for the newest."""
        there = release(version)
        late = self.since is not None and bool(there) and there < release(self.since)
        return not late and (self.until is None or (bool(there) and there < release(self.until)))


def zero3(f: Findings) -> bool:
    """Whether the DeepSpeed configuration asks for ZeRO-3."""
    return zero_stage(f) == 3


def stage_of(f: Findings) -> str:
    """The training stage."""
    return str(f.get("stage"))


def method_of(f: Findings) -> str:
    """The fine-tuning method."""
    return str(f.get("finetuning_type"))


def evaluates(f: Findings) -> bool:
    """Whether anything is evaluated."""
    return f.on("do_eval") or f.get("eval_strategy") not in ("no", None)


def has_eval_set(f: Findings) -> bool:
    """Whether there is something to evaluate on."""
    return f.given("eval_dataset") or f.number("val_size") >= 1e-6
