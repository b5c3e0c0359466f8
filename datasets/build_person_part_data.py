"""Runs `deeplab-build-person-part`."""

from deeplab_tf.datasets.build_person_part_data import main

if __name__ == "__main__":
    main()
