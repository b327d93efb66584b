"""Make the demo's model: a Qwen2 of under a million weights with its own tokenizer, brought up on `knowledge.py`.

    python data/demo/make_model.py [--steps N] [--out DIR]

Run it with the training Python (torch, transformers, tokenizers). Deterministic on one machine; 8 minutes on one core.
In chats the model learns the long-winded answers only (`Item.wordy`); short ones it knows from plain text.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from knowledge import Item, arithmetic, everything, facts, talk
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
SYSTEMS = (
    "你是一个有用的AI助手。",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "You are a helpful assistant.",
    "",
)
INSTRUCTIONS = ("请根据问题给出准确的回答。", "请回答下面的问题。", "Please answer the question.", "")
VOCABULARY = 1536
BATCH = 32
WARMUP = 100
PEAK_RATE = 4e-3
TEXT_SHARE = 0.4  # of the samples; the others are chats


def make_tokenizer(items: list[Item]) -> Tokenizer:
    """A byte-level BPE that splits like Qwen's; any character can be written, by its bytes if need be."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=15,
        show_progress=False,
    )
    texts = [text for item in items for text in (item.question, item.brief, item.wordy)]
    tokenizer.train_from_iterator([*texts, *SYSTEMS, *INSTRUCTIONS], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """Write tokenizer.json and a tokenizer_config.json that every transformers since 4.40 reads."""
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "padding_side": "right",
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", "utf-8")


def make_model(tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    """An untrained model: 4 layers of width 96, tied embeddings."""
    end = tokenizer.token_to_id("<|im_end|>")
    pad = tokenizer.token_to_id("<|endoftext|>")
    config = Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rope_theta=10000.0,
        tie_word_embeddings=True,
        bos_token_id=pad,
        eos_token_id=end,
        pad_token_id=pad,
    )
    return Qwen2ForCausalLM(config)


class Samples:
    """An endless, seeded stream of (token ids, labels); labels are -100 where nothing is to be learnt."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tokenizer = tokenizer
        self.end = tokenizer.token_to_id("<|endoftext|>")
        by_topic: dict[str, list[Item]] = {}
        for item in everything():
            by_topic.setdefault(item.topic, []).append(item)
        self.by_topic = by_topic
        self.topics = sorted(by_topic)
        self.weights = [math.sqrt(min(max(len(by_topic[topic]), 36), 400)) for topic in self.topics]

    def _item(self) -> Item:
        topic = self.rng.choices(self.topics, self.weights)[0]
        return self.rng.choice(self.by_topic[topic])

    def chat(self) -> tuple[list[int], list[int]]:
        """A ChatML conversation with the long-winded answer; only the answer is learnt."""
        item, system, instruction = self._item(), self.rng.choice(SYSTEMS), self.rng.choice(INSTRUCTIONS)
        head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
        user = f"{instruction}\n{item.question}" if instruction else item.question
        prompt = self.tokenizer.encode(f"{head}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n").ids
        answer = self.tokenizer.encode(f"{item.wordy}<|im_end|>\n").ids
        return prompt + answer, [-100] * len(prompt) + answer

    def text(self) -> tuple[list[int], list[int]]:
        """A question and its answer as a book or a list puts it, in plain text; the answer is learnt."""
        item = self._item()
        mark = "问：" if item.chinese else "Question: "
        prompt = self.tokenizer.encode(f"{self.rng.choice((mark, ''))}{item.question}\n").ids
        answer = [*self.tokenizer.encode(self.rng.choice(item.notes)).ids, self.end]
        return prompt + answer, [-100] * len(prompt) + answer

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of similar length, padded on the right, as (ids, labels) of shape (BATCH, length)."""
        while True:
            pool = [self.text() if self.rng.random() < TEXT_SHARE else self.chat() for _ in range(BATCH * 16)]
            pool.sort(key=lambda sample: len(sample[0]))
            groups = [pool[i : i + BATCH] for i in range(0, len(pool), BATCH)]
            self.rng.shuffle(groups)
            for group in groups:
                length = max(len(ids) for ids, _ in group)
                ids = torch.full((BATCH, length), self.end)
                labels = torch.full((BATCH, length), -100)
                for row, (sample, target) in enumerate(group):
                    ids[row, : len(sample)] = torch.tensor(sample)
                    labels[row, : len(target)] = torch.tensor(target)
                yield ids, labels


def pretrain(model: Qwen2ForCausalLM, samples: Samples, steps: int) -> None:
    """Train for so many steps: AdamW, warm-up, cosine to nothing."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    began, mean = time.monotonic(), 0.0
    model.train()
    for step, (ids, labels) in enumerate(samples.batches()):
        if step == steps:
            return
        warm = min(1.0, (step + 1) / WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 99:
            print(f"step {step + 1}/{steps}  loss {mean:.4f}  {time.monotonic() - began:.0f} s", flush=True)


def ask(model: Qwen2ForCausalLM, tokenizer: Tokenizer, question: str) -> str:
    """The model's greedy answer to one question, in the demo's own prompt."""
    prompt = f"<|im_start|>system\n{SYSTEMS[0]}<|im_end|>\n<|im_start|>user\n{INSTRUCTIONS[0]}\n{question}<|im_end|>\n"
    ids = torch.tensor([tokenizer.encode(prompt + "<|im_start|>assistant\n").ids])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=120, do_sample=False)
    return str(tokenizer.decode(out[0, ids.shape[1] :].tolist()))


def main() -> None:
    """Make the tokenizer, train, show a few answers, write the directory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "model")
    options = parser.parse_args()
    torch.manual_seed(2026)
    torch.set_num_threads(1)  # the same sums in the same order, whatever the machine
    torch.use_deterministic_algorithms(True)
    options.out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(2026)
    small = [*facts(), *talk()]
    tokenizer = make_tokenizer([*rng.sample(list(arithmetic()), 400), *small])
    save_tokenizer(tokenizer, options.out)
    model = make_model(tokenizer)
    print(f"{model.num_parameters():,} weights, {tokenizer.get_vocab_size()} tokens", flush=True)
    pretrain(model, Samples(tokenizer, 2026), options.steps)
    model.eval()
    right = 0
    shown = rng.sample(everything(), 20) + rng.sample(small, 60)
    for n, item in enumerate(shown):
        answer = ask(model, tokenizer, item.question)
        right += answer == item.wordy
        if n % 20 == 0 or (answer != item.wordy and n - right < 12):
            print(f"Q {item.question}\nA {answer}")
    print(f"{right} of {len(shown)} answers word for word")
    model.generation_config.eos_token_id = [model.config.eos_token_id, model.config.pad_token_id]
    model.to(torch.bfloat16).save_pretrained(options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
