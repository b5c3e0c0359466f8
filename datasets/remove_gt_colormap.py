"""Runs `python -m deeplab_tf.datasets.remove_gt_colormap`."""

from deeplab_tf.datasets.remove_gt_colormap import main

if __name__ == "__main__":
    main()
