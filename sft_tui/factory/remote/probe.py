"""Read what the installed LLaMA-Factory can do, and write it to a file as JSON.

Stand-alone: runs with the training environment's Python (3.10 or newer), imports LLaMA-Factory (which takes
about 8 s, because it imports torch) and nothing of ours. Usage: `python probe.py OUT.json`.
"""

import collections.abc
import dataclasses
import enum
import importlib.metadata
import json
import re
import sys
import types
import typing
from pathlib import Path

FORMAT = 2
SIMPLE = {bool: "bool", int: "int", float: "float", str: "str", list: "list", tuple: "list", dict: "dict"}


def type_names(annotation):
    """`(names, choices)`: the plain types that an annotation allows ("none" for an optional) and its closed set."""
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is getattr(types, "UnionType", None):
        names, choices, is_open = [], [], False
        for part in typing.get_args(annotation):
            part_names, part_choices = type_names(part)
            names += [name for name in part_names if name not in names]
            choices += part_choices or []
            is_open = is_open or (part is str and typing.Literal in map(typing.get_origin, typing.get_args(annotation)))
        return names, None if is_open else choices or None
    if origin is typing.Literal:
        values = list(typing.get_args(annotation))
        return [SIMPLE.get(type(values[0]), "str")], values
    if origin in (list, tuple, set, collections.abc.Sequence):
        return ["list"], None
    if origin in (dict, collections.abc.Mapping):
        return ["dict"], None
    if annotation is type(None):
        return ["none"], None
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return ["str"], [member.value for member in annotation]
    if annotation in SIMPLE:
        return [SIMPLE[annotation]], None
    return ["str"], None


def plain(value):
    """A default as JSON can hold it."""
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, collections.abc.Iterable):
        return [plain(item) for item in value]
    return str(value)


