"""Scores a network on the records of a split.

python eval.py --checkpoint_dir=run --dataset_dir=records --eval_logdir=run/eval
"""

from deeplab_tf import commands

if __name__ == "__main__":
    commands.evaluate()
