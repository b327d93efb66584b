"""Loading a model and asking it, for verify.py: prompts by LLaMA-Factory's template, answers by plain transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify_words import N_, Said, said

WEIGHT_SUFFIXES = {".safetensors", ".bin"}
ROLE_OF = ("user", "assistant")
CONVERSATIONS = (
    (N_("one question"), "", ("Question one?",)),
    (N_("a system text and a question"), "Be brief.", ("Question one?",)),
    (N_("a second question"), "", ("Question one?", "Answer one.", "Question two?")),
)
"""What prompts are compared with: a name, a system text, the turns from the user's first on."""
ROLES = {"human": "user", "gpt": "assistant", "function_call": "function"}  # ShareGPT's names for LLaMA-Factory's roles


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


@dataclass(frozen=True, slots=True)
class Turns:
    """What a sample asks and what it expects: the messages up to the last answer, in LLaMA-Factory's roles."""

    messages: list[dict[str, str]]
    reference: str | None
    system: str | None = None
    tools: str | None = None

    @property
    def question(self) -> str:
        """The last message, which the model answers."""
        return self.messages[-1]["content"]


def turns_of(sample: dict[str, Any]) -> Turns:
    """The turns of an Alpaca row (instruction, input, output, history) or of a ShareGPT one (conversations)."""
    system, tools = sample.get("system") or None, sample.get("tools") or None
    if not isinstance(sample.get("conversations"), list):
        messages = []
        for asked, answered in sample.get("history") or []:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        text = "\n".join(part for part in (sample.get("instruction"), sample.get("input")) if part)
        return Turns([*messages, {"role": "user", "content": text}], sample.get("output"), system, tools)
    messages = []
    for turn in sample["conversations"]:
        role, text = str(turn.get("from", turn.get("role"))), str(turn.get("value", turn.get("content")) or "")
        if role == "system":
            system = system or text
        else:
            messages.append({"role": ROLES.get(role, role), "content": text})
    reference = messages.pop()["content"] if messages and messages[-1]["role"] in ("assistant", "function") else None
    return Turns(messages or [{"role": "user", "content": ""}], reference, system, tools)


def load_tokenizer(directory: Path, spec: dict[str, Any]) -> Any:
    """The directory's tokenizer, as plain transformers loads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(directory), trust_remote_code=bool(spec.get("trust_remote_code")))


class Template:
    """Prompts as token ids, built by LLaMA-Factory's own template where it is installed, as in training."""

    def __init__(self, spec: dict[str, Any], tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.limit = int(spec.get("cutoff_len") or 2048)
        self.template: Any = None
        try:
            from llamafactory.data.template import get_template_and_fix_tokenizer
            from llamafactory.hparams import DataArguments
        except ImportError as error:
            print(f"verify: LLaMA-Factory's templates cannot be used ({first_line(error)})", flush=True)
            return
        self.template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=spec.get("template")))

    def prompt(self, turns: Turns) -> list[int]:
        """The ids of what the model is asked; where that is longer than the cutoff length, its end."""
        messages = [dict(message) for message in turns.messages]
        if self.template is not None:
            messages.append({"role": "assistant", "content": ""})
            ids, _answer = self.template.encode_oneturn(self.tokenizer, messages, turns.system, turns.tools)
        else:
            if turns.system:
                messages.insert(0, {"role": "system", "content": turns.system})
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return list(ids)[-self.limit :]

    def parts_from(self, chat_template: str) -> Said | None:
        """Where the prompts of the training and those of a chat template part, as a sentence; None where they agree."""
        for name, system, texts in CONVERSATIONS:
            messages = [{"role": ROLE_OF[n % 2], "content": text} for n, text in enumerate(texts)]
            ids, _answer = self.template.encode_oneturn(
                self.tokenizer, [*messages, {"role": "assistant", "content": ""}], system or None, None
            )
            if system:
                messages.insert(0, {"role": "system", "content": system})
            try:
                text = self.tokenizer.apply_chat_template(
                    messages, chat_template=chat_template, tokenize=False, add_generation_prompt=True
                )
            except Exception as error:  # many refuse a system text: whatever a foreign template raises
                print(f"verify: no prompt for {name} ({first_line(error)})", flush=True)
                continue
            theirs = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            ours, shown = self.tokenizer.decode(ids), self.tokenizer.decode(theirs)
            if list(ids) != list(theirs) and ours.rstrip() != shown.rstrip():
                pairs = enumerate(zip(ours, shown, strict=False))
                at = next((n for n, (one, other) in pairs if one != other), min(len(ours), len(shown)))
                start = max(0, at - 8)
                text = N_("for {conversation} {ours} instead of {theirs}")
                both = {"ours": repr(ours[start : at + 40]), "theirs": repr(shown[start : at + 40])}
                return said(text, conversation=said(name), **both)
        return None

    def stops(self) -> list[int]:
        """Ids of the tokens that end an answer."""
        ids = self.template.get_stop_token_ids(self.tokenizer) if self.template else [self.tokenizer.eos_token_id]
        return sorted(number for number in ids if number is not None)


