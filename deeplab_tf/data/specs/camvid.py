"""CamVid as SegNet prepared it: 11 classes, 480x360; the void class 11 is ignored."""

from collections.abc import Mapping

from deeplab_tf.data.spec import Color, DatasetSpec

CLASSES = "Sky Building Pole Road Pavement Tree Sign Fence Car Pedestrian Bicyclist"
VOID = 11  # In SegNet's masks.
SPEC = DatasetSpec(
    name="camvid",
    classes=tuple(CLASSES.split()),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (0, 0, 192),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    split_sizes={"train": 367, "val": 101, "test": 233},
)
VOID_COLOR: Color = (0, 0, 0)
# Of the 32 labels of the original masks, those that share a class with its own color.
MERGED: Mapping[str, tuple[Color, ...]] = {
    # Bridge, Wall, Tunnel, Archway
    "Building": ((0, 128, 64), (64, 192, 0), (64, 0, 64), (192, 0, 128)),
    "Pole": ((0, 0, 64),),  # TrafficCone
    "Road": ((128, 0, 192), (192, 0, 64)),  # LaneMkgsDriv, LaneMkgsNonDriv
    "Pavement": ((64, 192, 128), (128, 128, 192)),  # ParkingBlock, RoadShoulder
    "Tree": ((192, 192, 0),),  # VegetationMisc
    "Sign": ((128, 128, 64), (0, 64, 64)),  # Misc_Text, TrafficLight
    # SUVPickupTruck, Truck_Bus, Train, OtherMoving
    "Car": ((64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    # Child, CartLuggagePram, Animal
    "Pedestrian": ((192, 128, 64), (64, 0, 192), (64, 128, 64)),
    "Bicyclist": ((192, 0, 192),),  # MotorcycleScooter
}


def names_by_color() -> dict[Color, str]:
    """Class of each of the 32 colors but that of what is void."""
    merged = {color: name for name, others in MERGED.items() for color in others}
    return dict(zip(SPEC.palette, SPEC.classes, strict=True)) | merged
