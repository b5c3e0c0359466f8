"""What would do, where ids come straight from tensorflow_datasets."""

import contextlib
from collections.abc import Iterator

from deeplab_tf.errors import InputError


@contextlib.contextmanager
def of_tfds() -> Iterator[None]:
    """Errors name its flags, not those of a folder's builder."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for words, other in _WORDS.items():
            text = text.replace(words, other)
        raise InputError(text) from None


_WORDS = {
    ", or tell what the colours mean by --color_table (build_folder_data.py)": (
        ", and prepare the data set again"
    ),
    " (build_folder_data.py)": "",
    "build_folder_data.py --reduce_zero_label": "--tfds_label_map=1:0,2:1,...",
    "--label_map": "--tfds_label_map",
    "build_folder_data.py": "build_tfds_data.py",
}
