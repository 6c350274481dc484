"""What can be done with a trained adapter: scale it, merge it into the base, store it, swap it.

    set_scale(model, 0.5)       # half of its effect
    merge(model)                # W + B A in one matrix: no slower than the base
    unmerge(model)              # the base again, bit for bit
    task_a = stored(model)      # everything that is not the base, to be saved …
    load_stored(model, task_b)  # … and replaced by another task's

These functions work on the models of `insert.py`, and on a run's model after `AddLoRA`.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlcourse.checks import number
from tlcourse.errors import CommandError, ModelError
from tlcourse.methods.adapters.insert import Adapted, Bottleneck, PrefixAttention


def set_scale(model: nn.Module, value: float) -> None:
    """Multiply the adapter's update by `value`: 0 is the base, 1 as trained. LoRA and bottleneck.

    During a run, use the command SetScale, which is also recorded.
    """
    value = number(value, "A scale", CommandError, low=-1e6, high=1e6)
    _refuse_merged(model, "scaled")
    layers = [m for m in model.modules() if isinstance(m, Bottleneck) or hasattr(m, "lora_A")]
    if not layers:
        raise ModelError(
            "There is nothing to scale: only LoRA and bottleneck adapters have a scale."
        )
    for layer in layers:
        if isinstance(layer, Bottleneck):
            layer.scale = value
        else:
            for name in layer.active_adapters:
                layer.set_scale(name, value)


def merge(model: nn.Module) -> None:
    """Add the adapter to the base's weights, in place: the same outputs up to rounding, without a second
    path. LoRA and (IA)³, by peft. `unmerge` restores the base.

    Raises ModelError, and changes nothing, if the adapter is not linear, a weight would not be finite,
    or it is merged already.
    """
    _refuse_merged(model, "merged")
    layers = _mergeable(model)
    for layer in layers:
        base = layer.get_base_layer()
        layer.before_merging = {name: p.data for name, p in base.named_parameters()}
    try:
        for layer in layers:
            layer.merge(safe_merge=True)  # makes new tensors: the base's own are kept as they are
    except ValueError as error:
        _put_back(layers)
        raise ModelError(f"The adapter cannot be merged: {error}") from error


def unmerge(model: nn.Module) -> None:
    """Restore the base's weights as they were before `merge`, bit for bit.

    (peft subtracts what it added, which rounds.)
    """
    layers = _mergeable(model)
    if not any(layer.merged for layer in layers):
        raise ModelError("Nothing is merged here.")
    _put_back(layers)


def merged(model: nn.Module) -> nn.Module:
    """A plain copy of the model with the adapter merged: the base's own layers, no trace of the adapter.
    For shipping, or for further fine-tuning. The model itself is not changed."""
    made = copy.deepcopy(model)
    if not any(layer.merged for layer in _mergeable(made)):
        merge(made)
    inner = made.model if isinstance(made, Adapted) else made
    layers = set(_mergeable(made))
    for owner in list(inner.modules()):
        for name, child in list(owner.named_children()):
            if child in layers:
                setattr(owner, name, child.get_base_layer())
    return inner.requires_grad_(True)


@dataclass(frozen=True, slots=True)
class Cost:
    """trainable, total: numbers of parameters; checkpoint_bytes: the size of a safetensors file with
    everything that must be stored besides the base."""

    trainable: int
    total: int
    checkpoint_bytes: int

    @property
    def share(self) -> float:
        """The share of parameters that train, 0 to 1."""
        return self.trainable / self.total


def cost(model: nn.Module) -> Cost:
    """How many parameters train, and how large the result is on disk."""
    from safetensors.torch import save

    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    kept = {name: value.contiguous() for name, value in stored(model).items()}
    return Cost(sum(n for n, trains in sizes if trains), sum(n for n, _ in sizes), len(save(kept)))


def stored(model: nn.Module) -> dict[str, Tensor]:
    """Copies of everything needed to restore this model from its base, by name: every parameter that
    requires grad (after a run, those that are not frozen), and the buffers of the same modules, such as
    a BatchNorm's statistics. For an adapted model: the adapter and the head."""
    names = _own_names(model)
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: values[name].detach().clone() for name in names}


def load_stored(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `stored` returned into a model of the same structure, such as another task's adapter and
    head.

    Raises ModelError, and changes nothing, if names or shapes differ from those that this model would
    store, or while an adapter is merged.
    """
    _refuse_merged(model, "exchanged")
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    wrong = sorted(set(_own_names(model)) ^ set(state))
    wrong += [name for name in state if name in values and state[name].shape != values[name].shape]
    if wrong:
        raise ModelError(
            f"What was stored does not fit this model: {wrong[0]} is missing, unknown or of another "
            "shape. Make the model as it was when it was stored, adapter and frozen groups too."
        )
    for name, value in state.items():
        mine = values[name]
        mine.data = value.to(mine.device, mine.dtype, copy=True)


def _own_names(model: nn.Module) -> list[str]:
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    if not names:
        raise ModelError("Nothing of this model trains, so there is nothing to store.")
    for path, module in model.named_modules():
        if any(p.requires_grad for p in module.parameters(recurse=False)):
            kept = (n for n, _ in module.named_buffers(recurse=False))
            names += [
                f"{path}.{n}".removeprefix(".")
                for n in kept
                if n not in module._non_persistent_buffers_set
            ]
    return names


def _tuned(model: nn.Module) -> Iterator[nn.Module]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    yield from (m for m in model.modules() if isinstance(m, BaseTunerLayer))


def _mergeable(model: nn.Module) -> list[nn.Module]:
    curved = [m for m in model.modules() if isinstance(m, Bottleneck | PrefixAttention)]
    layers = list(_tuned(model))
    if curved or not layers:
        what = type(curved[0]).__name__ if curved else "no adapter beside its layers"
        raise ModelError(
            f"This model has {what}: only LoRA and (IA)³ can be merged into the base's matrices."
        )
    return layers


def _refuse_merged(model: nn.Module, done: str) -> None:
    if any(layer.merged for layer in _tuned(model)):
        raise ModelError(f"The adapter is merged, so it cannot be {done}; unmerge(model) first.")


@torch.no_grad()
def _put_back(layers: list[nn.Module]) -> None:
    for layer in layers:
        for name, p in layer.get_base_layer().named_parameters():
            p.data = layer.before_merging[name]
        layer.merged_adapters.clear()
        del layer.before_merging
