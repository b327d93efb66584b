"""Everything known of one LLaMA-Factory version: its options, templates and models; from a probe or a snapshot."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

SNAPSHOTS = Path(__file__).parent / "snapshots"
TESTED_VERSION = "0.9.5"
OLDEST_VERSION = "0.9.4"
"""From here on it works; the options and the parser of this version and of the tested one are known exactly."""
TESTED_VERSIONS = (OLDEST_VERSION, TESTED_VERSION)
GROUPS = ("model", "data", "training", "finetuning", "generating")
MERGE_GROUPS = ("model", "data", "finetuning", "generating")
"""The option groups that `llamafactory-cli export` reads; a merge config must not hold others."""


def release(version: str) -> tuple[int, ...]:
    """The numbers that `version` begins with, for comparing: `0.9.6.dev0` gives (0, 9, 6)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match.group().split("."))) if match else ()


@dataclass(frozen=True, slots=True)
class Option:
    """One option of LLaMA-Factory.

    `types` are the plain types that its annotation allows (of bool, int, float, str, list, dict), `optional` whether
    null is one of them. `choices` is the closed set of values, `minimum` and `maximum` the range that makes sense;
    with `above_minimum` the minimum itself is outside.
    """

    name: str
    group: str
    types: tuple[str, ...]
    optional: bool
    default: Any
    choices: tuple[Any, ...] | None
    help: str
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False

    @property
    def type(self) -> str:
        """The type that a form should ask for: the first of `types`."""
        return self.types[0]

    @property
    def in_merge(self) -> bool:
        """Whether a merge config may hold it."""
        return self.group in MERGE_GROUPS


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template. Its `user`, `assistant`, `system` and `prefix` have `{{content}}` where the turn goes."""

    name: str
    stop_words: tuple[str, ...] = ()
    default_system: str = ""
    reasoning: bool = False
    efficient_eos: bool = False
    replace_eos: bool = False
    media: bool = False
    kind: str = "Template"
    prefix: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    assistant: tuple[str, ...] = ()
    thought_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that LLaMA-Factory lists: its ids on Hugging Face, ModelScope, Modelers; its template ("" if none)."""

    name: str
    huggingface: str | None
    modelscope: str | None
    openmind: str | None
    template: str
    media: bool

    @property
    def ids(self) -> tuple[str, ...]:
        """The hub ids that it has."""
        return tuple(i for i in (self.huggingface, self.modelscope, self.openmind) if i)


@dataclass(frozen=True, slots=True)
class Architectures:
    """`model_type`s that the installed transformers knows, and those with a class that LLaMA-Factory trains."""

    known: frozenset[str] = frozenset()
    causal: frozenset[str] = frozenset()
    image_text: frozenset[str] = frozenset()
    seq2seq: frozenset[str] = frozenset()
    waveform: frozenset[str] = frozenset()

    @property
    def trainable(self) -> frozenset[str]:
        """Those that `AutoModelFor...` of LLaMA-Factory's loader accepts."""
        return self.causal | self.image_text | self.seq2seq | self.waveform


