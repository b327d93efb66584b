"""Answers + what is there -> Plan: everything that a run will do, decided before anything is done. Pure."""

from sft_tui.plan.make import make_plan
from sft_tui.plan.options import OptionOrigins, train_options
from sft_tui.project.plan_record import (
    STAGES,
    Plan,
    PlannedEstimate,
    PlannedFile,
    PlannedStage,
    plan_from_json,
)

__all__ = [
    "STAGES",
    "OptionOrigins",
    "Plan",
    "PlannedEstimate",
    "PlannedFile",
    "PlannedStage",
    "make_plan",
    "plan_from_json",
    "train_options",
]
