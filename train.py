"""Trains a network on TFRecords.

python train.py --dataset_dir=records --train_logdir=run
"""

from deeplab_tf import commands

if __name__ == "__main__":
    commands.train()
