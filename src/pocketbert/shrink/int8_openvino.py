"""An OpenVINO model in int8, by NNCF, on the same products and the same rows as the ONNX file."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import nncf
import openvino
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from pocketbert.engines.description import Description
from pocketbert.export.openvino import save_openvino
from pocketbert.shrink.calibration import Batch


def quantize_openvino(
    source: Path, path: Path, description: Description, batches: Sequence[Batch], keep: Collection[str] = ()
) -> None:
    """Static int8 for OpenVINO: weights by channel, activations by the ranges of the calibration rows.

    Attention itself stays in fp32: there is little of it in texts of these lengths, and its kernel is one.

    Args:
        source: the ONNX file, with its embeddings in int8 already.
        path: the ``.xml`` to write.
        description: goes into the metadata.
        batches: calibration rows.
        keep: names of nodes that stay in fp32.
    """
    nncf.set_log_level(logging.ERROR)
    kept = nncf.IgnoredScope(names=list(keep), types=["ScaledDotProductAttention"], validate=False)
    model = nncf.quantize(
        openvino.convert_model(source),
        nncf.Dataset(list(batches)),
        subset_size=len(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=kept,
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            disable_bias_correction=True,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=-1, convolution=-1),
        ),
    )
    save_openvino(model, description, path)
