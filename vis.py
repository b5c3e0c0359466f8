"""Draws a network's predictions.

python vis.py --checkpoint_dir=run --image=photos --vis_logdir=run/vis
"""

from deeplab_tf import commands

if __name__ == "__main__":
    commands.visualize()
