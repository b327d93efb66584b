"""Weight files without loading them: the header of a safetensors file says its size and the names of its tensors."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from sft_tui.i18n import _

_LFS = b"version https://git-lfs"
_MAX_HEADER = 100 << 20
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
OTHER_FORMATS = ("tf_model.h5", "flax_model.msgpack", "model.ckpt.index")


@dataclass(slots=True)
class Weights:
    """The weight files of a directory: which there are, the shapes of their tensors, and what is wrong with them."""

    files: list[Path] = field(default_factory=list)
    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    faults: list[tuple[str, str, Path]] = field(default_factory=list)

    @property
    def modules(self) -> set[str]:
        """The modules that own a tensor, by full name (`model.layers.0.self_attn.q_proj`)."""
        return {name.rpartition(".")[0] for name in self.tensors}

    @property
    def size_bytes(self) -> int:
        """What the weight files take on the disk."""
        return sum(path.stat().st_size for path in self.files)

    def fault(self, code: str, message: str, path: Path) -> None:
        """Note what is wrong with `path`."""
        self.faults.append((code, message, path))


def is_lfs_pointer(path: Path) -> bool:
    """Whether the file is the text that git leaves where `git lfs` did not run."""
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS)) == _LFS
    except OSError:
        return False


def read_weights(directory: Path) -> Weights:
    """The weights that transformers would load from `directory`, in its order of preference."""
    weights = Weights()
    for name, index in zip(SINGLE_FILES, INDEX_FILES, strict=True):
        if (directory / name).exists():
            _single(weights, directory / name)
            return weights
        if (directory / index).exists():
            _sharded(weights, directory, directory / index)
            return weights
    return weights


def _single(weights: Weights, path: Path) -> None:
    weights.files.append(path)
    _check_file(weights, path)


def _sharded(weights: Weights, directory: Path, index: Path) -> None:
    try:
        mapping = orjson.loads(index.read_bytes())["weight_map"]
        shards = sorted({str(name) for name in mapping.values()})
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        text = _("{file} is no list of weight files; a download was probably cut off.")
        weights.fault("bad_index", text.format(file=index.name), index)
        return
    weights.tensors.update({str(name): () for name in mapping})
    missing = [name for name in shards if not (directory / name).is_file()]
    if missing:
        text = _("{count} of {total} weight files are missing, the first is {file}.")
        message = text.format(count=len(missing), total=len(shards), file=missing[0])
        weights.fault("weights_missing", message, directory / missing[0])
    for name in shards:
        if name not in missing:
            weights.files.append(directory / name)
            _check_file(weights, directory / name)
            _check_listed(weights, directory / name, {t for t, file in mapping.items() if file == name})


def _check_listed(weights: Weights, path: Path, listed: set[str]) -> None:
    """Tensors that the index looks for in a file that does not hold them would start from random numbers."""
    held = Weights()
    if path.suffix == ".safetensors":
        check_safetensors(held, path, path.stat().st_size)
    lacking = sorted(listed - set(held.tensors)) if held.tensors else []
    if lacking:
        text = _("The index looks for {tensor} in {file}, which does not hold it.")
        weights.fault("bad_index", text.format(tensor=lacking[0], file=path.name), path)


def _check_file(weights: Weights, path: Path) -> None:
    size = path.stat().st_size
    if is_lfs_pointer(path):
        text = _("{file} is a Git LFS pointer of {size} bytes, not the weights.").format(file=path.name, size=size)
        weights.fault("lfs_pointer", text, path)
    elif path.suffix == ".safetensors":
        check_safetensors(weights, path, size)
    elif size < 64 or not is_pickle(path):
        text = _("{file} is no complete weight file of PyTorch.").format(file=path.name)
        weights.fault("weights_broken", text, path)


def is_pickle(path: Path) -> bool:
    """Whether the file is as `torch.save` writes it: a whole zip archive, or the beginning of a pickle in old files."""
    with path.open("rb") as file:
        head = file.read(2)
    return zipfile.is_zipfile(path) if head == b"PK" else head in (b"\x80\x02", b"\x80\x03", b"\x80\x04")


def check_safetensors(weights: Weights, path: Path, size: int) -> None:
    """Add the tensors of one file. It is 8 bytes of header length, the header, and the bytes that its tensors need."""
    broken = _("{file} is no complete safetensors file.").format(file=path.name)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size, _MAX_HEADER):
                weights.fault("weights_broken", broken, path)
                return
            header = orjson.loads(file.read(length))
            names = [name for name in header if name != "__metadata__"]
            spans = sorted(tuple(map(int, header[name]["data_offsets"])) for name in names)
            end = spans[-1][1] if spans else 0
        shapes = {name: tuple(map(int, header[name]["shape"])) for name in names}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, IndexError, ValueError):
        weights.fault("weights_broken", broken, path)
        return
    weights.tensors.update(shapes)
    if size != 8 + length + end:
        text = _("{file} has {size} bytes, but its header asks for {wanted}; a download was cut off.")
        message = text.format(file=path.name, size=size, wanted=8 + length + end)
        weights.fault("weights_broken", message, path)
    elif any(before[1] != after[0] for before, after in zip([(0, 0), *spans], spans, strict=False)):
        weights.fault(
            "weights_broken", _("The tensors in {file} do not follow each other.").format(file=path.name), path
        )
