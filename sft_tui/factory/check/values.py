"""Each option by itself: is it known, has it the right type, is it one of its choices, is it within its range."""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any

from sft_tui.factory.check.context import Findings
from sft_tui.factory.check.renamed import BY_HAND, RENAMED
from sft_tui.factory.options import Option
from sft_tui.i18n import N_, _
from sft_tui.problems import nearest

COMMA_LISTS = frozenset((
    "dataset", "eval_dataset", "lora_target", "oft_target", "additional_target", "freeze_trainable_modules",
    "freeze_extra_modules", "galore_target", "apollo_target", "interleave_probs",
))  # fmt: skip
"""Text options that LLaMA-Factory splits at commas and also takes as a YAML list."""
_NEVER_NULL = frozenset((
    "cutoff_len", "dataset_dir", "export_device", "export_size", "finetuning_type", "flash_attn", "lora_dropout",
    "lora_rank", "lora_target", "max_new_tokens", "stage", "val_size",
))  # fmt: skip
"""Options whose value every training or merge reads; a null of the others fails only where their method is used."""
_NUMBER_AS_TEXT = frozenset(["master_port", "run_name", "swanlab_run_name", "swanlab_project", "project"])
_BOOL_AS_TEXT = frozenset(("resume_from_checkpoint",))
_FLOAT_AS_INT = frozenset(("lora_alpha", "export_size", "ddp_timeout", "save_total_limit"))
_NUMBER = re.compile(r"^[-+]?(\d[\d_]*)?\.?\d*([eE][-+]?\d+)?$")
_YES, _NO = frozenset(("true", "yes", "on", "1")), frozenset(("false", "no", "off", "0"))
_TYPE_NAMES = {
    "bool": N_("true or false"),
    "int": N_("a whole number"),
    "float": N_("a number"),
    "str": N_("a text"),
    "list": N_("a list"),
    "dict": N_("a mapping"),
}


def check_values(findings: Findings) -> None:
    """Report unknown keys, wrong types, values outside the closed set and outside the range; remember the bad ones."""
    for key, value in findings.options.items():
        name = str(key)
        option = findings.context.factory.options.get(name)
        if isinstance(value, str) and "${" in value:
            _interpolation(findings, name, value)
        if option is None:
            _unknown(findings, name)
        elif findings.merge and not option.in_merge:
            _not_in_merge(findings, name)
        elif value is None:
            _null(findings, option)
        elif any(check(findings, option, value) for check in (_type_problem, _json_problem, _choice_problem)):
            findings.bad.add(name)
        else:
            _range(findings, option, value)


def _interpolation(findings: Findings, name: str, value: str) -> None:
    """LLaMA-Factory's OmegaConf reads `${...}` as an interpolation, but never puts anything in its place."""
    if value.count("${") > value.count("}"):
        message = _("`{name}` is {value}: a `${{` without its `}}` is refused.").format(name=name, value=shown(value))
        findings.error("bad_interpolation", name, message)
        findings.bad.add(name)
    else:
        message = _("`{name}` is {value}; variables are not replaced in a config.")
        text = message.format(name=name, value=shown(value))
        findings.warning("variable_in_value", name, text, _("Write the value out."))


def extra_arguments_allowed() -> bool:
    """Whether LLaMA-Factory will pass over options that it does not know (`ALLOW_EXTRA_ARGS`)."""
    return os.environ.get("ALLOW_EXTRA_ARGS", "0").lower() in ("true", "y", "1")


