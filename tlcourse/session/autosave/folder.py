"""A folder of saved states: written atomically, hashed, the last two kept.

    FOLDER/save-000012/   state.safetensors  state.json  record.jsonl  SHA256SUMS
    FOLDER/.save-000013.part/   a save that was cut off when its process was killed

`sha256sum -c SHA256SUMS` in a save's folder makes the same check as `read` here.
"""

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tlcourse.errors import RecordError

SUMS = "SHA256SUMS"
TENSORS = "state.safetensors"
_NAME = re.compile(r"save-(\d{6,})")
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.bool: "BOOL",
}  # fmt: skip
FILES = (TENSORS, "state.json", "record.jsonl", "events.jsonl")


def saves(folder: Path) -> list[Path]:
    """Every save in the folder, valid or not, newest first."""
    found = [(int(m[1]), p) for p in _listed(folder) if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def write(folder: Path, texts: Mapping[str, Iterable[str]], tensors: Mapping[str, Tensor]) -> Path:
    """Add a save. texts: file name → lines. After an OSError the earlier saves are intact."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(path.name.split("-")[1]) for path in saves(folder)), default=0)
    name = f"save-{number:06d}"
    partial = folder / f".{name}.part"
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed while it saved
    try:
        partial.mkdir()
        sums = [_write_tensors(partial / TENSORS, tensors)]
        for file, lines in texts.items():
            sums.append(_write(partial / file, (f"{line}\n".encode() for line in lines)))
        _write(partial / SUMS, (f"{line}\n".encode() for line in sums))
        _sync(partial)
        partial.rename(folder / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # free its space
        raise
    _sync(folder)
    return folder / name


def clean(folder: Path, keep: Iterable[Path]) -> None:
    """Remove all other saves, and unfinished ones."""
    kept = {path.name for path in keep}
    for path in _listed(folder):
        if path.name not in kept and (_NAME.fullmatch(path.name) or _is_partial(path)):
            shutil.rmtree(path, ignore_errors=True)


def read(save: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Texts by file name, and tensors. Raises RecordError naming the file at fault."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        rows = [line.split("  ", 1) for line in _bytes(save / SUMS).decode().splitlines()]
        sums = {name: sha256 for sha256, name in rows}
    except ValueError:
        raise RecordError(f"{save / SUMS} is not a list of hashes.") from None
    if TENSORS not in sums:
        raise RecordError(f"{save / SUMS} is cut short: it does not list {TENSORS}.")
    if strange := [name for name in sums if name not in FILES]:
        raise RecordError(f"{save / SUMS} lists {strange[0]!r:.80}, which is no part of a save.")
    contents = {}
    for name, sha256 in sums.items():
        contents[name] = _bytes(save / name)
        if hashlib.sha256(contents[name]).hexdigest() != sha256:
            raise RecordError(
                f"{save / name} is damaged: its {len(contents[name]):,} bytes do not match the SHA-256 "
                f"in {SUMS}."
            )
    try:
        tensors = load(contents.pop(TENSORS))
        return {name: content.decode() for name, content in contents.items()}, tensors
    except (SafetensorError, ValueError) as error:
        raise RecordError(f"{save} cannot be read: {error}.") from None


def why_not_saved(tensor: Tensor) -> str | None:
    """Why a file cannot hold it; None if it can."""
    if tensor.layout != torch.strided:
        return "is sparse"
    return None if tensor.dtype in _DTYPES else f"is {str(tensor.dtype).removeprefix('torch.')}"


def raw(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU."""
    return memoryview(tensor.view(-1).view(torch.uint8).numpy())


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> str:
    """Returns the file's line for SHA256SUMS."""
    digest = hashlib.sha256()
    with open(path, "xb") as file:
        for part in parts:
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    return f"{digest.hexdigest()}  {path.name}"


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """The safetensors format (huggingface.co/docs/safetensors), one tensor in memory at a time."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header, at = {}, 0
    for name, tensor in ordered:
        place = [at, at := at + tensor.nbytes]
        shape = list(tensor.shape)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": shape, "data_offsets": place}
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    plain = (tensor.detach().cpu().contiguous() for _, tensor in ordered)
    flat = (raw(t) for t in plain if t.numel())
    return _write(
        path, (part for parts in ([len(head).to_bytes(8, "little"), head], flat) for part in parts)
    )


def _bytes(path: Path) -> bytes:
    """Of a file that lies in the save itself: a link or a pipe may lead anywhere."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RecordError(f"{path} is not a file.")
        return path.read_bytes()
    except FileNotFoundError:
        raise RecordError(f"{path} is missing.") from None
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}.") from None


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_partial(path: Path) -> bool:
    return path.name.startswith(".save-") and path.name.endswith(".part")


def _sync(folder: Path) -> None:
    """Flush the folder's own entries to disk, which Windows does not offer."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
