"""Conversion, preview and token counts side by side with what people use now: the guide's script and AutoTokenizer.

Each program runs as a process of its own on the same rows; time and peak memory are the kernel's. Only ratios count:
the machine may be busy. `python benchmarks/bench_convert.py [--rows N] [--full]`
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "data" / "demo" / "model"
_SAMPLE_ROWS = 20_000
_TIMES_FASTER, _TIMES_LESS_CPU, _MOST_MB = 15.0, 12.0, 400
"""What a conversion of 1,000,000 rows must reach against the guide's script; the start weighs more with fewer rows."""
_ENGLISH = "the quick brown fox jumps over a lazy dog while seven wizards brew strong coffee and talk about it"
_CHINESE = "小明有五个苹果吃了两个还剩几个请给出详细的解题步骤和最终答案谢谢你的帮助我们一起学习数学物理化学"
_GUIDE = """
import json, sys
import pandas as pd
source, target = sys.argv[1:3]
df = pd.read_parquet(source) if source.endswith(".parquet") else pd.read_csv(source)
samples = []
for _, row in df.iterrows():
    samples.append({
        "instruction": "请根据问题给出准确的回答。",
        "input": str(row["question"]).strip(),
        "output": str(row["answer"]).strip(),
        "system": "你是一个有用的AI助手。",
    })
with open(target, "w", encoding="utf-8") as f:
    json.dump(samples, f, ensure_ascii=False, indent=2)
"""
_ROW_BY_ROW = """
import json, sys
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
lengths = []
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    lengths.append(len(tokenizer(row["question"])["input_ids"]) + len(tokenizer(row["answer"])["input_ids"]))
print(sum(lengths))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds, seconds of processor time and peak memory of one process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(*words: str) -> Run:
    """Run a program to its end."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    started = time.perf_counter()
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)])
    _pid, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    os.close(quiet)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"failed: {' '.join(words[:6])}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def rows_of(count: int) -> Iterator[tuple[str, str]]:
    """Questions and answers of about 300 characters together, a quarter Chinese, the rest English, each different."""
    draw = random.Random(1)
    pool = [
        " ".join(draw.choices(_ENGLISH.split(), k=28)) if number % 4 else "".join(draw.choices(_CHINESE, k=150))
        for number in range(2000)
    ]
    for number in range(count):
        yield f"{number} {draw.choice(pool)}", f"{draw.choice(pool)} {number}"


def sources(folder: Path, count: int) -> dict[str, Path]:
    """The same rows as parquet, CSV and JSON Lines, made by another process: a child's peak counts from ours on."""
    run(sys.executable, str(Path(__file__)), "--make", str(count), "--dir", str(folder))
    return paths_of(folder, count)


def paths_of(folder: Path, count: int) -> dict[str, Path]:
    """Where the rows lie."""
    return {kind: folder / f"rows{count}.{kind}" for kind in ("parquet", "csv", "jsonl")}


def write_sources(folder: Path, count: int) -> None:
    """Write the rows as parquet, CSV and JSON Lines."""
    import csv

    import pyarrow as pa
    from pyarrow import parquet

    paths = paths_of(folder, count)
    schema = pa.schema([("question", pa.string()), ("answer", pa.string())])
    with (
        paths["csv"].open("w", encoding="utf-8", newline="") as table,
        paths["jsonl"].open("w", encoding="utf-8") as lines,
        parquet.ParquetWriter(paths["parquet"], schema) as writer,
    ):
        cells = csv.writer(table)
        cells.writerow(["question", "answer"])
        block: list[tuple[str, str]] = []
        for question, answer in rows_of(count):
            cells.writerow([question, answer])
            lines.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n")
            block.append((question, answer))
            if len(block) == 100_000:
                writer.write_table(_table(block, schema))
                block = []
        if block:
            writer.write_table(_table(block, schema))


def _table(block: Sequence[tuple[str, str]], schema: object) -> object:
    import pyarrow as pa

    return pa.table({"question": [q for q, _a in block], "answer": [a for _q, a in block]}, schema=schema)


