"""Networks that end in a CRF-RNN.

Reference: Zheng et al. 2015, section 5, https://arxiv.org/abs/1502.03240, and its
released network, whose FCN-8s learns the deconvolutions before the last; on dilated
convolutions: Yu, Koltun 2015, section 5, https://arxiv.org/abs/1511.07122.
"""

import dataclasses
from collections.abc import Mapping

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.heads import dilation, fcn
from deeplab_tf.models.heads.crf_rnn import MeanField
from deeplab_tf.models.heads.head import Head
from deeplab_tf.models.layers.backend_ops import on_tensorflow
from deeplab_tf.models.layers.blocks import Features, Style, Tensor


def on_fcn(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at image size, `[N, H, W, num_classes]`."""
    x = fcn.fcn8s(features, num_classes, config, style, learned=True)
    return _mean_field(x, features)


def on_dilation(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at image size, in training, too."""
    x = dilation.cells(features, num_classes, config, style, dilation.LARGE)
    return _mean_field(dilation.interpolate(x, features), features)


def _mean_field(x: Tensor, features: Features) -> Tensor:
    if not on_tensorflow():
        raise FlagError(
            "--architecture=crf_rnn: its lattice is of TensorFlow; take another, or "
            "KERAS_BACKEND=tensorflow"
        )
    return MeanField(name="crf_rnn")([x, features["images"]])


_FCN, _DILATION = fcn.HEADS["fcn8s"], dilation.HEADS["dilation8"]

HEADS: Mapping[str, Head] = {
    "crf_rnn": dataclasses.replace(
        _FCN, function=on_fcn, scopes=(*_FCN.scopes, "crf_rnn")
    ),
    "crf_rnn_dilation8": dataclasses.replace(
        _DILATION,
        function=on_dilation,
        scopes=(*_DILATION.scopes, "crf_rnn"),
        label_grid=None,
    ),
}
