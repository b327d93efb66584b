"""`runs/peaks.jsonl`: what the finished trainings of a project really needed, to be shown beside the next estimate."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft_tui.factory.deepspeed import zero_name
from sft_tui.i18n import _
from sft_tui.project.files import open_append
from sft_tui.units import GIB
from sft_tui.yaml_io import scalar

if TYPE_CHECKING:
    from sft_tui.project.plan_record import Plan

MATTERING = (
    "finetuning_type", "quantization_bit", "per_device_train_batch_size", "cutoff_len", "enable_liger_kernel",
    "disable_gradient_checkpointing", "flash_attn", "lora_rank", "lora_target", "use_dora", "optim", "packing",
    "neat_packing", "deepspeed", "freeze_trainable_layers", "bf16", "fp16", "pure_bf16",
)  # fmt: skip
"""Options that decide a training's memory, those that matter most first."""
_LARGEST_FILE = 8 << 20


@dataclass(frozen=True, slots=True)
class Peak:
    """What one training needed on each card, in bytes: `measured_bytes` by NVML less what others held there,
    `reserved_bytes` by PyTorch (without CUDA's context). `estimate_bytes` is what NVML was expected to show in the end.
    `options` are those of `MATTERING`, `longest` no sample exceeded in tokens, `time` is epoch seconds.
    """

    run: str
    model: str
    measured_bytes: int
    estimate_bytes: int | None = None
    reserved_bytes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    gpus: int = 1
    card: str = ""
    time: float = 0.0
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class PeakFound:
    """The earlier training that comes nearest to a new one, and the options in which they differ: (then, now)."""

    peak: Peak
    differs: dict[str, tuple[Any, Any]]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self.peak) | {"differs": {key: list(values) for key, values in self.differs.items()}}


def mattering(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that decide the memory and are set; a file of a plan is called by its content's name."""
    found = {key: options[key] for key in MATTERING if options.get(key) not in (None, False)}
    if "deepspeed" in found:
        found["deepspeed"] = zero_name(found["deepspeed"]) or found["deepspeed"]
    return found


def peaks_file(project: Path) -> Path:
    """Where the peaks of `project` are kept."""
    return project / "runs" / "peaks.jsonl"


def append_peak(project: Path, peak: Peak) -> None:
    """Keep `peak`. Raises `OSError`."""
    import orjson

    with open_append(peaks_file(project)) as stream:
        stream.write(orjson.dumps(asdict(peak)) + b"\n")


def read_peaks(project: Path) -> tuple[Peak, ...]:
    """The peaks of `project`, the oldest first; lines that cannot be read are passed over."""
    import orjson

    found: list[Peak] = []
    path = peaks_file(project)
    try:
        lines = path.read_bytes().splitlines() if path.stat().st_size <= _LARGEST_FILE else []
    except OSError:
        return ()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            row = orjson.loads(line)
            peak = Peak(**{key: value for key, value in row.items() if key in Peak.__slots__})
            if isinstance(peak.measured_bytes, int) and isinstance(peak.options, dict) and isinstance(peak.model, str):
                found.append(peak)
    return tuple(found)


def find_peak(peaks: Iterable[Peak], model: str, options: Mapping[str, Any], gpus: int = 1) -> PeakFound | None:
    """The training of `model` on as many cards whose options are nearest to `options`; among equals the newest. Pure.

    What matters more counts more: `MATTERING` is in that order.
    """
    now = mattering(options)
    best: tuple[tuple[int, ...], PeakFound] | None = None
    for peak in peaks:
        if peak.model.casefold() != model.casefold() or peak.gpus != max(gpus, 1):
            continue
        differs = {
            key: (peak.options.get(key), now.get(key)) for key in MATTERING if peak.options.get(key) != now.get(key)
        }
        rank = tuple(int(key in differs) for key in MATTERING)
        if best is None or rank <= best[0]:
            best = (rank, PeakFound(peak, differs))
    return best[1] if best else None


def peak_text(found: PeakFound) -> str:
    """What the earlier training needed, in a sentence."""
    peak = found.peak
    text = _("the run {run} of this model needed {measured} GiB").format(
        run=peak.run, measured=f"{peak.measured_bytes / GIB:.1f}"
    )
    if peak.estimate_bytes:
        text += " " + _("({estimated} GiB were estimated)").format(estimated=f"{peak.estimate_bytes / GIB:.1f}")
    if found.differs:
        text += ", " + _("with other settings: {settings}").format(
            settings=", ".join(f"{key}: {_shown(then)}" for key, (then, _now) in found.differs.items())
        )
    return text


def _shown(value: Any) -> str:
    return "-" if value is None else scalar(value)


def peak_of_run(plan: Plan, metrics: Mapping[str, float], card: str) -> Peak | None:
    """The row of a finished training of `plan` with the figures `metrics` of its state, on cards called `card`.

    None where nothing was measured.
    """
    measured, reserved = metrics.get("gpu_peak_bytes"), metrics.get("vram_reserved_gib")
    if not measured or not plan.gpus:
        return None
    return Peak(
        run=plan.run,
        model=plan.model,
        measured_bytes=int(measured),
        estimate_bytes=expected_in_the_end(plan),
        reserved_bytes=int(reserved * GIB) if reserved else None,
        options=mattering(plan.train_options),
        gpus=len(plan.gpus),
        card=card,
        time=time.time(),
        longest=plan.estimate.longest if plan.estimate else None,
    )


def main(project: str, run: str, card: str) -> int:
    """Keep what the finished training of a run needed on cards called `card`; a process of its own, see `__init__`."""
    from sft_tui.project.files import read_json
    from sft_tui.project.layout import RunLayout
    from sft_tui.project.plan_record import plan_from_json

    layout = RunLayout(Path(project), run)
    peak = peak_of_run(plan_from_json(read_json(layout.plan)), read_json(layout.state)["metrics"], card)
    if peak is not None:
        append_peak(layout.project, peak)
    return 0


def expected_in_the_end(plan: Plan) -> int | None:
    """What NVML should show after a training of `plan`: PyTorch keeps the blocks of shorter batches too.

    None where the model is not known.
    """
    from sft_tui.memory import estimate, find_config
    from sft_tui.plan.data_lengths import lengths_of_plan
    from sft_tui.plan.options import with_contents
    from sft_tui.problems import Refusal

    here = Path(plan.project) / plan.model
    try:
        lengths = lengths_of_plan(plan) if plan.estimate and plan.estimate.longest else None
        config = find_config(str(here) if here.is_dir() else plan.model)
        options = with_contents(plan.train_options, (Path(plan.project),), plan.run)
        need = estimate(config, options, gpus=len(plan.gpus), lengths=lengths.known if lengths else None)
    except (Refusal, OSError):
        return None
    return need.held_bytes or need.peak_bytes


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
