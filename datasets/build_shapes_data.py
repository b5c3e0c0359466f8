"""Runs `deeplab-build-shapes`."""

from deeplab_tf.datasets.build_shapes_data import main

if __name__ == "__main__":
    main()