def ours(source: Path, folder: Path, *more: str) -> Run:
    """Our conversion with the guide's texts."""
    texts = ["--instruction", "请根据问题给出准确的回答。", "--system", "你是一个有用的AI助手。"]
    out = folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    return run(
        sys.executable, "-m", "sft_tui.cli", "convert", str(source), "--out", str(out), "--json",
        "--input-column", "question", "--output-column", "answer", *texts, *more,
    )  # fmt: skip


def best_of(source: Path, folder: Path, *more: str) -> Run:
    """The least times and the highest peak of three conversions: other work on the machine only slows down."""
    runs = [ours(source, folder, *more) for _time in range(3)]
    return Run(min(r.seconds for r in runs), min(r.cpu_seconds for r in runs), max(r.peak_mb for r in runs))


def told(run: Run) -> str:
    """A run in words."""
    return f"{run.seconds:.2f} s (cpu {run.cpu_seconds:.2f}) {run.peak_mb:.0f} MB"


def show(name: str, ratio: float, wanted: float, detail: str, at_most: bool = False) -> bool:
    """One line of the result; whether the figure holds."""
    good = ratio <= wanted if at_most else ratio >= wanted
    verdict = "ok   " if good else "SHORT"
    print(f"{name:<44} {ratio:6.2f}x  {verdict} (wanted {'<=' if at_most else '>='} {wanted:g}x)  {detail}", flush=True)
    return good


