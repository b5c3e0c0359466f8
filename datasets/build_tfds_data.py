"""Runs `deeplab-build-tfds`."""

from deeplab_tf.datasets.build_tfds_data import main

if __name__ == "__main__":
    main()
