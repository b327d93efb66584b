"""Answers + what is there -> Plan: everything that a run will do, decided before anything is done. Pure."""

from sft_tui.plan.make import answers_hash, make_plan
from sft_tui.plan.model import (
    STAGES,
    Plan,
    PlannedEstimate,
    PlannedFile,
    PlannedStage,
    plan_from_json,
)
from sft_tui.plan.options import OptionOrigins, train_options

__all__ = [
    "STAGES",
    "OptionOrigins",
    "Plan",
    "PlannedEstimate",
    "PlannedFile",
    "PlannedStage",
    "answers_hash",
    "make_plan",
    "plan_from_json",
    "train_options",
]
