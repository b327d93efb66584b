"""The smallest tokenizer.json that is one: a byte-level BPE without merges."""

from __future__ import annotations

from typing import Any

_VOCABULARY = {chr(0x100 + i): i for i in range(256)} | {"<|im_start|>": 256, "<|im_end|>": 257}
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "added_tokens": [
        {"id": 256, "content": "<|im_start|>", "special": True},
        {"id": 257, "content": "<|im_end|>", "special": True},
    ],
    "model": {"type": "BPE", "vocab": _VOCABULARY, "merges": []},
}
