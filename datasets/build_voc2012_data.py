"""Runs `deeplab-build-voc`."""

from deeplab_tf.datasets.build_voc2012_data import main

if __name__ == "__main__":
    main()
