"""A builder whose samples take their time, so that there is a middle to be killed in.

python -m tests.building.slow_builder OUTPUT_DIR PROCESSES
"""

import sys

from deeplab_tf import building
from tests.building.drawn import SPEC, Drawn

if __name__ == "__main__":
    building.build(
        {"train": Drawn(pause=0.03), "val": Drawn(pause=0.03, count=3)},
        SPEC,
        sys.argv[1],
        shards=3,
        work=building.WorkConfig(processes=int(sys.argv[2])),
    )
