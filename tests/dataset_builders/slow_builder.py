"""A builder whose samples take their time, so that there is a middle to be killed in.

python -m tests.dataset_builders.slow_builder OUTPUT_DIR PROCESSES
"""

import sys

from deeplab_tf import dataset_builders
from tests.dataset_builders.drawn import SPEC, Drawn

if __name__ == "__main__":
    dataset_builders.build(
        {"train": Drawn(pause=0.03), "val": Drawn(pause=0.03, count=3)},
        SPEC,
        sys.argv[1],
        shards=3,
        work=dataset_builders.WorkConfig(processes=int(sys.argv[2])),
    )
