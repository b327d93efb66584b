"""Which prompt template fits a model: by its name, by its architecture, by the chat template of its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sft_tui.factory.model_config import text_config
from sft_tui.factory.options import Factory, Template
from sft_tui.factory.prompts import FRAMED, ChatTemplate, Likeness, Tokens, differences, likenesses
from sft_tui.i18n import _

_MARKER = re.compile(r"<[^<>\s{}]{1,60}>|\[/?[A-Z_]{3,}\]|\]~b\]|\[e~\[")
_MAX_TOKENIZER_BYTES = 64 << 20

# For each architecture the templates that its models are trained with, the likeliest first. The first one whose marks
# stand in the tokenizer's chat template is chosen.
BY_MODEL_TYPE: dict[str, tuple[str, ...]] = {
    "baichuan": ("baichuan2", "baichuan"),
    "bailing_moe": ("bailing",),
    "bailing_moe_v2": ("bailing_v2",),
    "chatglm": ("glm4", "chatglm3"),
    "cohere": ("cohere",),
    "dbrx": ("dbrx",),
    "deepseek_v2": ("deepseek", "deepseek3"),
    "deepseek_v3": ("deepseek3", "deepseekr1"),
    "ernie4_5": ("ernie_nothink",),
    "ernie4_5_moe": ("ernie_nothink",),
    "exaone": ("exaone",),
    "falcon": ("falcon",),
    "falcon_h1": ("falcon_h1",),
    "gemma": ("gemma",),
    "gemma2": ("gemma2",),
    "gemma3": ("gemma3",),
    "gemma3_text": ("gemma3",),
    "gemma3n": ("gemma3n",),
    "gemma4": ("gemma4",),
    "glm": ("glm4",),
    "glm4": ("glm4", "glmz1"),
    "glm4_moe": ("glm4_moe",),
    "gpt_oss": ("gpt_oss",),
    "granite": ("granite3", "granite4"),
    "granitemoehybrid": ("granite4",),
    "internlm2": ("intern2",),
    "internlm3": ("intern2",),
    "lfm2": ("lfm2",),
    "llama": (
        "llama3",
        "llama2",
        "deepseek3",
        "yi",
        "chatml",
        "vicuna",
        "deepseek",
        "seed_coder",
        "smollm2",
        "mistral",
    ),
    "llama4": ("llama4",),
    "mimo": ("mimo",),
    "minicpm": ("cpm4",),
    "minimax_m2": ("minimax2",),
    "mistral": ("mistral", "ministral", "zephyr", "chatml", "openchat"),
    "mixtral": ("mistral",),
    "mllama": ("mllama",),
    "olmo": ("olmo",),
    "olmo2": ("olmo",),
    "phi3": ("phi", "phi4_mini", "phi4"),
    "phi3small": ("phi_small",),
    "qwen2": ("qwen", "deepseekr1", "deepseek3"),
    "qwen2_moe": ("qwen",),
    "qwen2_vl": ("qwen2_vl",),
    "qwen2_5_vl": ("qwen2_vl",),
    "qwen2_audio": ("qwen2_audio",),
    "qwen2_5_omni": ("qwen2_omni",),
    "qwen3": ("qwen3", "qwen3_nothink"),
    "qwen3_moe": ("qwen3", "qwen3_nothink"),
    "qwen3_next": ("qwen3_nothink", "qwen3"),
    "qwen3_vl": ("qwen3_vl_nothink", "qwen3_vl"),
    "qwen3_vl_moe": ("qwen3_vl_nothink", "qwen3_vl"),
    "qwen3_5": ("qwen3_5", "qwen3_5_nothink"),
    "qwen3_5_moe": ("qwen3_5", "qwen3_5_nothink"),
    "seed_oss": ("seed_oss",),
    "starcoder2": ("starchat",),
    "yuan": ("yuan",),
}


@dataclass(frozen=True, slots=True)
class TemplateGuess:
    """A template for a model, `how` it was found as a sentence, and whether that is `certain`. With `same_prompts` it
    writes what the tokenizer's own chat template writes.
    """

    name: str
    how: str
    certain: bool
    same_prompts: bool = False


def markers(template: Template) -> set[str]:
    """The special marks (`<|im_start|>`, `[INST]`) that the template puts around the turns."""
    texts = (*template.user, *template.assistant, *template.system, *template.prefix)
    found = {mark for text in texts for mark in _MARKER.findall(text.replace("{{content}}", ""))}
    return found - {"<s>", "</s>", "<bos>", "<eos>"}


def chat_template_of(directory: Path) -> str | None:
    """The chat template of a model's tokenizer: "" where it has none, None where there is no tokenizer config."""
    own = directory / "chat_template.jinja"
    try:
        if own.is_file():
            return own.read_text(encoding="utf-8", errors="replace")
        data = orjson.loads((directory / "tokenizer_config.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    value = data.get("chat_template", "") if isinstance(data, dict) else ""
    if isinstance(value, list):  # several named ones
        texts = [str(item.get("template", "")) for item in value if isinstance(item, dict)]
        return texts[0] if texts else ""
    return value if isinstance(value, str) else ""


def knows_tokens(directory: Path, tokens: Iterable[str]) -> dict[str, bool]:
    """Which of `tokens` the tokenizer in `directory` has as one token, found in its files as bytes."""
    raw = b""
    for name in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        try:
            path = directory / name
            if path.stat().st_size <= _MAX_TOKENIZER_BYTES:
                raw += path.read_bytes()
        except OSError:
            continue
    return {token: _quoted(token) in raw or _escaped(token) in raw for token in tokens}


def _quoted(token: str) -> bytes:
    return f'"{token}"'.encode()


def _escaped(token: str) -> bytes:
    return orjson.dumps(token).decode().encode("ascii", "backslashreplace")


def template_for_model(model_path_or_id: str, config: dict[str, Any] | None, factory: Factory) -> TemplateGuess:
    """The template to train the model with; `config` is its config.json where it is at hand."""
    known = factory.model_by_id(model_path_or_id) or factory.model_by_id(Path(model_path_or_id).name)
    listed = known.template if known is not None and known.template in factory.templates else None
    directory = Path(model_path_or_id)
    chat = chat_template_of(directory) if directory.is_dir() else None
    kind = str((config or {}).get("model_type", ""))
    candidates = [name for name in BY_MODEL_TYPE.get(kind, ()) if name in factory.templates]
    if chat:
        found = _from_chat_template(chat, kind, [listed, *candidates] if listed else candidates, factory, directory)
        if listed is None or found.same_prompts or found.name == listed:
            return found
    if listed is not None and known is not None:
        how = _("LLaMA-Factory lists {model} with this template.").format(model=known.name)
        return TemplateGuess(listed, how, certain=True)
    if chat is None and candidates:
        how = _("Models of type `{kind}` mostly use it; the tokenizer could not be asked.").format(kind=kind)
        return TemplateGuess(candidates[0], how, certain=False)
    if candidates and directory.is_dir() and _tokenizer_has(directory, factory.templates[candidates[0]]):
        how = _("The tokenizer has no chat template, but knows the marks of this one.")
        return TemplateGuess(candidates[0], how, certain=False)
    how = _("Nothing is known of this model; `default` writes plain Human: and Assistant: lines.")
    return TemplateGuess("default", how, certain=False)


def _tokenizer_has(directory: Path, template: Template) -> bool:
    marks = markers(template)
    return bool(marks) and all(knows_tokens(directory, marks).values())


def _from_chat_template(
    chat: str, kind: str, candidates: list[str], factory: Factory, directory: Path
) -> TemplateGuess:
    """The template that writes what the chat template writes, or else the most alike of those whose marks stand in it;
    among equals the one of the architecture.
    """
    tokens = Tokens.of(directory)
    own = ChatTemplate(chat, tokens)
    alike = likenesses(factory.templates, own, tokens)
    thinking = "<think>" in chat
    scored = []
    for order, template in enumerate(factory.templates.values()):
        near = alike.get(template.name, Likeness(0, 0.0))
        marks = markers(template)
        if near.share < 1 and not (marks and all(mark in chat for mark in marks)):
            continue
        of_family = template.name in candidates
        rank = candidates.index(template.name) if of_family else len(candidates)
        system = bool(template.default_system) and template.default_system in chat
        tie = (round(near.share, 2), len(marks), system, not template.media, -rank, -order)
        scored.append((near.same, of_family, template.reasoning == thinking, *tie, template.name))
    if scored:
        best = str(max(scored)[-1])
        if best in alike and alike[best].full:
            how = _("It writes the same prompts as the tokenizer's own chat template.")
            return TemplateGuess(best, how, certain=True, same_prompts=True)
        how = _("Its marks are those of the tokenizer's chat template.")
        apart = differences(factory.templates[best], own, tokens) if alike else ()
        if apart:
            how += " " + _("They differ: {difference}.").format(difference=apart[0])
        return TemplateGuess(best, how, certain=best in candidates)
    if candidates:
        how = _("Models of type `{kind}` mostly use it, but the tokenizer's chat template looks different.")
        return TemplateGuess(candidates[0], how.format(kind=kind), certain=False)
    how = _("The tokenizer's chat template resembles none that LLaMA-Factory has.")
    return TemplateGuess("default", how, certain=False)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a template does not fit a model, as a sentence, and a better one where one is known."""

    code: str
    message: str
    better: str | None


def misfit(name: str, directory: Path, config: dict[str, Any], factory: Factory) -> Misfit | None:
    """Why the template `name` does not suit the model in `directory`, or None where nothing speaks against it."""
    template = factory.templates[name]
    chat = chat_template_of(directory)
    if chat is None:
        return None
    guess = template_for_model(str(directory), config, factory)
    better = guess.name if guess.name not in (name, "default") else None
    marks = markers(template)
    if chat:
        shown = {mark for mark in marks if mark in chat}
        if marks and not shown and not any(knows_tokens(directory, marks).values()):
            return _other_marks(name, sorted(marks)[0], better)
        if not marks and _MARKER.search(chat) and name not in ("empty", "fewshot") and guess.certain and better:
            text = _("Template `{name}` is plain text, but the model's own chat template is that of `{better}`.")
            return Misfit("template_misfit", text.format(name=name, better=better), better)
        if template.reasoning and "<think>" not in chat and f"{name}_nothink" in factory.templates:
            text = _("Template `{name}` adds empty thinking blocks to each answer, but the model does not think.")
            return Misfit("template_thinking", text.format(name=name), better or f"{name}_nothink")
        return _other_prompts(template, chat, directory, better) if guess.same_prompts else None
    if marks and not any(knows_tokens(directory, marks).values()):
        text = _("The model has no chat template and does not know {mark} of template `{name}`: a base model?")
        return Misfit("template_base", text.format(mark=sorted(marks)[0], name=name), "default")
    return None


def _other_prompts(template: Template, chat: str, directory: Path, better: str | None) -> Misfit | None:
    """A template that frames the turns in another way than the model knows; another standing system text is none."""
    tokens = Tokens.of(directory)
    apart = [d for d in differences(template, ChatTemplate(chat, tokens), tokens) if d.case in FRAMED and d.theirs]
    if not apart or better is None:
        return None
    text = _("Template `{name}` writes other prompts than the model knows: {difference}.")
    return Misfit("template_misfit", text.format(name=template.name, difference=apart[0]), better)


def _other_marks(name: str, mark: str, better: str | None) -> Misfit:
    text = _("Template `{name}` does not fit the model: its tokenizer does not know {mark}.")
    return Misfit("template_misfit", text.format(name=name, mark=mark), better)


def tokens_beyond(template: Template, directory: Path, config: dict[str, Any]) -> list[str]:
    """The stop words that LLaMA-Factory would add to the tokenizer and that the model's embedding has no room for."""
    missing = [word for word, known in knows_tokens(directory, template.stop_words).items() if not known]
    rows = text_config(config).get("vocab_size")
    if not missing or not isinstance(rows, int):
        return []
    count = _token_count(directory)
    return missing if count is not None and count + len(missing) > rows else []


def _token_count(directory: Path) -> int | None:
    """How many tokens the fast tokenizer has, or None where that cannot be read."""
    try:
        data = orjson.loads((directory / "tokenizer.json").read_bytes())
        vocabulary = data["model"]["vocab"]
        last = max(vocabulary.values(), default=-1) if isinstance(vocabulary, dict) else len(vocabulary) - 1
        return max([last, *(int(token["id"]) for token in data.get("added_tokens", ()))]) + 1
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