def bench_conversion(folder: Path, count: int) -> bool:
    """The guide's script and ours on the same rows, and the memory for a third of them."""
    fine = True
    found = sources(folder, count)
    script = folder / "guide.py"
    script.write_text(_GUIDE, "utf-8")
    guide: dict[str, Run] = {}
    for kind, against in (("parquet", "parquet"), ("csv", "csv"), ("jsonl", "csv")):
        if kind == against:
            guide[kind] = run(sys.executable, str(script), str(found[kind]), str(folder / "guide.json"))
            (folder / "guide.json").unlink()
        mine = best_of(found[kind], folder)
        detail = f"guide {told(guide[against])}; ours {told(mine)}"
        name = f"convert {kind}, {count:,} rows"
        fine &= show(name, guide[against].seconds / mine.seconds, _TIMES_FASTER, detail)
        fine &= show("  in processor time", guide[against].cpu_seconds / mine.cpu_seconds, _TIMES_LESS_CPU, "")
        fine &= show("  memory of 400 MB", mine.peak_mb / _MOST_MB, 1.0, "", at_most=True)
        split = best_of(found[kind], folder, "--test-size", "0.1", "--dedupe")
        print(f"{'  with a split and without duplicates':<44} {guide[against].seconds / split.seconds:6.2f}x         "
              f"ours {told(split)}")  # fmt: skip
    small = sources(folder, count // 3)
    for kind in ("parquet", "csv", "jsonl"):
        one, three = best_of(small[kind], folder), best_of(found[kind], folder)
        fine &= show(
            f"memory for 3x the rows, {kind}",
            three.peak_mb / one.peak_mb,
            1.1,
            f"{one.peak_mb:.0f} MB, {three.peak_mb:.0f} MB",
            at_most=True,
        )
    for path in (*found.values(), *small.values()):
        path.unlink()
    return fine


def bench_preview(folder: Path, large_mb: int) -> bool:
    """The first page of a large file against that of a 10 MB one."""
    fine = True
    found = sources(folder, 20_000)
    for kind, source in found.items():
        small, large = folder / f"small.{kind}", folder / f"large.{kind}"
        run(sys.executable, str(Path(__file__)), "--repeat", str(source), "--mb", "10", "--to", str(small))
        run(sys.executable, str(Path(__file__)), "--repeat", str(source), "--mb", str(large_mb), "--to", str(large))
        times: dict[Path, list[float]] = {small: [], large: []}
        for _time in range(5):
            for path, seconds in times.items():
                words = (sys.executable, "-m", "sft_tui.cli", "preview", str(path), "--rows", "20", "--json")
                seconds.append(run(*words).seconds)
        size = large.stat().st_size / 1e6
        first, best = min(times[small]), min(times[large])
        detail = f"{first:.2f} s, {best:.2f} s"
        fine &= show(f"first page of {kind}, {size:,.0f} MB against 10", best / first, 1.5, detail, at_most=True)
        for path in (source, small, large):
            path.unlink()
    return fine


def write_repeated(source: Path, target: Path, megabytes: int) -> None:
    """The rows of `source` again and again, until there are so many MB."""
    size = megabytes * 1_000_000
    if source.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(source)
        with parquet.ParquetWriter(target, table.schema, compression="none", use_dictionary=False) as writer:
            written = 0
            while written < size:
                part = table.slice(0, max(table.num_rows * (size - written) // table.nbytes, 1))
                writer.write_table(part)
                written += part.nbytes
        return
    text = source.read_bytes()
    start = text.index(b"\n") + 1 if source.suffix == ".csv" else 0
    with target.open("wb") as stream:
        stream.write(text[: text.rfind(b"\n", 0, size) + 1])
        while stream.tell() < size - len(text):
            stream.write(text[start:])


def bench_lengths(folder: Path, count: int) -> bool:
    """Token counts of all rows against AutoTokenizer, row by row (a sample of the rows, the rest at the same pace)."""
    source, script, sample = folder / "rows.jsonl", folder / "row_by_row.py", folder / "sample.jsonl"
    rows = folder / "written.jsonl"
    with source.open("w", encoding="utf-8") as lines, rows.open("w", encoding="utf-8") as written:
        for question, answer in rows_of(count):
            lines.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n")
            row = {"instruction": "", "input": question, "output": answer}
            written.write(json.dumps(row, ensure_ascii=False) + "\n")
    script.write_text(_ROW_BY_ROW, "utf-8")
    seconds: dict[int, float] = {}
    for size in (min(count, _SAMPLE_ROWS) // 10, min(count, _SAMPLE_ROWS)):
        with source.open(encoding="utf-8") as lines:
            sample.write_text("".join(islice(lines, size)), "utf-8")
        seconds[size] = min(run(sys.executable, str(script), str(sample), str(MODEL)).seconds for _time in range(2))
    (few, short), (many, long) = seconds.items()
    theirs = long + (long - short) / (many - few) * (count - many)
    request = folder / "lengths.json"
    request.write_text(json.dumps({"model": str(MODEL), "cutoff_len": 2048, "frame": None}), "utf-8")
    counting = ROOT / "sft_tui" / "dataset" / "remote" / "lengths.py"
    mine = run("/bin/sh", "-c", f'"{sys.executable}" "{counting}" "{request}" < "{rows}"')
    told_of = f"row by row {theirs:.1f} s" + (f" (from {long:.1f} s for {many:,} rows)" if many < count else "")
    return show(f"token lengths of {count:,} rows", theirs / mine.seconds, 5.0, f"{told_of}, ours {told(mine)}")


def main(argv: Sequence[str] | None = None) -> bool:
    """Measure and print; whether every figure holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows for conversion (default 1,000,000)")
    parser.add_argument("--length-rows", type=int, default=20_000, help="rows for token lengths")
    parser.add_argument("--preview-mb", type=int, default=1000, help="size of the large file of the preview")
    parser.add_argument(
        "--quick", action="store_true", help="200,000 rows: the start weighs more, and the figures may fall short"
    )
    parser.add_argument("--full", action="store_true", help="token lengths of 1,000,000 rows, a file of 10 GB")
    parser.add_argument("--only", choices=("conversion", "preview", "lengths"), help="only one of the parts")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mb", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--dir", type=Path, help="where the files are made (default: a temporary directory)")
    args = parser.parse_args(argv)
    if args.make:
        write_sources(args.dir, args.make)
        return True
    if args.repeat:
        write_repeated(args.repeat, args.to, args.mb)
        return True
    count, length_rows, preview_mb = args.rows, args.length_rows, args.preview_mb
    if args.quick:
        count = 200_000
    if args.full:
        length_rows, preview_mb = 1_000_000, 10_000
    parts: dict[str, Callable[[Path], bool]] = {
        "conversion": lambda folder: bench_conversion(folder, count),
        "preview": lambda folder: bench_preview(folder, preview_mb),
        "lengths": lambda folder: bench_lengths(folder, length_rows),
    }
    fine = True
    with tempfile.TemporaryDirectory(prefix="sft-tui-bench-", dir=args.dir) as name:
        for part, measure in parts.items():
            if args.only in (None, part):
                fine &= measure(Path(name))
    return fine


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
