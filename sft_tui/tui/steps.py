"""The steps of the wizard, and on which of them each answer is given."""

from __future__ import annotations

from sft_tui.i18n import N_

STEPS: tuple[tuple[str, str], ...] = (
    ("welcome", N_("Start")),
    ("gpu", N_("GPU")),
    ("model", N_("Model")),
    ("data", N_("Data")),
    ("preview", N_("Preview")),
    ("config", N_("Settings")),
    ("review", N_("Review")),
    ("run", N_("Training")),
)
"""The steps of the wizard in their order, and what the step bar calls them."""
STEP_OF_SECTION = {
    "hardware": "gpu",
    "model": "model",
    "preset": "model",
    "data": "data",
    "train": "config",
    "export": "config",
    "on_failure": "config",
    "run": "config",
}
"""The step of the wizard on which each section of the answers is given."""


def step_of_key(key: str | None) -> str:
    """The wizard's step on which the answer `key` is given; the first one of them where it is not known."""
    return STEP_OF_SECTION.get((key or "").partition(".")[0], "gpu")
