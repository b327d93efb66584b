"""Show samples as LLaMA-Factory will train on them: its own converter, template and processor, on its own terms.

Stand-alone: runs with the training environment's Python (3.10 or newer) and imports nothing of ours. Reads requests
from stdin, one JSON object a line, and answers each with one JSON object a line on stdout; everything that libraries
print goes to stderr. The first answer takes about 10 s, because LLaMA-Factory imports torch.

`{"op": "render", "model": DIR, "data_args": {...}, "entry": {...}, "samples": [...]}` ->
`{"ok": true, "rows": [{"ids", "labels", "tokens", "texts", "special", "full_length"} | {"error"}], "packed": [...]}`;
`entry` is the dataset's entry in dataset_info.json. `{"op": "frame", "model", "data_args"}` -> the fixed texts of the
template, for counting tokens in bulk. A request that fails is answered with `{"ok": false, "error": "..."}`.
"""

import copy
import json
import os
import sys

PLACE = "\ue000"
"""Stands for the content in the texts of a frame; no template uses it."""
TOKENIZERS = {}
ORIGINALS = {}


def load(request):
    """Tokenizer, processor, template and data arguments as a training run would have them."""
    from llamafactory.data import template as templates
    from llamafactory.hparams import DataArguments, ModelArguments
    from llamafactory.model import load_tokenizer

    options = dict(request.get("data_args") or {})
    data_args = DataArguments(dataset=["preview"], dataset_dir=request.get("dataset_dir") or ".", **options)
    name = data_args.template
    if name in templates.TEMPLATES:
        ORIGINALS.setdefault(name, copy.deepcopy(templates.TEMPLATES[name]))
        templates.TEMPLATES[name] = copy.deepcopy(ORIGINALS[name])
    model_options = {"model_name_or_path": request["model"], **(request.get("model_args") or {})}
    key = json.dumps([name, model_options], sort_keys=True)
    if key not in TOKENIZERS:
        TOKENIZERS[key] = load_tokenizer(ModelArguments(**model_options))
    module = copy.deepcopy(TOKENIZERS[key])
    template = templates.get_template_and_fix_tokenizer(module["tokenizer"], data_args)
    return module["tokenizer"], module["processor"], template, data_args


def aligned(request, data_args):
    """The samples in LLaMA-Factory's own inner format."""
    from llamafactory.data.converter import get_dataset_converter
    from llamafactory.data.parser import DatasetAttr

    attributes = DatasetAttr("file", dataset_name="preview")
    attributes.join(request["entry"])
    convert = get_dataset_converter(attributes.formatting, attributes, data_args)
    return [convert(sample) for sample in request["samples"]]


def batch_of(rows):
    """Rows as the columns that a processor takes."""
    keys = ("_prompt", "_response", "_system", "_tools", "_images", "_videos", "_audios")
    return {key: [row[key] for row in rows] for key in keys}


def render(request):
    """Ids and labels of each sample, and of the packed sequences where packing is on."""
    from llamafactory.data.processor import PackedSupervisedDatasetProcessor, SupervisedDatasetProcessor

    tokenizer, processor, template, data_args = load(request)
    rows = aligned(request, data_args)
    parts = {"template": template, "tokenizer": tokenizer, "processor": processor}
    single = SupervisedDatasetProcessor(data_args=data_args, **parts)
    endless_args = copy.copy(data_args)
    endless_args.cutoff_len = 1 << 30
    endless = SupervisedDatasetProcessor(data_args=endless_args, **parts)
    answer = {"ok": True, "cutoff_len": data_args.cutoff_len, "rows": []}
    kept = []
    for row in rows:
        try:
            found = single.preprocess_dataset(batch_of([row]))
            if not found.get("input_ids"):
                answer["rows"].append({"error": "LLaMA-Factory drops this sample: its turns are out of order."})
                continue
            full = endless.preprocess_dataset(batch_of([row]))
        except Exception as error:
            answer["rows"].append({"error": str(error) or type(error).__name__})
            continue
        kept.append(row)
        full_length = len(full["input_ids"][0])
        answer["rows"].append(described(tokenizer, found["input_ids"][0], found["labels"][0], full_length))
    if data_args.packing and kept:
        packed = PackedSupervisedDatasetProcessor(data_args=data_args, **parts).preprocess_dataset(batch_of(kept))
        answer["packed"] = [
            {"ids": list(ids), "labels": list(labels), "attention_mask": list(mask)}
            for ids, labels, mask in zip(packed["input_ids"], packed["labels"], packed["attention_mask"], strict=True)
        ]
    return answer


def described(tokenizer, ids, labels, full_length):
    """A sequence with the written form of each token."""
    special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", None) or {})
    return {
        "ids": list(ids),
        "labels": list(labels),
        "tokens": [str(token) for token in tokenizer.convert_ids_to_tokens(ids)],
        "texts": texts_of(tokenizer, ids),
        "special": [token in special for token in ids],
        "full_length": full_length,
    }


def texts_of(tokenizer, ids):
    """What each token writes; of a character that several tokens make up, all of it stands at the first of them."""
    texts = [tokenizer.decode([token], skip_special_tokens=False) for token in ids]
    for start, text in enumerate(texts):
        if "\ufffd" in text:
            for end in range(start + 2, min(start + 5, len(ids)) + 1):
                whole = tokenizer.decode(list(ids[start:end]), skip_special_tokens=False)
                if "\ufffd" not in whole:
                    texts[start:end] = [whole] + [""] * (end - start - 1)
                    break
    return texts


def frame(request):
    """The fixed texts of the template around contents: lists of texts and token ids for each role."""
    tokenizer, _processor, template, data_args = load(request)

    def slots(formatter, **values):
        found = []
        for slot in formatter.apply(**values):
            if isinstance(slot, str):
                found.append({"text": slot} if slot else None)
            elif isinstance(slot, dict):
                found.append({"id": tokenizer.convert_tokens_to_ids(slot.get("token"))})
            elif "bos_token" in slot and tokenizer.bos_token_id is not None:
                found.append({"id": tokenizer.bos_token_id})
            elif "eos_token" in slot and tokenizer.eos_token_id is not None:
                found.append({"id": tokenizer.eos_token_id})
        return [slot for slot in found if slot]

    kind = type(template).__name__
    thought = 0
    if "Reasoning" in kind:
        thought = len(template.get_thought_word_ids(tokenizer))
    return {
        "ok": True,
        "class": kind,
        "prefix": slots(template.format_prefix),
        "system": slots(template.format_system, content=PLACE),
        "user": slots(template.format_user, content=PLACE, idx="0"),
        "assistant": slots(template.format_assistant, content=PLACE),
        "observation": slots(template.format_observation, content=PLACE),
        "default_system": template.default_system,
        "efficient_eos": bool(template.efficient_eos),
        "thought": thought,
        "thought_words": list(template.thought_words),
        "thought_trained": bool(getattr(template, "enable_thinking", False)),
        "cutoff_len": data_args.cutoff_len,
        "added_tokens": {str(token): number for number, token in tokenizer.added_tokens_decoder.items()},
    }


OPERATIONS = {"render": render, "frame": frame}


def main():
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            request = json.loads(line)
            answer = OPERATIONS[request["op"]](request)
        except Exception as error:
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