def _unknown(findings: Findings, name: str) -> None:
    """An unknown key: what replaced it, or the nearest known one."""
    message = _("LLaMA-Factory {version} has no option `{name}`.")
    message = message.format(version=findings.context.factory.version, name=name)
    if extra_arguments_allowed():
        hint = _("It is passed over, because ALLOW_EXTRA_ARGS is set.")
        findings.warning("unknown_key", name, message, hint)
        return
    renamed = RENAMED.get(name)
    if renamed is not None:
        new, advice = renamed
        replaced = new is None or new in findings.options
        fix: tuple[Any, ...] | None = ("unset",) if replaced else ("rename", new)
        hint = _(advice) if advice else _("It is called `{name}`.").format(name=new)
        if new is not None and new not in findings.context.factory.options:
            fix, hint = None, _("Delete the line.")
        fix = None if name in BY_HAND else fix
        findings.error("unknown_key", name, message, hint, fix=fix)
        return
    known = [n for n, o in findings.context.factory.options.items() if o.in_merge or not findings.merge]
    close = nearest(str(name), known, 1)
    if close:
        hint = _("Did you mean `{name}`?").format(name=close[0])
        findings.error("unknown_key", name, message, hint, fix=("rename", close[0]))
    else:
        hint = _("Delete the line, or look for the option: sft-tui explain --search {word}").format(word=name)
        findings.error("unknown_key", name, message, hint, fix=("unset",))


def _not_in_merge(findings: Findings, name: str) -> None:
    message = _("`{name}` is an option of training; `llamafactory-cli export` refuses a file that holds it.")
    hint = _("Delete the line from the merge config.")
    findings.error("not_in_merge", name, message.format(name=name), hint, fix=("unset",))


def _null(findings: Findings, option: Option) -> None:
    """A key without a value: fine for options that may be null; a switch counts as off; the rest fails later."""
    if option.name == "report_to":
        message = _("`report_to` without a value is refused.")
        findings.error("no_value", "report_to", message, _("Write `report_to: none`."), fix=("set", "none"))
        return
    if option.name != "dataloader_drop_last" and (option.optional or "bool" in option.types):
        return
    findings.bad.add(option.name)
    message = _("`{name}` has no value, and it must have one.").format(name=option.name)
    hint = _("Delete the line for the default, {default}.").format(default=shown(option.default))
    used = option.name in _NEVER_NULL or (
        option.group == "training" and option.name not in ("eval_delay", "ddp_timeout")
    )
    report = findings.error if used else findings.warning
    report("no_value", option.name, message, hint, fix=("unset",))


def _type_problem(findings: Findings, option: Option, value: Any) -> bool:
    """Whether the value has a type that the option does not take (reported)."""
    if fits_type(option, value):
        return False
    if option.types == ("bool",) and isinstance(value, str):
        return _text_for_switch(findings, option, value)
    suggestion = converted(option, value)
    expected = " / ".join(_(_TYPE_NAMES[t]) for t in option.types)
    message = _("`{name}` is {value}, but {expected} is expected.")
    message = message.format(name=option.name, value=shown(value), expected=expected)
    if suggestion is not None:
        hint = _("Write `{name}: {value}`.").format(name=option.name, value=shown(suggestion))
        findings.error("wrong_type", option.name, message, hint, fix=("set", suggestion))
    else:
        hint = _("The default is {default}.").format(default=shown(option.default))
        findings.error("wrong_type", option.name, message, hint)
    return True


_JSON_FILES = frozenset(("deepspeed", "fsdp_config", "accelerator_config"))


def _json_problem(findings: Findings, option: Option, value: Any) -> bool:
    """Whether a mapping is given as a text that is no JSON object (reported)."""
    if "dict" not in option.types or not isinstance(value, str) or option.name in _JSON_FILES:
        return False
    try:
        if isinstance(json.loads(value), dict):
            return False
    except (ValueError, RecursionError):
        pass
    message = _("`{name}` is {value}, but {expected} is expected.")
    message = message.format(name=option.name, value=shown(value), expected=_(_TYPE_NAMES["dict"]))
    findings.error("wrong_type", option.name, message, _("Write `{name}: {{key: value}}`.").format(name=option.name))
    return True


def _text_for_switch(findings: Findings, option: Option, value: str) -> bool:
    """A quoted truth value: LLaMA-Factory takes every text for true, also "false"."""
    word = value.strip().lower()
    if word in _YES:
        message = _("`{name}` is the text {value}; it counts as true because every text does.")
        hint = _("Write it without quotes.")
        message = message.format(name=option.name, value=shown(value))
        findings.warning("text_for_switch", option.name, message, hint, fix=("set", True))
        return False
    message = _("`{name}` is the text {value}, which LLaMA-Factory takes for true, as every text.")
    message = message.format(name=option.name, value=shown(value))
    hint = _("Write `{name}: {value}`.").format(name=option.name, value="false" if word in _NO else "true / false")
    findings.error("wrong_type", option.name, message, hint, fix=("set", False) if word in _NO else None)
    return True


