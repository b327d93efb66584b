"""Every entry of the catalogue on logs that show it, in the forms in which such logs come; none on healthy logs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sft_tui.factory.failures import diagnose_file, diagnose_text, last_exception
from sft_tui.factory.failures.catalogue import entries
from tests.unit.factory.failures.corpus import FAILED, HEALTHY, entry_of

WITHOUT_LOG = {"killed"}
"""Told from others by a fact only (see test_facts)."""


def test_every_entry_has_a_log() -> None:
    assert {entry.id for entry in entries()} - {entry_of(path) for path in FAILED} == WITHOUT_LOG


@pytest.mark.parametrize("path", FAILED, ids=lambda path: path.stem)
def test_a_failure_is_recognised(path: Path) -> None:
    found = diagnose_file(path)
    assert [entry_of(path)] == [diagnosis.id for diagnosis in found][:1]
    assert found[0].line
    assert found[0].fixes


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
def test_a_healthy_log_gives_nothing(path: Path) -> None:
    assert diagnose_file(path) == []


BAR = "\r 28%|██▊       | 143/507 [04:46<12:08,  2.00s/it]"


def with_ranks(text: str) -> str:
    """As torch prints a traceback since 2.4: each line of it with its rank."""
    out, inside = [], False
    for line in text.split("\n"):
        inside = inside or line.startswith("Traceback (most recent call last)")
        out.append(f"[rank3]: {line}" if inside and not line.startswith("[rank") else line)
    return "\n".join(out)


def with_torchrun(text: str) -> str:
    """With the launcher's own tracebacks behind it."""
    return text + (
        "Traceback (most recent call last):\n"
        '  File "/opt/env/bin/torchrun", line 8, in <module>\n    sys.exit(main())\n'
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
        "============================================================\n"
        "launcher.py FAILED\n"
        "Traceback (most recent call last):\n"
        '  File "/opt/env/bin/llamafactory-cli", line 8, in <module>\n    sys.exit(main())\n'
        "subprocess.CalledProcessError: Command '['torchrun', 'launcher.py']' returned non-zero exit status 1.\n"
    )


def with_old_noise(text: str) -> str:
    """Behind a long line of progress bars of an earlier part."""
    lines = [f"\r{n % 100:3}%|{'█' * 10}| {n}/90000 [00:10<99:00, 1.00it/s]" for n in range(3_000)]
    return "Loading checkpoint shards: 100%" + "".join(lines).replace("\r", "\rMap: ") + "\n" + text


FORMS: dict[str, Callable[[str], str]] = {
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "bar behind": lambda text: text.rstrip("\n") + "\n" + BAR.replace("143", "0"),
    "colours": lambda text: re.sub(r"(?m)^(\w+(?:\.\w+)*Error:)", "\x1b[31m\\1\x1b[0m", text),
    "ranks": with_ranks,
    "torchrun": with_torchrun,
    "noise": with_old_noise,
    "windows": lambda text: re.sub(r'(?m)^  File "(.*?)"', lambda m: f'  File "C:{m[1]}"'.replace("/", "\\"), text),
    "indented": lambda text: "".join(f"    {line}\n" for line in text.split("\n")),
    "time stamps": lambda text: "".join(f"[2024-08-10 20:23:00] {line}\n" for line in text.split("\n")),
    "ray": lambda text: "".join(f"(RayTrainWorker pid=12, ip=10.0.0.3) {line}\n" for line in text.split("\n")),
    "pdsh": lambda text: "".join(f"worker-1: {line}\n" for line in text.split("\n")),
    "srun": lambda text: "".join(f"0: {line}\n" for line in text.split("\n")),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_is_recognised_in_each_form(form: str) -> None:
    wrong = {}
    for path in FAILED:
        found = diagnose_text(FORMS[form](path.read_text(encoding="utf-8")))
        silent = form == "torchrun" and entry_of(path) == "webui-stall"  # a training that ended does not stand still
        if not silent and [entry_of(path)] != [diagnosis.id for diagnosis in found][:1]:
            wrong[path.name] = [diagnosis.id for diagnosis in found]
    assert wrong == {}


@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"torchrun"}))
def test_a_healthy_log_gives_nothing_in_each_form(form: str) -> None:
    found = {path.name: diagnose_text(FORMS[form](path.read_text(encoding="utf-8"))) for path in HEALTHY}
    assert {name: [d.id for d in diagnoses] for name, diagnoses in found.items() if diagnoses} == {}


