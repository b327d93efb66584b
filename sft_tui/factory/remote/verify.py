"""Check a merged model: `python verify.py SPEC.json`, run by the training Python, where transformers is installed.

SPEC is an object with
    base            directory or hub id of the model that was fine-tuned
    adapter         directory of the LoRA adapter (or of the fully trained model), or null
    merged          directory of the exported model
    template        name of LLaMA-Factory's template, or null
    samples         rows as converted (Alpaca: instruction, input, output, system, history; or ShareGPT: conversations),
                    best of held-out ones; the first three are asked
    out             where the result is written
and, if wanted, `finetuning_type` (lora), `trust_remote_code` (false), `cutoff_len` (2048), `max_new_tokens` (64),
`device` (cpu, or auto: the GPU where the model fits), `cpu_bf16` (whether the processor computes in bf16),
`max_seconds` (60, for one answer).

The result is {"ok", "checks": [{"name", "status": "ok" | "failed" | "skipped" | "differs", "message", "said"}],
"samples": [{"prompt", "reference", "before", "after"}], "seconds"}, and "error" where the checks themselves broke
down. "said" holds the sentences of the message for translation (verify_words.py).
Exit status: 0 all is well, 1 a check failed, 2 the checks could not be made. At most one model is in memory at a time.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from verify_models import Template, Turns, answer, first_line, load_model, load_tokenizer, turns_of
from verify_words import N_, Said, plain, said

ASKED = 3


class Report:
    """The checks' results, said aloud as they come."""

    def __init__(self) -> None:
        self.checks: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.error: Said | None = None
        self._began = time.monotonic()

    def add(self, name: str, status: str, *sentences: Said) -> None:
        """Note one check's result."""
        message = " ".join(map(plain, sentences))
        self.checks.append({"name": name, "status": status, "message": message, "said": list(sentences)})
        print(f"verify: {name}: {status}: {message}", flush=True)

    @property
    def ok(self) -> bool:
        """No check failed, and all were made."""
        return self.error is None and all(check["status"] != "failed" for check in self.checks)

    def write(self, path: Path) -> None:
        """Write the result beside its place and rename it there."""
        result: dict[str, Any] = {"ok": self.ok, "checks": self.checks, "samples": self.samples}
        result["seconds"] = round(time.monotonic() - self._began, 1)
        if self.error is not None:
            result |= {"error": plain(self.error), "error_said": [self.error]}
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(result, file, ensure_ascii=False, indent=2)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)


def local_directory(name: str) -> Path | None:
    """Where a model lies on this machine: the directory itself or a hub's cache. Nothing is downloaded."""
    if Path(name).is_dir():
        return Path(name)
    try:
        if os.environ.get("USE_MODELSCOPE_HUB", "0").lower() in ("1", "true"):
            from modelscope import snapshot_download
        else:
            from huggingface_hub import snapshot_download
        return Path(snapshot_download(name, local_files_only=True))
    except (ImportError, OSError, ValueError):
        return None


