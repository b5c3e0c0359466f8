"""Runs `deeplab-build-pascal-context`."""

from deeplab_tf.datasets.build_pascal_context_data import main

if __name__ == "__main__":
    main()
