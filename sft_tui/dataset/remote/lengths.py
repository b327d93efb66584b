"""Count the tokens of written rows in bulk, as LLaMA-Factory will cut them into turns and truncate them.

Stand-alone: needs only the library `tokenizers` (or `transformers`, for a model without `tokenizer.json`). Usage:
`lengths.py REQUEST.json`, written rows on stdin as JSON Lines, the result as JSON on stdout. The request holds
`model` (a directory), `cutoff_len` and `frame`, the fixed texts of the template (null: the texts alone are counted).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

PLACE = "\ue000"
_ROWS_A_BATCH = 2000
_MOST_CACHED = 10_000
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
Slot = dict[str, Any]


class Pieces:
    """The pieces that a byte-pair tokenizer cuts a text into before it merges anything: most come again and again.

    No merge crosses them, so each needs to be counted once. The tokenizer's own pattern cuts, here by `regex`, which
    agrees with the tokenizer but for characters that newer versions of Unicode know; texts with such are left to it.
    """

    _MOST_CHARACTERS = 8_000_000
    _ENOUGH = 1_000_000
    _RARE = "[\U00010000-\U0001f2ff\U0001f700-\U0001f8ff\U0001fa00-\U0010ffff]"
    _TRIED = 40

    def __init__(self, pattern: Any, special: Any, rare: Any) -> None:
        self._find, self._special, self._rare = pattern.findall, special, rare
        self._known: dict[str, int] = {}
        self._characters = self._learned = self._seen = 0

    @classmethod
    def of(cls, tokenizer: Any) -> Pieces | None:
        """Those of `tokenizer`; None where it cuts in other ways, or where `regex` is not installed."""
        try:
            regex = importlib.import_module("regex")
        except ImportError:
            return None
        described = json.loads(tokenizer.to_str())
        pattern, added = _pattern_of(described), described.get("added_tokens") or []
        plain = not any(token[key] for token in added for key in ("lstrip", "rstrip", "single_word", "normalized"))
        if pattern is None or not plain:
            return None
        names = sorted((regex.escape(token["content"]) for token in added), key=len, reverse=True)
        try:
            special = regex.compile("|".join(names)) if names else None
            return cls(regex.compile(pattern), special, regex.compile(cls._RARE))
        except regex.error:
            return None

    @property
    def pays(self) -> bool:
        """Whether most of the text came before; text that is new throughout is quicker left to the tokenizer."""
        return self._seen < self._ENOUGH or self._learned * 2 < self._seen

    def agree(self, texts: list[str], exact: Callable[[list[str]], list[int]]) -> bool:
        """Whether the counts of some of `texts` are those of the tokenizer."""
        some = texts[:: max(len(texts) // self._TRIED, 1)]
        return self.lengths(some, exact) == exact(some)

    def lengths(self, texts: list[str], exact: Callable[[list[str]], list[int]]) -> list[int]:
        """The number of tokens of each of `texts`; `exact` asks the tokenizer."""
        special, rare, find = self._special, self._rare.search, self._find
        cut: list[list[str] | None] = []
        marks: list[int] = []
        for text in texts:
            if not text.isascii() and rare(text):
                cut.append(None)
                marks.append(0)
                continue
            parts = special.split(text) if special is not None else [text]
            cut.append([piece for part in parts for piece in find(part)])
            marks.append(len(parts) - 1)
        self._learn(cut, exact)
        self._seen += sum(map(len, texts))
        known = self._known.__getitem__
        left = iter(exact([text for text, pieces in zip(texts, cut) if pieces is None]))  # noqa: B905
        return [
            next(left) if pieces is None else count + sum(map(known, pieces))
            for pieces, count in zip(cut, marks)  # noqa: B905
        ]

    def _learn(self, cut: list[list[str] | None], exact: Callable[[list[str]], list[int]]) -> None:
        known = self._known
        if self._characters > self._MOST_CHARACTERS:
            known.clear()
            self._characters = 0
        new = list({piece for pieces in cut if pieces is not None for piece in pieces if piece not in known})
        known.update(zip(new, exact(new)))  # noqa: B905
        learned = sum(map(len, new))
        self._characters += learned
        self._learned += learned


def _pattern_of(described: dict[str, Any]) -> str | None:
    """The pattern that cuts a text for a byte-pair tokenizer as Qwen's, Llama 3's and GPT-2's are; None for others."""
    model, cutter = described.get("model") or {}, described.get("pre_tokenizer") or {}
    if model.get("type") != "BPE" or model.get("dropout"):
        return None
    if (described.get("normalizer") or {"type": "NFC"})["type"] != "NFC":
        return None
    parts = cutter.get("pretokenizers") if cutter.get("type") == "Sequence" else [cutter]
    if not parts or parts[-1].get("type") != "ByteLevel" or parts[-1].get("add_prefix_space"):
        return None
    if len(parts) == 1 and parts[0].get("use_regex"):
        return _GPT2
    if len(parts) != 2 or parts[1].get("use_regex") or parts[0].get("type") != "Split":
        return None
    pattern = (parts[0].get("pattern") or {}).get("Regex")
    return pattern if parts[0].get("behavior") == "Isolated" and not parts[0].get("invert") else None


