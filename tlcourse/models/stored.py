"""A hub model's files in the store: pinned, verified, and small enough for this machine's memory.

Nothing here contacts a hub: the libraries read from a folder, and all that transformers loads or makes
goes through `loaded` and `made`, where no code from a repository runs or is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tlcourse import cards, supply
from tlcourse.cards import Card
from tlcourse.cards.card import INDEX, WEIGHTS, shards
from tlcourse.errors import FetchError, ModelError
from tlcourse.memory import memory_free
from tlcourse.schema import printable
from tlcourse.spoken import command as spoken

FLOAT = 4  # bytes of a float32
LOADING = 2  # times the weights while they are loaded: the new model's, and the file's
TRAINING = 4  # times the weights when all of it trains with AdamW: gradient and two moments more


def folder_of(model: str) -> Path:
    """The folder with the files of "timm/…" or "hf/…", fetched if need be, every byte verified.

    Raises CardError if the model is not pinned yet, ModelError if it has no card or too little
    memory is free, SupplyError if its files cannot be brought.
    """
    name = cards.hub_card(model)
    if name is None:
        known = [card.hub.loads for card in map(cards.hub, cards.hub_names()) if card.hub.loads]
        raise ModelError(
            f"{model!r} has no card here, and nothing loads without one. There are: "
            f"{', '.join(known)}. For another, run "
            f"`{spoken(f'cards pin {_in_full(model)}')}` once, with a network."
        )
    card = cards.get(name)
    require_memory(card)
    try:
        return supply.fetch(name)
    except FetchError as error:
        from tlcourse.supply.hub import mirrored

        raise FetchError(f"{error} {mirrored(name)}") from error


def weights_of(folder: Path, model: str) -> tuple[Path, ...]:
    """The file of weights, or their shards. Raises ModelError if there are only pickles."""
    if paths := weight_files(folder):
        return paths
    raise ModelError(
        f"{model!r} has no model.safetensors, and load_model reads no pickle. Its files are in {folder}."
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The file of weights, or their shards; none if there are only pickles.

    Raises ModelError if a shard is missing.
    """
    if (whole := folder / WEIGHTS).is_file():
        return (whole,)
    if not (index := folder / INDEX).is_file():
        return ()
    paths = tuple(folder / name for name in shards(index.read_bytes()))
    if lost := [path.name for path in paths if not path.is_file()]:
        raise ModelError(
            f"{folder} has no {', '.join(lost)}, which its {INDEX} names: pin the model with all of "
            f"them."
        )
    return paths


def tensors_of(path: Path) -> dict[str, Any]:
    """The tensors in a file of safetensors. ModelError if it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a file of safetensors ({error}).") from error


def loaded(kind: Any, folder: Path, **options: Any) -> Any:
    """What `kind`, a class of transformers, loads from the folder. ModelError if it cannot."""
    return _without_code(
        lambda: kind.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **options
        ),
        kind,
        folder,
    )


def made(kind: Any, config: Any, folder: Path, **options: Any) -> Any:
    """What `kind` makes of a configuration, its weights drawn. ModelError if it cannot."""
    return _without_code(
        lambda: kind.from_config(config, trust_remote_code=False, **options), kind, folder
    )


def _without_code(act: Callable[[], Any], kind: Any, folder: Path) -> Any:
    try:
        return act()
    except Exception as error:  # whatever a strange file makes of the library
        text = " ".join(f"{type(error).__name__}: {error}".split())
        if "trust_remote_code" in text:
            text = "it needs code from its repository, and no such code runs here"
        raise ModelError(
            f"transformers' {kind.__name__} cannot use what is in {folder}: {printable(text)[:300]}."
        ) from error


def require_memory(card: Card) -> None:
    """ModelError, before anything is read, if the weights do not fit into what is free."""
    needed, free = memory_needed(card), memory_free()
    if needed > free:
        train = TRAINING * FLOAT * card.hub.parameters
        raise ModelError(
            f"{card.name!r} has {card.hub.parameters:,} parameters: loading takes about "
            f"{needed / 1e9:.1f} GB of memory (training all of it {train / 1e9:.1f} GB), and "
            f"{free / 1e9:.1f} GB are free. Close other programs and kernels, or take a smaller model."
        )


def memory_needed(card: Card) -> int:
    """Bytes that loading takes, at the most: the model's weights and the file's, as float32."""
    return LOADING * FLOAT * card.hub.parameters


def _in_full(model: str) -> str:
    """timm/ARCH with the tag of its usual weights; timm knows it."""
    family, _, rest = model.partition("/")
    if family != "timm" or "." in rest:
        return model
    import timm

    tags = timm.list_pretrained(f"{rest}.*")
    return f"timm/{tags[0]}" if tags else model
