"""Options that exclude or need each other, as tables.

Each rule names the option that LLaMA-Factory's own message is about. Read from LLaMA-Factory 0.9.4 and 0.9.5, and
transformers 4.57 and 5.6; rules that need a GPU or files are elsewhere.
"""

from __future__ import annotations

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.rules import arguments, parser, trainer
from sft_tui.i18n import _

RULES = (*arguments.RULES, *trainer.RULES, *parser.RULES)
RULE_CODES = frozenset(rule.code for rule in RULES)
"""The codes of what breaks a rule: the real parser knows better where it accepts it."""


def check_relations(findings: Findings) -> None:
    """Report each rule that the options break, one problem for a key."""
    seen: set[str] = set()
    version = findings.context.factory.version
    for rule in RULES:
        if not rule.holds_in(version):
            continue
        if (findings.merge and not rule.merge) or rule.key in findings.bad or rule.key in seen:
            continue
        if rule.when(findings):
            seen.add(rule.key)
            findings.error(rule.code, rule.key, _(rule.message).format(key=rule.key), _(rule.hint), fix=rule.fix)