def default_of(field):
    """A dataclass field's default; an empty container where a factory makes one."""
    if field.default is not dataclasses.MISSING:
        return plain(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return None


def read_options(hparams):
    """Every option of the five dataclasses, in the order in which they are declared."""
    groups = (
        ("model", hparams.ModelArguments), ("data", hparams.DataArguments), ("training", hparams.TrainingArguments),
        ("finetuning", hparams.FinetuningArguments), ("generating", hparams.GeneratingArguments),
    )  # fmt: skip
    options = []
    for group, cls in groups:
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if not field.init:
                continue
            names, choices = type_names(hints.get(field.name, field.type))
            text = " ".join(str(field.metadata.get("help") or "").replace("%%", "%").split())
            options.append({
                "name": field.name, "group": group, "types": names, "default": default_of(field),
                "choices": plain(field.metadata.get("choices") or choices), "help": text,
            })  # fmt: skip
    return options


def training_docs(cls):
    """Help texts that transformers keeps in the class's docstring: name -> text."""
    texts = {}
    for base in cls.__mro__:
        doc = base.__doc__ or ""
        for match in re.finditer(r"^ {4,8}(\w+) \(.*?\):\n((?: {8,}.*\n|\n)+)", doc, re.MULTILINE):
            body = re.split(r"\n\s*\n|<Tip|```", match.group(2))[0]
            body = re.sub(r"\[`~?([^`]*)`\]", r"`\1`", " ".join(body.split()))
            texts.setdefault(match.group(1), body)
    return texts


def slot_texts(formatter):
    """The literal pieces of a formatter: strings as they are, `{"token": x}` as x, sets as `<bos_token>` and so on."""
    out = []
    for slot in getattr(formatter, "slots", None) or []:
        if isinstance(slot, str):
            out.append(slot)
        elif isinstance(slot, dict):
            out.append(str(slot.get("token", "")))
        elif isinstance(slot, set):
            out += ["{{" + str(item) + "}}" for item in sorted(slot)]
    return out


def read_templates(template_module):
    """What is needed to choose a template, to show it, and to compare it with a chat template."""
    reasoning = template_module.ReasoningTemplate
    out = {}
    for name, template in template_module.TEMPLATES.items():
        out[name] = {
            "stop_words": list(template.stop_words), "default_system": template.default_system,
            "reasoning": isinstance(template, reasoning), "efficient_eos": template.efficient_eos,
            "replace_eos": template.replace_eos, "media": template.mm_plugin.__class__.__name__ != "BasePlugin",
            "kind": template.__class__.__name__, "thought_words": list(template.thought_words),
            "prefix": slot_texts(template.format_prefix), "system": slot_texts(template.format_system),
            "user": slot_texts(template.format_user), "assistant": slot_texts(template.format_assistant),
        }  # fmt: skip
    return out


def read_models(constants):
    """Known models: name -> hub ids, default template, whether they take images or sound."""
    out = {}
    for name, hubs in constants.SUPPORTED_MODELS.items():
        entry = {str(getattr(hub, "value", hub)): path for hub, path in hubs.items()}
        entry["template"] = constants.DEFAULT_TEMPLATE.get(name, "")
        entry["media"] = name in constants.MULTIMODAL_SUPPORTED_MODELS
        out[name] = entry
    return out


def read_architectures():
    """The `model_type`s that the installed transformers knows, and those which LLaMA-Factory can train as what."""
    from transformers.models.auto import configuration_auto, modeling_auto

    def keys(name):
        return sorted(getattr(modeling_auto, name, None) or {})

    return {
        "known": sorted(configuration_auto.CONFIG_MAPPING_NAMES),
        "causal": keys("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
        "image_text": keys("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"),
        "seq2seq": keys("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
        "waveform": keys("MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES"),
    }


def read_requirements():
    """The version ranges that LLaMA-Factory's own start-up check demands, as `{distribution: specifier}`."""
    import inspect

    from llamafactory.extras import misc

    found = re.findall(r"check_version\(\"([\w.-]+)([<>=!~][^\"]*)\"\)", inspect.getsource(misc.check_dependencies))
    return dict(found)


def read_tool_formats():
    """The names that `tool_format` takes."""
    from llamafactory.data import tool_utils

    return list(getattr(tool_utils, "TOOLS", {}))


def read_versions():
    """Versions of everything that is installed, by the names that PEP 503 writes: whatever is asked for is known."""
    out = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            out.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(out.items()))


def read_torch():
    """What torch says of this machine: for the precision and the architectures that the build supports."""
    import torch

    cuda = torch.cuda.is_available()
    architectures = torch.cuda.get_arch_list() if cuda else []
    return {
        "cuda_build": torch.version.cuda, "cuda_available": cuda, "arch_list": architectures,
        "device_count": torch.cuda.device_count() if cuda else 0,
    }  # fmt: skip


def watched_paths(package_dir):
    """Directories and files whose modification time changes when the environment does."""
    paths = [Path(p) for p in sys.path if p and ("site-packages" in p or "dist-packages" in p)]
    for name in ("hparams/parser.py", "hparams/model_args.py", "hparams/finetuning_args.py", "hparams/data_args.py",
                 "data/template.py", "extras/constants.py"):  # fmt: skip
        paths.append(package_dir / name)
    return sorted({str(path) for path in paths if path.exists()})


def probe():
    """Everything, as one JSON object."""
    import llamafactory
    import llamafactory.hparams as hparams
    from llamafactory.data import template as template_module
    from llamafactory.extras import constants, env

    options = read_options(hparams)
    docs = training_docs(hparams.TrainingArguments)
    for option in options:
        if not option["help"]:
            option["help"] = docs.get(option["name"], "")
    package_dir = Path(llamafactory.__file__).absolute().parent
    return {
        "format": FORMAT, "version": env.VERSION, "python": sys.version.split()[0], "options": options,
        "templates": read_templates(template_module), "models": read_models(constants),
        "architectures": read_architectures(), "versions": read_versions(), "requirements": read_requirements(),
        "methods": list(constants.METHODS), "stages": dict(constants.TRAINING_STAGES),
        "file_types": dict(constants.FILEEXT2TYPE), "tool_formats": read_tool_formats(), "torch": read_torch(),
        "package_dir": str(package_dir),
        "watch": watched_paths(package_dir), "omegaconf": importlib.metadata.version("omegaconf"),
    }  # fmt: skip


def main():
    """Write the probe to the file named in the first argument."""
    with Path(sys.argv[1]).open("w", encoding="utf-8") as out:
        json.dump(probe(), out, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