def check_tokenizer(report: Report, spec: dict[str, Any], merged: Path, base: Path | None) -> Any:
    """The merged model's tokenizer: there, with the base's vocabulary, special tokens and chat template."""
    if not any((merged / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")):
        text = N_("{path} holds no tokenizer files (tokenizer.json). Export the model again.")
        report.add("tokenizer", "failed", said(text, path=str(merged)))
        return None
    try:
        tokenizer = load_tokenizer(merged, spec)
    except Exception as error:
        text = N_("The merged model's tokenizer does not load: {error}")
        report.add("tokenizer", "failed", said(text, error=first_line(error)))
        return None
    wrong = tokenizer_faults(tokenizer, load_tokenizer(base, spec) if base else None)
    if wrong:
        text = N_("The merged model's tokenizer is not complete: {faults}.")
        report.add("tokenizer", "failed", said(text, faults=wrong))
        return None
    text = (
        N_("The tokenizer is complete: {count} tokens, the base model's vocabulary.")
        if base
        else N_("The tokenizer is complete: {count} tokens; no base model to compare.")
    )
    report.add("tokenizer", "ok", said(text, count=len(tokenizer)))
    return tokenizer


def tokenizer_faults(tokenizer: Any, original: Any) -> list[Said]:
    """What a merged model's tokenizer lacks, compared with the base's where that is at hand."""
    wrong: list[Said] = []
    probe = "Hello, 你好 123"
    if not tokenizer(probe)["input_ids"]:
        wrong.append(said(N_("it makes no tokens from a text")))
    if tokenizer.eos_token_id is None:
        wrong.append(said(N_("it has no end-of-text token")))
    if original is None:
        return wrong
    ours, theirs = tokenizer.get_vocab(), original.get_vocab()
    lost = [token for token, number in theirs.items() if ours.get(token) != number]
    if lost:
        shown = ", ".join(repr(token) for token in sorted(lost)[:3])
        text = N_("{count} of the base model's {all} tokens are missing or renumbered ({some})")
        wrong.append(said(text, count=len(lost), all=len(theirs), some=shown))
    elif tokenizer(probe)["input_ids"] != original(probe)["input_ids"]:
        wrong.append(said(N_("it cuts a text into other tokens than the base model's")))
    gone = set(map(str, original.all_special_tokens)) - set(ours)
    if gone:
        wrong.append(said(N_("special tokens are missing: {tokens}"), tokens=", ".join(sorted(gone))))
    if original.chat_template and not tokenizer.chat_template:
        wrong.append(said(N_("the chat template is missing")))
    return wrong


def check_prompts(report: Report, chat_template: str | None, template: Template) -> None:
    """Whether who uses the merged model by its chat template asks it as the training did."""
    if template.template is None or not chat_template:
        text = N_("There is no chat template, or LLaMA-Factory's template cannot be asked.")
        report.add("prompts", "skipped", said(text))
        return
    apart = template.parts_from(chat_template)
    if apart is None:
        report.add("prompts", "ok", said(N_("Its chat template writes the prompts that it was trained with.")))
    else:
        text = N_("Training wrote other prompts than its chat template does: {difference}.")
        report.add("prompts", "differs", said(text, difference=apart))


def check_weights(report: Report, spec: dict[str, Any], merged: Path, base: Path | None) -> None:
    """Two checks: the weights differ from the base model's, and they are the base's plus the adapter's change."""
    from verify_weights import Adapter, Weights, compare, read_adapter

    if base is None:
        for name in ("changed", "agrees"):
            text = N_("The base model {model} is not on this machine.")
            report.add(name, "skipped", said(text, model=str(spec.get("base"))))
        return
    folder = Path(spec["adapter"]) if spec.get("adapter") else None
    kind = spec.get("finetuning_type") or "lora"
    adapter = None
    reason: Said | None = said(N_("There is no adapter to compare with (finetuning_type: {kind})."), kind=kind)
    reference = base
    if folder is not None and (folder / "adapter_config.json").is_file():
        adapter = read_adapter(folder)
        reason = said(N_("Not compared: {reason}."), reason=adapter.reason)
    elif folder is not None and (folder / "config.json").is_file():
        reference = folder  # the whole model was trained: the export must hold the trained weights
    elif folder is not None and kind == "lora":
        text = N_("There is no adapter in {path}: adapter_config.json is missing.")
        report.add("agrees", "failed", said(text, path=str(folder)))
        reason = None
    print("verify: comparing weights", flush=True)
    try:
        theirs = Weights(merged)
        found = compare(Weights(base), theirs, adapter)
    except Exception as error:  # files that cannot be read; whether the merged model loads is a check of its own
        for name in ("changed", "agrees"):
            text = N_("Not compared: the weights cannot be read: {error}")
            report.add(name, "skipped", said(text, error=first_line(error)))
        return
    if found.changed:
        text = N_("{count} of {all} tensors differ from the base model.")
        report.add("changed", "ok", said(text, count=found.changed, all=found.tensors))
    else:
        text = N_("The merged weights are the base model's: training has left no trace in them.")
        report.add("changed", "failed", said(text))
    if adapter is not None and adapter.reason is None:
        report_agreement(report, found, theirs)
    elif reference != base:
        report_agreement(report, compare(Weights(reference), theirs, Adapter()), theirs)
    elif reason:
        report.add("agrees", "skipped", reason)


def report_agreement(report: Report, found: Any, merged: Any) -> None:
    """Say whether the merged weights are the ones that the parts give."""

    def some(names: list[str]) -> Said:
        return said(N_("{count} tensors, such as {name}"), count=len(names), name=names[0])

    if found.missing:
        report.add("agrees", "failed", said(N_("The merged model lacks {tensors}."), tensors=some(found.missing)))
    elif found.wrong:
        text = N_("More than rounding separates the merged weights from base + adapter in {tensors}.")
        report.add("agrees", "failed", said(text, tensors=some(found.wrong)))
    elif found.carried is not None and not 0.9 < found.carried < 1.1:
        text = N_("Only {share} of the adapter's change is in the merged weights.")
        report.add("agrees", "failed", said(text, share=f"{found.carried:.0%}"))
    elif found.unmatched and not found.updated:
        text = N_("The adapter's names do not occur in the base model's files ({name}).")
        report.add("agrees", "skipped", said(text, name=found.unmatched[0]))
    else:
        text = N_("{all} tensors agree with base + adapter, {count} of them changed by it.")
        sentences = [said(text, all=found.tensors, count=found.updated)]
        if found.updated and found.carried is None:
            sentences.append(said(N_("The change is so small that rounding has swallowed it.")))
        if found.unmatched:
            sentences.append(said(N_("Not compared: {reason}."), reason=some(found.unmatched)))
        if found.resized:
            sentences.append(said(N_("The vocabulary's size changed in {tensors}."), tensors=some(found.resized)))
        report.add("agrees", "ok", *sentences)


def ask_base(report: Report, spec: dict[str, Any], base: Path, asked: list[Turns]) -> None:
    """Fill in the answers before training. A base model that cannot answer is no fault of the merged one."""
    try:
        model, _info = load_model(spec, base)
        template = Template(spec, load_tokenizer(base, spec))
        for turns, row in zip(asked, report.samples, strict=True):
            row["before"] = answer(model, template, turns, spec)[0]
    except Exception as error:
        print(f"verify: the base model gave no answers ({first_line(error)})", flush=True)


def check_answers(
    report: Report, spec: dict[str, Any], merged: Path, template: Template | None, asked: list[Turns]
) -> None:
    """Two checks: the merged model loads, with every weight, and answers."""
    print(f"verify: loading {merged}", flush=True)
    try:
        model, info = load_model(spec, merged)
    except Exception as error:
        text = N_("{path} does not load with transformers: {error}")
        report.add("loads", "failed", said(text, path=str(merged), error=first_line(error)))
        report.add("answers", "skipped", said(N_("The merged model does not load.")))
        return
    missing, kind = sorted(info.get("missing_keys") or []), type(model).__name__
    if missing:
        text = N_("{path} lacks {count} weights, such as {name}; transformers made them up.")
        report.add("loads", "failed", said(text, path=str(merged), count=len(missing), name=missing[0]))
    else:
        text = N_("It loads with plain transformers: {kind}, {count} weights.")
        report.add("loads", "ok", said(text, kind=kind, count=f"{model.num_parameters():,}"))
    if template is None:
        report.add("answers", "skipped", said(N_("Without its tokenizer the merged model cannot be asked.")))
        return
    finite = True
    for turns, row in zip(asked, report.samples, strict=True):
        row["after"], fine = answer(model, template, turns, spec)
        finite = finite and fine
        print(
            f"verify: asked: {row['prompt']!r}\nverify: before: {row['before']!r}\nverify: after: {row['after']!r}",
            flush=True,
        )
    given = sum(bool(row["after"]) for row in report.samples)
    if not finite:
        text = N_("The merged model computes numbers that are not finite (NaN or infinity).")
        report.add("answers", "failed", said(text))
    elif not given:
        text = N_("The merged model gives an empty answer to each of {count} prompts.")
        report.add("answers", "failed", said(text, count=len(report.samples)))
    else:
        text = N_("It answers {count} of {all} sample prompts.")
        report.add("answers", "ok", said(text, count=given, all=len(report.samples)))


def verify(spec: dict[str, Any], report: Report) -> None:
    """Make all checks. The base model is let go before the merged one is loaded."""
    merged = Path(spec["merged"])
    if not (merged / "config.json").is_file():
        text = N_("{path} is no model directory: config.json is missing.")
        report.add("loads", "failed", said(text, path=str(merged)))
        return
    base = local_directory(str(spec["base"])) if spec.get("base") else None
    asked = [turns_of(sample) for sample in (spec.get("samples") or [{"instruction": "你好！ Hello!"}])[:ASKED]]
    report.samples = [
        {"prompt": turns.question, "reference": turns.reference, "before": None, "after": None} for turns in asked
    ]
    tokenizer = check_tokenizer(report, spec, merged, base)
    template = None
    if tokenizer is not None:
        chat_template = tokenizer.chat_template  # LLaMA-Factory may replace it in memory
        template = Template(spec, tokenizer)
        check_prompts(report, chat_template if isinstance(chat_template, str) else None, template)
    check_weights(report, spec, merged, base)
    if base is not None:
        ask_base(report, spec, base, asked)
        gc.collect()
    check_answers(report, spec, merged, template, asked)


def main(arguments: list[str]) -> int:
    """Read the spec, check, write the result; the exit status is described at the top."""
    if len(arguments) != 1:
        print("usage: python verify.py SPEC.json", file=sys.stderr)
        return 2
    # Threads that wait for each other actively stand still for minutes when another process wants the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    report = Report()
    try:
        spec = json.loads(Path(arguments[0]).read_text("utf-8"))
        out = Path(spec["out"])
    except (OSError, ValueError, KeyError) as error:
        print(f"verify: {arguments[0]} cannot be used: {first_line(error)}", file=sys.stderr)
        return 2
    try:
        verify(spec, report)
    except Exception as error:
        traceback.print_exc()
        report.error = said(N_("The checks could not be made: {error}"), error=first_line(error))
        print(f"verify: {plain(report.error)}", file=sys.stderr)
    report.write(out)
    return 2 if report.error is not None else 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
