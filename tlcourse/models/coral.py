"""Float weights out of a quantised TFLite file (google-coral/test_data, Apache-2.0).

The file holds 8-bit weights, signed with one scale per output channel or (older files) unsigned with
one scale and zero point in all, and int32 biases in units of (input scale × weight scale): Jacob et
al. 2018, https://arxiv.org/abs/1712.05877.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlcourse.errors import ModelError


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution in PyTorch's layout: weight (O, I, H, W), bias (O,), both float32."""

    depthwise: bool
    weight: np.ndarray
    bias: np.ndarray


def read_layers(path: Path) -> list[Layer]:
    """Every convolution of the network, input to output. ModelError if `path` is something else."""
    import tflite

    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ModelError(f"{path.name} is no TFLite file. Remove it and fetch the model again.")
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    kinds = {tflite.BuiltinOperator.CONV_2D: False, tflite.BuiltinOperator.DEPTHWISE_CONV_2D: True}
    layers = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind not in kinds:
            continue
        _, weight, bias = (
            _dequantise(model, graph.Tensors(place)) for place in operator.InputsAsNumpy()
        )
        # TFLite's layouts: O H W I, and 1 H W C for a depthwise convolution.
        order = (3, 0, 1, 2) if kinds[kind] else (0, 3, 1, 2)
        layers.append(Layer(kinds[kind], weight.transpose(order), bias))
    return layers


def _dequantise(model, tensor) -> np.ndarray | None:
    """scale × (q − zero point) as float32; None for activations, which lie in no buffer."""
    import tflite

    types = {
        tflite.TensorType.INT8: np.int8,
        tflite.TensorType.UINT8: np.uint8,
        tflite.TensorType.INT32: np.int32,
    }
    buffer = model.Buffers(tensor.Buffer())
    if buffer.DataLength() == 0:
        return None
    numbers = buffer.DataAsNumpy().view(types[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
    how = tensor.Quantization()
    along = [1] * numbers.ndim
    along[how.QuantizedDimension()] = -1
    scale = how.ScaleAsNumpy().reshape(along)
    zero = how.ZeroPointAsNumpy().reshape(along)
    return ((numbers.astype(np.float64) - zero) * scale).astype(np.float32)
