"""Runs `deeplab-build-ade20k`."""

from deeplab_tf.datasets.build_ade20k_data import main

if __name__ == "__main__":
    main()
