"""What `preset: auto` means for one model on one card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sft_tui.memory.suggestions import fit_options
from sft_tui.presets import Preset, choose_preset

_QUANTIZATION = ("quantization_bit", "quantization_method", "double_quantization")


@dataclass(frozen=True, slots=True)
class AutoChoice:
    """What `auto` chose: the preset, its options as they fit this model, and what was changed in them, in words.

    `fits` is None where the model or the card is unknown.
    """

    preset: Preset
    options: dict[str, Any]
    changed: tuple[str, ...] = ()
    fits: bool | None = None


def choose_for_model(
    memory_bytes: int | None,
    config: Mapping[str, Any] | None,
    common: Mapping[str, Any],
    *,
    packages: Collection[str] = (),
    lengths: tuple[int, ...] | None = None,
    gpus: int = 1,
) -> AutoChoice:
    """`auto` for one model: the preset of the card, changed where this model would not fit it.

    `common` are the options that the preset's are laid over (they count for the memory), `lengths` the samples' lengths
    in tokens where known, `packages` what the training environment has (none: nobody looked).
    """
    preset = choose_preset(memory_bytes)
    options = preset.options_with(packages)
    if packages and "bitsandbytes" not in packages:  # what cannot be quantized there is not
        options = {key: value for key, value in options.items() if key not in _QUANTIZATION}
    if memory_bytes is None or config is None or preset.card_gib is None:
        return AutoChoice(preset, options)
    fitted = fit_options(config, {**common, **options}, memory_bytes, gpus=gpus, packages=packages, lengths=lengths)
    return AutoChoice(preset, options | fitted.changes, fitted.texts, fitted.fits)
