"""Keras serialization: our layers and initializers, known to `keras.saving`."""


def register() -> None:
    """Lets `keras.saving.load_model` read networks that `build` made.

    Each class registers itself where it is imported, as "deeplab_tf>ResizeLike"; the
    tables of backbones and heads import them all.
    """
    import deeplab_tf.models.backbones
    import deeplab_tf.models.heads  # noqa: F401
