"""The optimizer of a checkpoint, read from the names in its file; a spoilt file is not known, and raises nothing."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from pathlib import Path

from sft_tui.factory.check.saved_state import read_optimizer


def _saved(state: object) -> bytes:
    """As `torch.save` lays it out."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(state, protocol=2))
    return stream.getvalue()


def test_the_optimizer_is_known_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "optimizer.pt"
    path.write_bytes(_saved({"param_groups": [{"betas": (0.9, 0.999), "params": [0]}, {"params": [1]}]}))
    found = read_optimizer(path)
    assert found is not None and (found.kind, found.groups) == ("adam", 2)
    assert read_optimizer(tmp_path / "gone.pt") is None


def test_no_spoilt_file_raises(tmp_path: Path) -> None:
    whole, path, chance = _saved({"betas": (1, 2), "params": [1]}), tmp_path / "optimizer.pt", random.Random(1)
    for _round in range(1500):
        data = bytearray(whole)
        for _change in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.2 else data)
        read_optimizer(path)
