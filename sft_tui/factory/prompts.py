"""The prompts that a template of LLaMA-Factory trains with, beside those of a tokenizer's own chat template, as texts.

A model was made with its chat template: where the two differ, training and later use do not see the same prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from sft_tui.factory.options import Template
from sft_tui.i18n import N_, _

if TYPE_CHECKING:
    import jinja2

Messages = tuple[tuple[str, str], ...]
_ASKED: Messages = (("user", "Question one?"),)
_MORE: Messages = (("assistant", "Answer one."), ("user", "Question two?"))
_SHOWN = 40
_SPECIAL = re.compile(r"\{\{(bos_token|eos_token|<[^{}]*>)\}\}")


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation to compare: `name` in words, its messages as (role, text). One that ends with the user's turn is
    a prompt, which the model goes on with.
    """

    name: str
    messages: Messages

    @property
    def asks(self) -> bool:
        """Whether the model is to answer."""
        return self.messages[-1][0] == "user"


CASES = (
    Case(N_("one question"), _ASKED),
    Case(N_("a system text and a question"), (("system", "Be brief."), *_ASKED)),
    Case(N_("a second question"), (*_ASKED, *_MORE)),
    Case(N_("a question and its answer"), (*_ASKED, _MORE[0])),
)


FRAMED = (CASES[1],)
"""The cases that no standing system text of a template has a say in."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The special tokens of a tokenizer as texts, None where it has none."""

    bos: str | None = None
    eos: str | None = None

    @classmethod
    def of(cls, directory: Path) -> Tokens:
        """As tokenizer_config.json in `directory` names them."""
        try:
            data = orjson.loads((directory / "tokenizer_config.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return cls()
        return cls(*(_token_text(data.get(key)) for key in ("bos_token", "eos_token"))) if data else cls()


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two prompts of a case part: `ours` is LLaMA-Factory's text, `theirs` the chat template's (None: it
    refuses the case), `at` the first character that differs.
    """

    case: Case
    ours: str
    theirs: str | None
    at: int = 0

    def __str__(self) -> str:
        if self.theirs is None:
            text = _("for {case} the model's own chat template makes no prompt")
            return text.format(case=_(self.case.name))
        text = _("for {case} it writes {ours} where the model's own chat template has {theirs}")
        pieces = (_piece(self.ours, self.at), _piece(self.theirs, self.at))
        return text.format(case=_(self.case.name), ours=pieces[0], theirs=pieces[1])


def _piece(text: str, at: int) -> str:
    start = max(0, at - 8)
    return repr(text[start : at + _SHOWN]) if text[at:] else _("nothing more")


def factory_prompt(template: Template, case: Case, tokens: Tokens) -> str:
    """What LLaMA-Factory makes of `case` with `template` (`Template._encode` of its `data/template.py`, as texts)."""
    eos = template.stop_words[0] if template.replace_eos and template.stop_words else tokens.eos
    system = next((text for role, text in case.messages if role == "system"), template.default_system)
    turns = [message for message in case.messages if message[0] != "system"]
    pieces = [_filled(template.prefix, "", tokens.bos, eos)]
    inside = ""
    if system:
        slots = template.system[:1] if template.kind == "Llama2Template" else template.system
        inside = _filled(slots, system, tokens.bos, eos)
        if template.kind != "Llama2Template":  # that one puts the system text into the first question
            pieces.append(inside)
            inside = ""
    for number, (role, text) in enumerate(turns):
        if role == "user":
            pieces.append(_filled(template.user, inside + text, tokens.bos, eos, number // 2))
            inside = ""
        else:
            last = number == len(turns) - 1
            thought = "".join(template.thought_words) if template.reasoning and last else ""
            pieces.append(thought + _filled(template.assistant, text, tokens.bos, eos))
    if template.efficient_eos and not case.asks:
        pieces.append(eos or "")
    return "".join(pieces)


def _filled(slots: Sequence[str], content: str, bos: str | None, eos: str | None, number: int = 0) -> str:
    special = {"{{bos_token}}": bos or "", "{{eos_token}}": eos or ""}
    return "".join(
        special.get(slot, "")  # LLaMA-Factory passes over the names of other special tokens
        if _SPECIAL.fullmatch(slot)
        else slot.replace("{{idx}}", str(number)).replace("{{content}}", content)
        for slot in slots
    )


class ChatTemplate:
    """A tokenizer's chat template, compiled once, in a sandbox: it comes with the model."""

    def __init__(self, source: str, tokens: Tokens) -> None:
        self._source = source
        self._tokens = tokens

    @cached_property
    def _compiled(self) -> jinja2.Template | None:
        import jinja2

        try:
            return _environment().from_string(self._source)
        except (jinja2.TemplateError, RecursionError):
            return None

    def render(self, case: Case) -> str | None:
        """The prompt that it makes of `case`, None where it refuses, is broken or takes something that is not known."""
        import jinja2

        if self._compiled is None:
            return None
        given = {"bos_token": self._tokens.bos, "eos_token": self._tokens.eos}
        messages = [{"role": role, "content": text} for role, text in case.messages]
        try:
            return self._compiled.render(
                messages=messages,
                add_generation_prompt=case.asks,
                **{name: text for name, text in given.items() if text is not None},
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError, RecursionError, OverflowError):
            return None  # whatever a template of somebody else does: there is nothing to compare with


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """As transformers sets it up for chat templates (`utils/chat_template_utils.py`)."""
    import json
    from datetime import datetime

    import jinja2
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **_more: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_generation_tag(), loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _generation_tag() -> type[jinja2.ext.Extension]:
    """`{% generation %}`, which marks what the model writes: here only what is in it counts."""
    from jinja2.ext import Extension
    from jinja2.nodes import Node
    from jinja2.parser import Parser

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return Generation


def differences(template: Template, chat: ChatTemplate, tokens: Tokens) -> tuple[Difference, ...]:
    """The cases in which training with `template` sees another prompt than `chat` makes; blanks at the end are none."""
    found = []
    for case, theirs in rendered(chat):
        ours = factory_prompt(template, case, tokens)
        if theirs is None:
            found.append(Difference(case, ours, None))
        elif ours.rstrip() != theirs.rstrip():
            found.append(Difference(case, ours, theirs, _agreeing(ours, theirs)))
    return tuple(found)


def _agreeing(one: str, other: str) -> int:
    """How many characters are the same from the beginning on."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def rendered(chat: ChatTemplate) -> tuple[tuple[Case, str | None], ...]:
    """Each case with the prompt that `chat` makes of it."""
    return tuple((case, chat.render(case)) for case in CASES)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near a template comes to a chat template: cases that are the same, and the share of the texts that agrees
    from the beginning on (0 to 1).
    """

    same: int
    share: float

    @property
    def full(self) -> bool:
        """Whether nothing differs."""
        return self.same == len(CASES)


def likenesses(templates: Mapping[str, Template], chat: ChatTemplate, tokens: Tokens) -> dict[str, Likeness]:
    """For each of `templates` how near it comes to `chat`; empty where that makes no prompt at all."""
    theirs = [(case, text) for case, text in rendered(chat) if text is not None]
    if not theirs:
        return {}
    refused = len(CASES) - len(theirs)  # by the chat template: no template can do better
    return {name: _likeness(template, theirs, refused, tokens) for name, template in templates.items()}


def _likeness(template: Template, theirs: list[tuple[Case, str]], refused: int, tokens: Tokens) -> Likeness:
    same, share = refused, 0.0
    for case, text in theirs:
        ours = factory_prompt(template, case, tokens)
        same += ours.rstrip() == text.rstrip()
        share += _agreeing(ours, text) / max(len(text), 1)
    return Likeness(same, share / len(theirs))
