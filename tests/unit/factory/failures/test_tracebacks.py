"""Chains of exceptions, several ranks at once, tracebacks that do not matter."""

from __future__ import annotations

from sft_tui.factory.failures.lines import clean_lines
from sft_tui.factory.failures.tracebacks import Failure, find_failures


def failures(text: str) -> list[Failure]:
    return find_failures(clean_lines(text))


def names(text: str) -> list[list[str]]:
    return [[raised.text for raised in failure.chain] for failure in failures(text)]


CHAIN = """Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
KeyError: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "a.py", line 2, in <module>
    f()
    ^^^
app.errors.ConfigError: bad
"""


def test_a_chain_begins_with_its_root() -> None:
    assert names(CHAIN) == [["KeyError: 'x'", "app.errors.ConfigError: bad"]]
    assert "g()" in failures(CHAIN)[0].chain[0].frames


def test_interleaved_ranks_are_taken_apart() -> None:
    first = [f"[rank0]: {line}" for line in CHAIN.splitlines()]
    second = [f"[rank11]: {line.replace('bad', 'worse')}" for line in CHAIN.splitlines()]
    mixed = "\n".join(line for pair in zip(first, second, strict=True) for line in pair)
    assert names(mixed) == [
        ["KeyError: 'x'", "app.errors.ConfigError: bad"],
        ["KeyError: 'x'", "app.errors.ConfigError: worse"],
    ]
    assert [failure.stream for failure in failures(mixed)] == ["0", "11"]


def test_a_message_of_several_lines_ends_where_the_log_goes_on() -> None:
    text = "RuntimeError: Error(s) in loading:\n\tsize mismatch for a\n\tsize mismatch for b\n[INFO|x] >> next\n"
    assert names(text) == [["RuntimeError: Error(s) in loading:\nsize mismatch for a\n\tsize mismatch for b"]] or names(
        text
    ) == [["RuntimeError: Error(s) in loading:\n\tsize mismatch for a\n\tsize mismatch for b"]]


def test_a_bar_before_and_behind_does_not_hide_an_exception() -> None:
    bar = "\r  0%|          | 0/4 [00:00<?, ?it/s]"
    assert names(f"{bar}Traceback (most recent call last):\n  File\nValueError: no{bar}\n") == [["ValueError: no"]]


def test_ignored_tracebacks_are_marked() -> None:
    text = 'Exception ignored in: <f>\nTraceback (most recent call last):\n  File "a"\nOSError: bad descriptor\n'
    assert [failure.ignored for failure in failures(text)] == [True]


def test_exceptions_without_a_message() -> None:
    text = 'Traceback (most recent call last):\n  File "a"\n    next(x)\nStopIteration\n'
    assert names(text) == [["StopIteration"]]
    assert names(text.replace("StopIteration", "MemoryError")) == [["MemoryError"]]


def test_warnings_and_prose_are_no_exceptions() -> None:
    text = (
        "/x.py:1: UserWarning: an Error: here\nFutureWarning: old\nError handling is described below:\n"
        "Note: ValueErrors are raised\n[WARNING|a] >> Cannot save tokenizer: OSError: no\nresult: ok\n"
    )
    assert names(text) == []


def test_an_exception_in_the_words_of_a_script() -> None:
    found = failures("命令执行失败: ValueError: Template x does not exist.\n")
    assert [failure.embedded for failure in found] == [True]
    assert found[0].chain[0].text == "ValueError: Template x does not exist."


def test_launchers_are_wrappers() -> None:
    text = "subprocess.CalledProcessError: Command '['torchrun']' returned non-zero exit status 1.\n"
    assert failures(text)[0].is_wrapper


def test_lines_that_lost_their_ends_are_taken_apart() -> None:
    text = (
        '[rank6]: Traceback (most recent call last): [rank6]:   File "/a/b.py", line 1, in f [rank6]:     g() '
        "[rank6]: ValueError: Image features and image tokens do not match: tokens: 2456, features 3360\n"
    )
    assert names(text) == [["ValueError: Image features and image tokens do not match: tokens: 2456, features 3360"]]


def test_time_stamps_before_ranks() -> None:
    lines = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()", "KeyError: 'x'"]
    text = "".join(f"2024-09-26 07:59:39.732000: [rank2]: {line}\n" for line in lines)
    assert names(text) == [["KeyError: 'x'"]]
    assert failures(text)[0].stream == "2"
    assert "g()" in failures(text)[0].chain[0].frames