class Counting:
    """How many tokens texts have, many at once."""

    def __init__(self, model: Path, added: dict[str, int]) -> None:
        self._known: dict[str, int] = {}
        path = model / "tokenizer.json"
        if path.is_file():
            tokenizers = importlib.import_module("tokenizers")
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            missing = [token for token in added if self._tokenizer.token_to_id(token) is None]
            if missing:
                make = tokenizers.AddedToken
                self._tokenizer.add_special_tokens([make(token, special=True, normalized=False) for token in missing])
            self._encode = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
            self._pieces = Pieces.of(self._tokenizer)
            self._composes = self._take_over_composing()
            if self._tokenizer.normalizer is not None:
                self._pieces = None
            self._lengths = self._fast
        else:
            transformers = importlib.import_module("transformers")
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model))
            self._lengths = self._slow

    def _take_over_composing(self) -> bool:
        """Whether texts must be brought to their composed form before the tokenizer gets them.

        Python sees at a glance that a text has it already, which nearly all have; the tokenizer rebuilds each.
        """
        if type(self._tokenizer.normalizer).__name__ != "NFC":
            return False
        try:
            self._tokenizer.normalizer = None
        except TypeError:
            return False
        return True

    def _fast(self, texts: list[str]) -> list[int]:
        if self._composes:
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        if self._pieces is not None:
            if self._pieces.pays and self._pieces.agree(texts, self._exact):
                return self._pieces.lengths(texts, self._exact)
            self._pieces = None
        return self._exact(texts)

    def _exact(self, texts: list[str]) -> list[int]:
        return [len(found) for found in self._encode(texts, add_special_tokens=False)]

    def _slow(self, texts: list[str]) -> list[int]:
        found = self._tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [len(ids) for ids in found]

    def lengths(self, texts: list[str]) -> list[int]:
        """The number of tokens of each of `texts`."""
        return self._lengths(texts) if texts else []

    def length(self, text: str) -> int:
        """The number of tokens of a text that comes again and again."""
        if text not in self._known:
            if len(self._known) >= _MOST_CACHED:
                self._known.clear()
            self._known[text] = self._lengths([text])[0]
        return self._known[text]


@dataclass
class Frame:
    """The fixed texts around contents; without a template there are none."""

    prefix: list[Slot] = field(default_factory=list)
    system: list[Slot] = field(default_factory=lambda: [{"text": PLACE}])
    user: list[Slot] = field(default_factory=lambda: [{"text": PLACE}])
    assistant: list[Slot] = field(default_factory=lambda: [{"text": PLACE}])
    observation: list[Slot] = field(default_factory=lambda: [{"text": PLACE}])
    default_system: str = ""
    efficient_eos: bool = False
    thought: int = 0
    thought_words: list[str] = field(default_factory=list)
    thought_trained: bool = False

    @classmethod
    def of(cls, answer: dict[str, Any] | None) -> Frame:
        """The frame in the answer of the render script."""
        known = cls.__dataclass_fields__
        return cls(**{key: value for key, value in (answer or {}).items() if key in known})


@dataclass
class Turn:
    """Tokens known so far of a prompt and of its answer, and the texts that are still to be counted."""

    tokens: list[int] = field(default_factory=lambda: [0, 0])


def messages_of(row: dict[str, Any]) -> tuple[str, str, list[tuple[str, str]]]:
    """System text, tools and (side, text) of each turn of a written row."""
    system, tools = str(row.get("system") or ""), str(row.get("tools") or "")
    if "conversations" in row:
        return system, tools, [(turn["from"], turn["value"]) for turn in row["conversations"]]
    turns = [(side, text) for pair in row.get("history") or () for side, text in zip(("human", "gpt"), pair)]  # noqa: B905
    prompt = "\n".join(text for text in (row.get("instruction"), row.get("input")) if text)
    return system, tools, [*turns, ("human", prompt), ("gpt", row["output"])]


