"""A builder whose samples take their time, so that there is a middle to be killed in.

python -m tests.dataset_builders.slow_builder OUTPUT_DIR PROCESSES
"""

import sys

from deeplab_tf import dataset_builders
from tests.dataset_builders.synthetic import SPEC, SyntheticSource

if __name__ == "__main__":
    dataset_builders.build(
        {
            "train": SyntheticSource(pause=0.1),
            "val": SyntheticSource(pause=0.1, count=3),
        },
        SPEC,
        sys.argv[1],
        shards=3,
        parallel=dataset_builders.ParallelConfig(processes=int(sys.argv[2])),
    )
