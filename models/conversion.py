"""Trained pipelines as ONNX, in 64-bit floats throughout so that labels agree with joblib's.

Three converters are our own. ONNX Runtime has no 64-bit `Imputer`, and skl2onnx's rounds the
fill values to 32 bits; a FunctionTransformer has no general converter; and skl2onnx's k-means
expands |x-c|² into |x|² - 2xc + |c|², which cancels near a centre and can leave the root of a
negative number.
"""

from typing import Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.algebra.onnx_ops import (
    OnnxAbs,
    OnnxAdd,
    OnnxArgMin,
    OnnxIsNaN,
    OnnxLog,
    OnnxMul,
    OnnxReduceL2,
    OnnxSign,
    OnnxSub,
    OnnxUnsqueeze,
    OnnxWhere,
)
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.cluster import KMeans
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from models.transforms import signed_log1p
from service.scoring.onnx_engine import INPUT


class NotConvertible(Exception):
    """The pipeline has no ONNX form; the message says why."""


def to_onnx(pipeline: Pipeline, width: int) -> bytes:
    """The pipeline as a graph of `features` (n, width) to `label` (n) and `scores` (n, clusters).

    `scores` are the distances to the centres. Raises NotConvertible.
    """
    try:
        model = convert_sklearn(
            pipeline,
            "pipeline",
            initial_types=[(INPUT, DoubleTensorType([None, width]))],
            custom_conversion_functions={
                SimpleImputer: _impute,
                FunctionTransformer: _tame,
                KMeans: _distances,
            },
            custom_shape_calculators={FunctionTransformer: _same_shape},
        )
    except (RuntimeError, NotImplementedError) as error:  # of which skl2onnx's own are kinds
        raise NotConvertible(str(error)) from error
    content: bytes = model.SerializeToString()
    return content


def _impute(scope: Any, operator: Any, container: Any) -> None:
    opset, (values,) = container.target_opset, operator.inputs
    fill = operator.raw_operator.statistics_.astype(np.float64)
    missing = OnnxIsNaN(values, op_version=opset)
    OnnxWhere(missing, fill, values, op_version=opset, output_names=operator.outputs[:1]).add_to(
        scope, container
    )


def _tame(scope: Any, operator: Any, container: Any) -> None:
    if operator.raw_operator.func is not signed_log1p:
        raise NotConvertible(f"the function {operator.raw_operator.func} has no converter")
    opset, (values,) = container.target_opset, operator.inputs
    shifted = OnnxAdd(OnnxAbs(values, op_version=opset), np.array([1.0]), op_version=opset)
    OnnxMul(
        OnnxSign(values, op_version=opset),
        OnnxLog(shifted, op_version=opset),
        op_version=opset,
        output_names=operator.outputs[:1],
    ).add_to(scope, container)


def _same_shape(operator: Any) -> None:
    operator.outputs[0].type = DoubleTensorType(list(operator.inputs[0].type.shape))


def _distances(scope: Any, operator: Any, container: Any) -> None:
    opset, (values,) = container.target_opset, operator.inputs
    centres = operator.raw_operator.cluster_centers_[np.newaxis]
    differences = OnnxSub(
        OnnxUnsqueeze(values, np.array([1]), op_version=opset), centres, op_version=opset
    )
    label, scores = operator.outputs
    distances = OnnxReduceL2(
        differences, np.array([2]), keepdims=0, op_version=opset, output_names=[scores]
    )
    nearest = OnnxArgMin(distances, axis=1, keepdims=0, op_version=opset, output_names=[label])
    nearest.add_to(scope, container)
    distances.add_to(scope, container)
