"""Predicts with an exported SavedModel; needs TensorFlow, and nothing of this project.

python examples/predict.py exported photo.jpg prediction.png
"""

import csv
import sys
from pathlib import Path

import tensorflow as tf


def main(folder: str, image: str, output: str) -> None:
    """Colors the classes of an image, and lists what was found."""
    model = tf.saved_model.load(folder)
    encoded = tf.io.read_file(image)
    found = model.signatures["serving_bytes"](tf.expand_dims(encoded, 0))
    classes = found["SemanticPredictions"][0]

    assets = Path(folder) / "assets"
    with (assets / "colormap.csv").open() as rows:
        palette = [
            (int(row["red"]), int(row["green"]), int(row["blue"]))
            for row in csv.DictReader(rows)
        ]
    colors = tf.gather(tf.constant(palette, tf.uint8), classes)
    tf.io.write_file(output, tf.io.encode_png(colors))

    names = (assets / "labels.txt").read_text("utf-8").splitlines()
    ids, _, counts = tf.unique_with_counts(tf.reshape(classes, [-1]))
    for label, count in sorted(zip(ids.numpy(), counts.numpy(), strict=True)):
        sys.stdout.write(f"{names[label]}: {count / tf.size(classes).numpy():.1%}\n")
    sys.stdout.write(f"Wrote {output}\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