@dataclass(frozen=True, slots=True)
class Factory:
    """All that is known of one LLaMA-Factory. `source` is "probe" (an installed one was asked) or "snapshot" (shipped).

    `versions` are the distributions installed there; with `versions_known` False they are those of the machine on
    which the snapshot was taken. `requirements` are the version ranges of its own start-up check.
    """

    version: str
    source: str
    options: dict[str, Option] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    models: dict[str, KnownModel] = field(default_factory=dict)
    architectures: Architectures = field(default_factory=Architectures)
    versions: dict[str, str] = field(default_factory=dict)
    requirements: dict[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    file_types: dict[str, str] = field(default_factory=dict)
    versions_known: bool = False
    tool_formats: tuple[str, ...] = ()

    def has(self, distribution: str) -> bool | None:
        """Whether `distribution` is installed there; None where nobody looked."""
        return distribution in self.versions if self.versions_known else None

    def model_by_id(self, path_or_id: str) -> KnownModel | None:
        """The known model with this name or hub id; a hub id's last part counts, as local copies are named by it."""
        wanted = path_or_id.strip().rstrip("/").lower()
        last_part: KnownModel | None = None
        for model in self.models.values():
            ids = [i.lower() for i in model.ids]
            if wanted == model.name.lower() or wanted in ids:
                return model
            if last_part is None and any(i.rpartition("/")[2] == wanted for i in ids):
                last_part = model
        return last_part


# Ranges that make sense, from the code that reads the option; the dataclasses state none.
# name: (minimum, maximum, whether the minimum itself is outside)
_RANGES: dict[str, tuple[float | None, float | None, bool]] = {
    "lora_rank": (1, None, False),
    "lora_alpha": (1, None, False),
    "lora_dropout": (0, 1, False),
    "module_dropout": (0, 1, False),
    "oft_rank": (0, None, False),
    "oft_block_size": (0, None, False),
    "cutoff_len": (1, None, False),
    "max_samples": (1, None, False),
    "preprocessing_num_workers": (1, None, False),
    "preprocessing_batch_size": (1, None, False),
    "buffer_size": (1, None, False),
    "val_size": (0, None, False),
    "per_device_train_batch_size": (1, None, False),
    "per_device_eval_batch_size": (1, None, False),
    "gradient_accumulation_steps": (1, None, False),
    "eval_accumulation_steps": (1, None, False),
    "learning_rate": (0, None, True),
    "weight_decay": (0, None, False),
    "adam_beta1": (0, 1, False),
    "adam_beta2": (0, 1, False),
    "adam_epsilon": (0, None, False),
    "num_train_epochs": (0, None, True),
    "max_steps": (-1, None, False),
    "warmup_ratio": (0, 1, False),
    "warmup_steps": (0, None, False),
    "logging_steps": (0, None, False),
    "eval_steps": (0, None, False),
    "save_steps": (0, None, False),
    "dataloader_num_workers": (0, None, False),
    "dataloader_prefetch_factor": (1, None, False),
    "label_smoothing_factor": (0, 1, False),
    "seed": (0, 2**32 - 1, False),
    "data_seed": (0, 2**32 - 1, False),
    "ddp_timeout": (1, None, False),
    "torch_empty_cache_steps": (1, None, False),
    "export_size": (0, None, True),
    "top_p": (0, 1, True),
    "top_k": (0, None, False),
    "temperature": (0, None, False),
    "num_beams": (1, None, False),
    "eval_num_beams": (1, None, False),
    "max_new_tokens": (1, None, False),
    "repetition_penalty": (0, None, True),
    "ray_num_workers": (1, None, False),
    "early_stopping_steps": (1, None, False),
    "dpo_label_smoothing": (0, 0.5, False),
    "pref_beta": (0, None, False),
    "galore_rank": (1, None, False),
    "apollo_rank": (1, None, False),
    "loraplus_lr_ratio": (0, None, True),
    "vllm_gpu_util": (0, 1, True),
    "neftune_noise_alpha": (0, None, False),
}
# Closed sets that the code checks though the annotation is a plain type.
_CHOICES: dict[str, tuple[Any, ...]] = {
    "ref_model_quantization_bit": (4, 8),
    "reward_model_quantization_bit": (4, 8),
    "export_quantization_bit": (8, 4, 3, 2),
    "fp8_backend": ("auto", "torchao", "te", "msamp"),
    "include_num_input_tokens_seen": (True, False, "all", "non_padding", "no"),
}


def factory_from(data: dict[str, Any], source: str) -> Factory:
    """The `Factory` that a probe's JSON object describes."""
    architectures = data.get("architectures", {})
    return Factory(
        version=data["version"],
        source=source,
        options={entry["name"]: _option(entry) for entry in data["options"]},
        templates={name: _template(name, entry) for name, entry in data["templates"].items()},
        models={name: _known_model(name, entry) for name, entry in data["models"].items()},
        architectures=Architectures(**{key: frozenset(architectures.get(key, ())) for key in Architectures.__slots__}),
        versions=data.get("versions", {}),
        requirements=data.get("requirements", {}),
        methods=tuple(data.get("methods", ())),
        stages=tuple(dict(data.get("stages", {})).values()),
        file_types=data.get("file_types", {}),
        versions_known=source == "probe",
        tool_formats=tuple(data.get("tool_formats", ())),
    )


def _option(entry: dict[str, Any]) -> Option:
    name = entry["name"]
    low, high, above = _RANGES.get(name, (None, None, False))
    types = tuple(t for t in entry["types"] if t != "none")
    choices = _CHOICES.get(name) or (tuple(entry["choices"]) if entry["choices"] else None)
    optional = "none" in entry["types"] or entry["default"] is None
    return Option(
        name, entry["group"], types, optional, entry["default"], choices, entry["help"], low, high, above
    )  # fmt: skip


def _template(name: str, entry: dict[str, Any]) -> Template:
    def texts(key: str) -> tuple[str, ...]:
        return tuple(entry.get(key, ()))

    def flag(key: str) -> bool:
        return bool(entry.get(key))

    return Template(
        name,
        stop_words=texts("stop_words"),
        default_system=entry.get("default_system", ""),
        reasoning=flag("reasoning"),
        efficient_eos=flag("efficient_eos"),
        replace_eos=flag("replace_eos"),
        media=flag("media"),
        kind=entry.get("kind", "Template"),
        prefix=texts("prefix"),
        system=texts("system"),
        user=texts("user"),
        assistant=texts("assistant"),
        thought_words=texts("thought_words"),
    )


def _known_model(name: str, entry: dict[str, Any]) -> KnownModel:
    return KnownModel(
        name, entry.get("hf"), entry.get("ms"), entry.get("om"), entry.get("template", ""), bool(entry.get("media"))
    )


@lru_cache(maxsize=4)
def snapshot(version: str = TESTED_VERSION) -> Factory:
    """The shipped snapshot of a LLaMA-Factory version."""
    return factory_from(orjson.loads((SNAPSHOTS / f"{version}.json").read_bytes()), "snapshot")


def changed_from_default(options: dict[str, Any], factory: Factory) -> set[str]:
    """The names in `options` whose value is not the option's default."""
    return {
        name
        for name, value in options.items()
        if name in factory.options and value != factory.options[name].default
    }  # fmt: skip
