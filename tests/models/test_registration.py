"""`register` makes every layer of ours known to Keras, in a process that has none."""

import ast
import subprocess
import sys

import pytest

from tests.recorded import ROOT

SCRIPT = """
from deeplab_tf.models.registration import register
import keras
assert not [name for name in keras.saving.get_custom_objects() if "deeplab_tf" in name]
register()
print(*keras.saving.get_custom_objects())
"""


def registered_classes():
    """Of all sources: those that Keras is to know."""
    for path in (ROOT / "deeplab_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                decorators = " ".join(map(ast.unparse, node.decorator_list))
                if "register_keras_serializable('deeplab_tf')" in decorators:
                    yield f"deeplab_tf>{node.name}"


@pytest.mark.slow
def test_every_class_that_is_saved_can_be_loaded():
    command = [sys.executable, "-c", SCRIPT]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert sorted(run.stdout.split()) == sorted(registered_classes())
