"""Runs `deeplab-build-camvid`."""

from deeplab_tf.datasets.build_camvid_data import main

if __name__ == "__main__":
    main()
