"""Runs `deeplab-build-cityscapes`."""

from deeplab_tf.datasets.build_cityscapes_data import main

if __name__ == "__main__":
    main()
