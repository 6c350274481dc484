"""peft's adapted layers, for models that read a layer's weight instead of calling the layer.

nn.MultiheadAttention multiplies by `out_proj.weight` itself, nn.TransformerEncoderLayer in eval mode
reads all its weights (its fast path), and timm's BEiT, EVA and Swin V2 read `qkv.weight`. peft gives
them the base's weight: then the adapter never trains, or counts in train mode only.
"""

from typing import Any

from peft.tuners.ia3 import layer as ia3
from peft.tuners.lora import layer as lora
from torch import Tensor, nn


class _Lora:
    @property
    def weight(self: Any) -> Tensor:
        """W + (alpha / rank) · B A, with its graph."""
        weight = self.get_base_layer().weight
        if self.merged or self.disable_adapters:
            return weight
        for name in self.active_adapters:
            weight = weight + self.get_delta_weight(name).to(weight.dtype)
        return weight


class LoraLinear(_Lora, lora.Linear): ...


class LoraConv2d(_Lora, lora.Conv2d): ...


class IA3Linear(ia3.Linear):
    @property
    def weight(self) -> Tensor:
        """Rows, or columns of a feed-forward part, times the learned factors, with their graph."""
        return self._scaled(self.get_base_layer().weight)

    @property
    def bias(self) -> Tensor | None:
        bias = self.get_base_layer().bias
        return bias if bias is None or self.is_feedforward else self._scaled(bias)

    def _scaled(self, values: Tensor) -> Tensor:
        if not (self.merged or self.disable_adapters):
            for name in self.active_adapters:
                factors = self.ia3_l[name].to(values.dtype)
                values = values * (factors.flatten() if values.ndim == 1 else factors)
        return values


_OURS = {lora.Linear: LoraLinear, lora.Conv2d: LoraConv2d, ia3.Linear: IA3Linear}


def readable(adapted: nn.Module) -> None:
    """From here on, each adapted layer within gives whoever reads its weight the adapted one."""
    for module in adapted.modules():
        module.__class__ = _OURS.get(type(module), type(module))
