"""A TFLite network computed in numpy, straight from the file: an independent reading of it.

It follows the file's own graph: strides, padding, residual connections and activations come from the
operators, not from what MobileNetV2 is thought to be. Weights are de-quantised here anew. Activations
stay float, where the file's would be rounded to 8 bits.
"""

from pathlib import Path

import numpy as np
import tflite
from tflite import BuiltinOperator as Op


def run(path: Path, image: np.ndarray) -> dict[int, np.ndarray]:
    """image: (H, W, 3) float in [-1, 1]. Every tensor by its number; the logits come last."""
    model = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    values = {int(graph.Inputs(0)): image.astype(np.float64)}

    def constant(number: int) -> np.ndarray:
        tensor = graph.Tensors(number)
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        kind = {
            tflite.TensorType.INT8: np.int8,
            tflite.TensorType.UINT8: np.uint8,
            tflite.TensorType.INT32: np.int32,
        }[tensor.Type()]
        stored = np.frombuffer(raw, kind).reshape(tensor.ShapeAsNumpy()).astype(np.float64)
        how = tensor.Quantization()
        along = how.QuantizedDimension()
        moved = np.moveaxis(stored, along, -1)
        return np.moveaxis((moved - how.ZeroPointAsNumpy()) * how.ScaleAsNumpy(), -1, along)

    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        inputs, output = operator.InputsAsNumpy().tolist(), int(operator.Outputs(0))
        x = values[inputs[0]]
        if kind in (Op.QUANTIZE, Op.RESHAPE):
            y = x
        elif kind == Op.CONV_2D:
            how = _options(operator, tflite.Conv2DOptions())
            weight = constant(inputs[1])
            patches = _patches(x, weight.shape[1], how.StrideH(), how.Padding())
            y = np.tensordot(patches, weight, axes=([2, 3, 4], [1, 2, 3])) + constant(inputs[2])
            y = _activate(y, how)
        elif kind == Op.DEPTHWISE_CONV_2D:
            how = _options(operator, tflite.DepthwiseConv2DOptions())
            weight = constant(inputs[1])[0]
            patches = _patches(x, weight.shape[0], how.StrideH(), how.Padding())
            y = np.einsum("hwijc,ijc->hwc", patches, weight) + constant(inputs[2])
            y = _activate(y, how)
        elif kind == Op.ADD:
            y = _activate(x + values[inputs[1]], _options(operator, tflite.AddOptions()))
        elif kind in (Op.MEAN, Op.AVERAGE_POOL_2D):
            y = x.mean((0, 1), keepdims=True)
        elif kind == Op.SOFTMAX:
            break
        else:
            raise NotImplementedError(f"operator {kind}")
        values[output] = y
    return values


def _options(operator, kind):
    table = operator.BuiltinOptions()
    kind.Init(table.Bytes, table.Pos)
    return kind


def _activate(y: np.ndarray, how) -> np.ndarray:
    relu6 = how.FusedActivationFunction() == tflite.ActivationFunctionType.RELU6
    return y.clip(0, 6) if relu6 else y


def _patches(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """(H', W', kernel, kernel, C), padded as TensorFlow's SAME: the odd pixel goes right and down."""
    assert padding == tflite.Padding.SAME
    pads = []
    for length in x.shape[:2]:
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [*pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(0, 1))
    return windows[::stride, ::stride].transpose(0, 1, 3, 4, 2)
