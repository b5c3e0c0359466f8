"""Runs `deeplab-build-folder`."""

from deeplab_tf.datasets.build_folder_data import main

if __name__ == "__main__":
    main()
