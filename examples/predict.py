"""Predicts with an exported SavedModel; needs TensorFlow and Pillow, no more.

python examples/predict.py exported photo.jpg prediction.png
"""

import csv
import io
import sys
from pathlib import Path

import tensorflow as tf
from PIL import Image, ImageOps

ORIENTATION = 0x0112  # Of EXIF data: how the camera was held; 1 is upright.


def main(folder: str, photograph: str, output: str) -> None:
    """Colors the classes of a photograph, and lists which there are."""
    try:
        encoded = read_upright(photograph)
    except OSError as error:  # Pillow's own are such, too.
        sys.exit(f"{photograph}: cannot be read as an image ({error})")
    model = tf.saved_model.load(folder)
    predicted = model.signatures["serving_bytes"](tf.constant([encoded]))
    classes = predicted["SemanticPredictions"][0]

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


def read_upright(path: str) -> bytes:
    """A JPEG or PNG as `serving_bytes` takes it, which knows no EXIF data.

    A photograph that was taken with the camera turned is turned upright, and that is
    told; it and files of other formats become PNG, whose pixels are the same.
    """
    encoded = Path(path).read_bytes()
    image = Image.open(io.BytesIO(encoded))
    is_turned = image.getexif().get(ORIENTATION) in range(2, 9)
    if is_turned:
        sys.stdout.write(f"{path}: turned upright, as its EXIF data say\n")
    elif image.format in ("JPEG", "PNG"):
        return encoded
    stream = io.BytesIO()
    ImageOps.exif_transpose(image).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
