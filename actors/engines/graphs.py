"""Edits the recognizer's graphs (ONNX) for `weights`: see there. For the preparation only: needs `onnx`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

HEADS = "heads.shape"
CROSS = ".encoder."  # in the names of keys and values of what was heard
DOMAINS = ("", "com.microsoft")


class Quantised(NamedTuple):
    """A weight as it is shipped: `scale * (values - zero)`."""

    values: np.ndarray[Any, np.dtype[Any]]  # int8
    zero: int
    scale: np.float32


def read_graph(path: Path, scratch: Path) -> onnx.ModelProto:
    """An .ort file as ONNX, by way of the file `scratch`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch)
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.save_model_format", "ONNX")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(scratch)


def encoder_graph(encoder: onnx.ModelProto, merged: onnx.ModelProto, unsigned: bool) -> bytes:
    """Audio in; out come the keys and values that each token of the decoder looks at."""
    first = _branch(merged, "else_branch")
    hidden = encoder.graph.output[0].name
    made_by = {node.output[0]: node for node in first.node}
    outputs, tail = [], []
    for made, told in zip(first.output, merged.graph.output, strict=True):
        if CROSS in told.name:
            transpose = made_by[made.name]
            product = made_by[made_by[transpose.input[0]].input[0]]
            outputs.append((told.name, told))
            tail += _heads(hidden, product.input[1], told.name)
    constants = {**_constants(encoder, merged), HEADS: numpy_helper.from_array(np.array((1, -1, 8, 52)), HEADS)}
    return _rebuilt("encoder", encoder, [*encoder.graph.node, *merged.graph.node, *tail], constants, outputs, unsigned)


def _heads(hidden: str, weight: str, name: str) -> list[onnx.NodeProto]:
    """As the decoder has it, but for one caller at a time: its own takes their number from its tokens."""
    return [
        helper.make_node("MatMul", [hidden, weight], [f"{name}.flat"]),
        helper.make_node("Reshape", [f"{name}.flat", HEADS], [f"{name}.heads"]),
        helper.make_node("Transpose", [f"{name}.heads"], [name], perm=(0, 2, 1, 3)),
    ]


def decoder_graph(merged: onnx.ModelProto, unsigned: bool) -> bytes:
    """A token (or several), and the keys and values so far; out come the next token's logits and the longer ones."""
    later = _branch(merged, "then_branch")
    outputs = [(made.name, told) for made, told in zip(later.output, merged.graph.output, strict=True)]
    outputs = [(made, told) for made, told in outputs if CROSS not in told.name]
    return _rebuilt("decoder", merged, [*merged.graph.node, *later.node], _constants(merged, later), outputs, unsigned)


def _branch(merged: onnx.ModelProto, name: str) -> onnx.GraphProto:
    (choice,) = (node for node in merged.graph.node if node.op_type == "If")
    found: onnx.GraphProto = next(attribute.g for attribute in choice.attribute if attribute.name == name)
    return found


def _constants(*sources: Any) -> dict[str, onnx.TensorProto]:
    graphs = (source.graph if isinstance(source, onnx.ModelProto) else source for source in sources)
    return {constant.name: constant for graph in graphs for constant in graph.initializer}


def _needed(nodes: Iterable[onnx.NodeProto], names: Iterable[str]) -> list[onnx.NodeProto]:
    """Those on which these names depend, in their order."""
    wanted, kept = set(names), []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


def _rebuilt(
    name: str,
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    constants: dict[str, onnx.TensorProto],
    outputs: list[tuple[str, onnx.ValueInfoProto]],
    unsigned: bool,
) -> bytes:
    renamed = [helper.make_node("Identity", [made], [told.name]) for made, told in outputs if made != told.name]
    nodes = _needed([node for node in nodes if node.op_type != "If"] + renamed, [told.name for _, told in outputs])
    nodes = _quantised(nodes, constants, unsigned)
    used = {given for node in nodes for given in node.input}
    graph = helper.make_graph(
        nodes,
        name,
        [given for given in model.graph.input if given.name in used],
        [helper.make_tensor_value_info(told.name, onnx.TensorProto.FLOAT, None) for _, told in outputs],
        [constant for key, constant in constants.items() if key in used],
    )
    domains = [opset for opset in model.opset_import if opset.domain in DOMAINS]
    made: bytes = helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString()
    return made


# --- weights ---------------------------------------------------------------------------------------------------------