def truncated(source: int, target: int, room: int) -> tuple[int, int]:
    """What LLaMA-Factory keeps of a prompt and an answer where `room` tokens are left (its `infer_seqlen`)."""
    if target * 2 < room:
        most = room
    elif source * 2 < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    kept = min(most, target)
    return min(max(room - kept, 0), source), kept


class Lengths:
    """Collects a histogram of the lengths."""

    def __init__(self, counting: Counting, frame: Frame, cutoff_len: int) -> None:
        self.counting, self.frame, self.cutoff_len = counting, frame, cutoff_len
        self.histogram: Counter[int] = Counter()
        self.truncated = self.kept = self.trained = self.trained_before = 0

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Count `rows`."""
        texts: list[str] = []
        owners: list[tuple[Turn, int]] = []
        found: list[list[Turn]] = []
        for row in rows:
            system, tools, messages = messages_of(row)
            turns = [Turn() for _pair in range(len(messages) // 2)]
            turns[0].tokens[0] += self._opening(system, tools)
            for at, (side, text) in enumerate(messages):
                turn, half = turns[at // 2], at % 2
                turn.tokens[half] += self._fixed(self._slots(side), text, texts, owners, (turn, half))
                if half and self.frame.thought and not any(w.strip() in text for w in self.frame.thought_words):
                    turn.tokens[1 if self.frame.thought_trained else 0] += self.frame.thought
            found.append(turns)
        for (turn, half), length in zip(owners, self.counting.lengths(texts)):  # noqa: B905
            turn.tokens[half] += length
        for turns in found:
            self._close(turns)

    def _slots(self, side: str) -> list[Slot]:
        if side == "human":
            return self.frame.user
        return self.frame.observation if side == "observation" else self.frame.assistant

    def _opening(self, system: str, tools: str) -> int:
        """Prefix and system turn."""
        count = sum(1 if "id" in slot else self.counting.length(slot["text"]) for slot in self.frame.prefix)
        text = (system or self.frame.default_system) + tools
        if not text:
            return count
        for slot in self.frame.system:
            count += 1 if "id" in slot else self.counting.length(slot["text"].replace(PLACE, text, 1))
        return count

    def _fixed(
        self, slots: list[Slot], text: str, texts: list[str], owners: list[tuple[Turn, int]], owner: tuple[Turn, int]
    ) -> int:
        """The tokens that do not depend on `text`; what does is put on the list to be counted."""
        count = 0
        for slot in slots:
            if "id" in slot:
                count += 1
            elif PLACE in slot["text"]:
                texts.append(slot["text"].replace(PLACE, text, 1))
                owners.append(owner)
            else:
                count += self.counting.length(slot["text"])
        return count

    def _close(self, turns: list[Turn]) -> None:
        end = 1 if self.frame.efficient_eos else 0
        full, used, trained = end, end, end
        for turn in turns:
            source, target = turn.tokens
            full += source + target
            self.trained_before += target
            if used < self.cutoff_len:
                source, target = truncated(source, target, self.cutoff_len - used)
                used += source + target
                trained += target
        self.histogram[full] += 1
        self.truncated += full > used
        self.kept += used
        self.trained += trained

    def answer(self) -> dict[str, Any]:
        """What was counted."""
        return {
            "histogram": sorted(self.histogram.items()),
            "truncated": self.truncated,
            "kept_tokens": self.kept,
            "trained_tokens": self.trained,
        }


def batches(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    """Rows in batches."""
    loads = json.loads
    with contextlib.suppress(ImportError):
        loads = importlib.import_module("orjson").loads
    rows = (loads(line) for line in lines)
    while batch := list(islice(rows, _ROWS_A_BATCH)):
        yield batch


def ahead(rows: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """`rows`, the next batch of which is parsed while the tokens of this one are counted."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, rows, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, rows, None)
            yield batch


def main() -> None:
    """Count what comes on stdin."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    frame = request.get("frame")
    counting = Counting(Path(request["model"]), (frame or {}).get("added_tokens") or {})
    lengths = Lengths(counting, Frame.of(frame), int(request["cutoff_len"]))
    for batch in ahead(batches(sys.stdin.buffer)):
        lengths.add(batch)
    sys.stdout.write(json.dumps(lengths.answer()) + "\n")


if __name__ == "__main__":
    main()