def fits_type(option: Option, value: Any) -> bool:
    """Whether LLaMA-Factory can work with a value of this type for this option."""
    types, name = option.types, option.name
    if isinstance(value, bool):
        return "bool" in types or name in _BOOL_AS_TEXT
    if isinstance(value, int):
        return bool({"int", "float"} & set(types)) or (value in (0, 1) and "bool" in types) or name in _NUMBER_AS_TEXT
    if isinstance(value, float):
        return "float" in types or ("int" in types and name in _FLOAT_AS_INT) or name in _NUMBER_AS_TEXT
    if isinstance(value, str):
        return "str" in types
    if isinstance(value, list):
        return "list" in types or name in COMMA_LISTS
    return isinstance(value, dict) and "dict" in types


def converted(option: Option, value: Any) -> Any:
    """What the author of a value of the wrong type surely meant, or None."""
    types = set(option.types)
    if value is False and option.choices and "no" in option.choices:
        return "no"
    if isinstance(value, float) and "int" in types and value.is_integer():
        return int(value)
    if isinstance(value, str) and {"int", "float"} & types and value.strip() and _NUMBER.match(value.strip()):
        number = float(value.replace("_", ""))
        if "int" in types:
            return int(number) if number.is_integer() else None
        return number
    if isinstance(value, list) and "str" in types and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return None


def _choice_problem(findings: Findings, option: Option, value: Any) -> bool:
    """Whether the value is outside the option's closed set (reported)."""
    if option.choices is None or isinstance(value, list | dict):
        return False
    if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in option.choices):
        return False
    if option.name in ("log_level", "log_level_replica") and value == "passive":
        return False
    message = _("`{value}` is no value for `{name}`.").format(value=value, name=option.name)
    texts = [str(c) for c in option.choices]
    near = nearest(str(value), texts, 1) or _prefixed(str(value), texts)
    few = len(texts) <= 12
    hint = _("Possible are: {choices}.").format(choices=", ".join(texts)) if few else None
    if near and not few:
        hint = _("Did you mean `{name}`?").format(name=near[0])
    fix = ("set", option.choices[texts.index(near[0])]) if near else None
    findings.error("bad_choice", option.name, message, hint, fix=fix)
    return True


def _prefixed(word: str, known: list[str]) -> list[str]:
    """The one known value that starts with `word` or with which `word` starts."""
    fitting = [k for k in known if k and (k.startswith(word.lower()) or word.lower().startswith(k))]
    return fitting if len(fitting) == 1 else []


def _range(findings: Findings, option: Option, value: Any) -> None:
    """Report a number outside the range that makes sense, or no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, float) and not math.isfinite(value):
        message = _("`{name}` is {value}, which is no finite number.").format(name=option.name, value=value)
        findings.error("out_of_range", option.name, message)
        return
    name, low, high = option.name, option.minimum, option.maximum
    if name == "lora_alpha" and value == 0:
        return  # reported among the mistakes: LLaMA-Factory takes 0 for "twice the rank"
    too_low = low is not None and (value < low or (option.above_minimum and value == low))
    too_high = high is not None and value > high
    if not (too_low or too_high):
        return
    message = _("`{name}` is {value}; {range}.")
    findings.error("out_of_range", name, message.format(name=name, value=shown(value), range=range_text(option)))


def range_text(option: Option) -> str:
    """The option's range in words."""
    low, high = option.minimum, option.maximum
    low_text, high_text = (shown(low) if low is not None else ""), (shown(high) if high is not None else "")
    if low is None:
        return _("it must be at most {high}").format(high=high_text)
    if high is None:
        text = _("it must be greater than {low}") if option.above_minimum else _("it must be at least {low}")
        return text.format(low=low_text)
    return _("it must lie between {low} and {high}").format(low=low_text, high=high_text)


def shown(value: Any) -> str:
    """A value as it stands in a YAML file, cut where it is long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