def pick_device(spec: dict[str, Any], directory: Path) -> str:
    """The GPU if that is allowed and the model fits there with room to spare, else the CPU."""
    import torch

    if spec.get("device") != "auto" or not torch.cuda.is_available():
        return "cpu"
    size = sum(file.stat().st_size for file in directory.iterdir() if file.suffix in WEIGHT_SUFFIXES)
    free, _total = torch.cuda.mem_get_info()
    return "cuda" if size * 1.3 + (1 << 30) < free else "cpu"


def load_model(spec: dict[str, Any], directory: Path) -> tuple[Any, dict[str, Any]]:
    """A model in its own precision by plain transformers, with what was missing from its files."""
    import transformers

    new = int(transformers.__version__.split(".")[0]) >= 5
    options: dict[str, Any] = {"dtype": "auto"} if new else {"torch_dtype": "auto", "low_cpu_mem_usage": True}
    options.update(trust_remote_code=bool(spec.get("trust_remote_code")), output_loading_info=True)
    try:
        model, info = transformers.AutoModelForCausalLM.from_pretrained(str(directory), **options)
    except ValueError as error:  # a model of another kind, such as one that also sees pictures
        kind = getattr(transformers, "AutoModelForImageTextToText", None)
        if kind is None or "Unrecognized configuration class" not in str(error):
            raise
        model, info = kind.from_pretrained(str(directory), **options)
    device = pick_device(spec, directory)
    if device == "cpu" and spec.get("cpu_bf16") is False and _room_for_float32(directory):
        model = model.float()  # bf16 without arithmetic for it takes ten times as long
    return model.to(device).eval(), info


def _room_for_float32(directory: Path) -> bool:
    """Whether twice the size of the weights is free in the main memory."""
    try:
        text = Path("/proc/meminfo").read_text("ascii")
    except OSError:
        return False
    free = next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("MemAvailable:")), 0)
    return 2.2 * sum(file.stat().st_size for file in directory.iterdir() if file.suffix in WEIGHT_SUFFIXES) < free


def answer(model: Any, template: Template, turns: Turns, spec: dict[str, Any]) -> tuple[str, bool]:
    """One greedy answer, and whether all numbers behind it were finite."""
    import torch

    ids = torch.tensor([template.prompt(turns)], device=model.device)
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=int(spec.get("max_new_tokens") or 64),
            max_time=float(spec.get("max_seconds") or 60),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=template.stops(),
            pad_token_id=template.tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )
    finite = all(bool(torch.isfinite(step).all()) for step in made.logits)
    text = template.tokenizer.decode(made.sequences[0, ids.shape[1] :], skip_special_tokens=True)
    return str(text).strip(), finite
