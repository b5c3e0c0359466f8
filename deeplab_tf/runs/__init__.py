"""Lists runs: `python -m deeplab_tf.runs FOLDER`."""
