"""The smallest tokenizer.json that is one: a byte-level BPE without merges, so that each byte is a token."""

from __future__ import annotations

from typing import Any

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTES = [chr(byte) for byte in _PRINTABLE] + [chr(0x100 + number) for number in range(len(_HIDDEN))]
_MARKS = {"<|im_start|>": 256, "<|im_end|>": 257}
_FLAGS = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [{"id": number, "content": mark, **_FLAGS} for mark, number in _MARKS.items()],
    "pre_tokenizer": _BYTE_LEVEL,
    "decoder": _BYTE_LEVEL,
    "model": {"type": "BPE", "vocab": {text: number for number, text in enumerate(_BYTES)} | _MARKS, "merges": []},
}