def _quantised(
    nodes: list[onnx.NodeProto], constants: dict[str, onnx.TensorProto], unsigned: bool
) -> list[onnx.NodeProto]:
    """The nodes without those that turn weights into floats: multiplied, or looked up, as int8."""
    weights, spent = _weights(nodes, constants)
    weights |= _transposed(nodes, weights, spent)
    made: dict[str, onnx.NodeProto] = {}  # the rounding of an input, which several products share
    found: list[onnx.NodeProto] = []
    for node in nodes:
        if node.output[0] in spent:
            continue
        if node.op_type == "MatMul" and node.input[1] in weights:
            found += _product(node, weights[node.input[1]], constants, made, unsigned)
        elif node.op_type == "Gather" and node.input[0] in weights:
            found += _look_up(node, weights[node.input[0]], constants)
        else:
            for given in set(node.input) & weights.keys():  # of a convolution
                weight = weights[given]
                values = (weight.values.astype(np.float32) - weight.zero) * weight.scale
                constants[given] = numpy_helper.from_array(values, given)
            found.append(node)
    return found


def _weights(
    nodes: list[onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> tuple[dict[str, Quantised], set[str]]:
    """The weights, and what the nodes put out that make floats of them: Add(Mul(Cast(values), scale), shift)."""
    by_output = {node.output[0]: node for node in nodes}
    weights: dict[str, Quantised] = {}
    spent: set[str] = set()
    for node in nodes:
        times = by_output.get(node.input[0]) if node.op_type == "Add" else None
        cast = by_output.get(times.input[0]) if times is not None and times.op_type == "Mul" else None
        if times is None or cast is None or cast.op_type != "Cast" or cast.input[0] not in constants:
            continue
        values = numpy_helper.to_array(constants[cast.input[0]])
        scale, shift = (numpy_helper.to_array(constants[key]).item() for key in (times.input[1], node.input[1]))
        weights[node.output[0]] = Quantised(values, -round(shift / scale), np.float32(scale))
        spent |= {node.output[0], times.output[0], cast.output[0]}
    return weights, spent


def _transposed(nodes: list[onnx.NodeProto], weights: dict[str, Quantised], spent: set[str]) -> dict[str, Quantised]:
    found = {}
    for node in nodes:
        if node.op_type == "Transpose" and node.input[0] in weights:
            weight = weights[node.input[0]]
            found[node.output[0]] = weight._replace(values=np.ascontiguousarray(weight.values.T))
            spent.add(node.output[0])
    return found


def _product(
    node: onnx.NodeProto,
    weight: Quantised,
    constants: dict[str, onnx.TensorProto],
    rounded: dict[str, onnx.NodeProto],
    unsigned: bool,
) -> list[onnx.NodeProto]:
    """x @ W as scale(x) * scale(W) * (int8(x) @ int8(W)); onnxruntime makes one operation of it."""
    given, name, out = node.input[0], node.input[1], node.output[0]
    values, zero = weight.values, weight.zero
    kind: Any = np.int8
    if unsigned:
        values, zero, kind = (values.astype(np.int16) + 128).astype(np.uint8), zero + 128, np.uint8
    constants[f"{name}.values"] = numpy_helper.from_array(values, f"{name}.values")
    constants[f"{name}.zero"] = numpy_helper.from_array(np.array(zero, kind), f"{name}.zero")
    constants[f"{name}.scale"] = numpy_helper.from_array(np.array(weight.scale), f"{name}.scale")
    nodes = []
    if given not in rounded:
        parts = [f"{given}.{part}" for part in ("int", "scale", "zero")]
        rounded[given] = helper.make_node("DynamicQuantizeLinear", [given], parts)
        nodes.append(rounded[given])
    whole, x_scale, x_zero = rounded[given].output
    return [
        *nodes,
        helper.make_node("MatMulInteger", [whole, f"{name}.values", x_zero, f"{name}.zero"], [f"{out}.sum"]),
        helper.make_node("Cast", [f"{out}.sum"], [f"{out}.float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [x_scale, f"{name}.scale"], [f"{out}.scale"]),
        helper.make_node("Mul", [f"{out}.float", f"{out}.scale"], [out]),
    ]


def _look_up(node: onnx.NodeProto, weight: Quantised, constants: dict[str, onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Rows of a table: only those become floats."""
    name, out = node.input[0], node.output[0]
    constants[f"{name}.rows"] = numpy_helper.from_array(weight.values, f"{name}.rows")
    constants[f"{name}.scale"] = numpy_helper.from_array(np.array(weight.scale), f"{name}.scale")
    constants[f"{name}.shift"] = numpy_helper.from_array(np.array(-weight.zero * weight.scale), f"{name}.shift")
    return [
        helper.make_node("Gather", [f"{name}.rows", node.input[1]], [f"{out}.int"], axis=0),
        helper.make_node("Cast", [f"{out}.int"], [f"{out}.float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{out}.float", f"{name}.scale"], [f"{out}.scaled"]),
        helper.make_node("Add", [f"{out}.scaled", f"{name}.shift"], [out]),
    ]
