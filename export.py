"""Writes a network as a SavedModel that takes images of any size.

python export.py --checkpoint_path=run --export_path=exported
"""

from deeplab_tf import commands

if __name__ == "__main__":
    commands.export()