ONLY_IN_CONTEXT = {
    *("gpu-oom-later", "loss-nan", "endless-output", "webui-stall", "gpu-too-new", "json-invalid", "data-stream-empty"),
    *("columns-incomplete", "role-tags", "options-conflict", "not-writable", "packing-length", "torch-trio"),
    *("dataset-info-entry", "checkpoint-broken", "python-too-old", "adapter-config-broken.real-other-type"),
    *("weights-incomplete.real-index", "weights-incomplete.real-shard-name", "tokenizer-failed.real-pointer"),
    "adapter-missing.real-whole-model",
    *("tool-calls-invalid", "weights-other-model"),
    *("adapter-rank", "adapter-zero3", "port-in-use", "option-value", "option-not-a-number", "sample-values"),
}
"""What one line cannot tell from something else, what is no exception, or one of several lines."""


ALONE = [path for path in FAILED if not {entry_of(path), path.stem} & ONLY_IN_CONTEXT]


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_the_shown_line_alone_is_recognised(path: Path) -> None:
    line = diagnose_file(path)[0].line
    assert entry_of(path) in [diagnosis.id for diagnosis in diagnose_text(line)]


def test_failures_of_an_earlier_attempt_in_the_same_log_do_not_count() -> None:
    first = next(path for path in FAILED if path.name.startswith("gpu-oom.single"))
    second = next(path for path in FAILED if path.name.startswith("trainer-state-missing"))
    found = diagnose_text(first.read_text(encoding="utf-8") + second.read_text(encoding="utf-8"))
    assert [diagnosis.id for diagnosis in found] == ["trainer-state-missing"]


def test_an_unknown_failure_is_no_guess_but_its_exception_is_told() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n    g()\n'
        "zlib.error: incorrect header check\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in <module>\n    f()\n'
        "RuntimeError: the flux capacitor is empty\nand so is the tank\n\n" + BAR
    )
    assert diagnose_text(text) == []
    assert last_exception(text) == "zlib.error: incorrect header check"
    assert last_exception(with_torchrun(text)) == "zlib.error: incorrect header check"
    assert last_exception("all is well") is None


HANDLED = (
    "Traceback (most recent call last):\n"
    '  File "hub.py", line 1, in get\n    request()\n'
    "OSError: We couldn't connect to 'https://huggingface.co' to load this file\n"
    "[WARNING|hub.py:3] 2025-01-01 00:00:00,000 >> going on from the cache\n"
)


def test_the_last_of_two_tracebacks_comes_first() -> None:
    text = next(path for path in FAILED if path.name.startswith("packing-length")).read_text(encoding="utf-8")
    before, mark, after = text.partition("[INFO|trainer.py")
    assert diagnose_text(before + HANDLED + mark + after)[0].id == "packing-length"
    assert [diagnosis.id for diagnosis in diagnose_text(HANDLED)] == ["hub-unreachable"]


def test_a_rank_that_fails_before_rank_0_has_begun_counts() -> None:
    failed = 'Traceback (most recent call last):\n  File "a"\n    f()\nValueError: Template x does not exist.\n'
    text = (
        "[INFO|cli.py:1] >> Initializing 2 distributed tasks at: 127.0.0.1:29500\n"
        + with_ranks(failed)
        + "\n[INFO|2025-01-01 00:00:00] llamafactory.hparams.parser:1 >> Process rank: 0, world size: 2, device: cuda:0"
        ", distributed training: True, compute dtype: torch.bfloat16\n"
    )
    assert [diagnosis.id for diagnosis in diagnose_text(text)] == ["template-unknown"]


def test_steps_of_an_earlier_attempt_are_not_those_of_the_last() -> None:
    later = next(path for path in FAILED if path.name.startswith("gpu-oom-later.single"))
    first = next(path for path in FAILED if path.name.startswith("gpu-oom.single"))
    found = diagnose_text(later.read_text(encoding="utf-8") + first.read_text(encoding="utf-8"))
    assert [diagnosis.id for diagnosis in found] == ["gpu-oom"]
