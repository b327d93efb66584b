"""Requests: taken once and in order, dropped where they cannot be read, none left over from before a start."""

from __future__ import annotations

import os
from pathlib import Path

from sft_tui.project.layout import RunLayout
from sft_tui.project.requests import Request, RequestKind, clear_requests, leave_request, take_requests


def _kinds(layout: RunLayout) -> list[RequestKind]:
    return [request.kind for request in take_requests(layout)]


def test_requests_come_in_order_and_once(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path, "apples")
    clear_requests(layout)
    leave_request(layout, Request(RequestKind.STOP, {"by": "me"}))
    leave_request(layout, Request(RequestKind.STOP_NOW))
    assert [request.details for request in take_requests(layout)] == [{"by": "me"}, {}]
    assert _kinds(layout) == [] and os.listdir(layout.requests) == []  # noqa: PTH208


def test_what_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path, "apples")
    layout.requests.mkdir(parents=True)
    for number, content in enumerate((b"", b"{", b"[" * 100_000, b"[]", b'{"kind": "dance"}', b'{"kind": []}')):
        (layout.requests / f"{number}-x.json").write_bytes(content)
    (layout.requests / "7-details.json").write_bytes(b'{"kind": "stop", "details": [1]}')
    (layout.requests / "8-x.json").symlink_to(tmp_path / "nowhere")
    assert list(take_requests(layout)) == [Request(RequestKind.STOP)]
    assert os.listdir(layout.requests) == []  # noqa: PTH208


def test_a_start_begins_without_old_requests(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path, "apples")
    leave_request(layout, Request(RequestKind.STOP))
    (layout.requests / "1-stop.json").mkdir()
    clear_requests(layout)
    assert _kinds(layout) == []
