"""Memory: what a step will need, and how much there is."""

import dataclasses
import math
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from deeplab_tf.config import TrainConfig
from deeplab_tf.models.build import multiple
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training import remat_cuts
from deeplab_tf.training.losses.total import image_by_image, memory_of_an_image
from deeplab_tf.training.optim import gradients
from deeplab_tf.training.step import Trainer

# Measured with MobileNetV2, v3+, crop 321, on a CPU: a step of 2 images adds 0.72 GB to
# what is resident, one of 8 images 2.34 GB. Layers and loss make 0.31 GB of an image.
_KEPT = 0.9  # Of what is made of an image.
_COMPILING = 200e6
# What is reserved, and counts against limits of a process, but is not in use.
_RESERVED = 600_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Needs:
    """Bytes that training keeps on each device.

    Attributes:
        weights: All of the network's, moving statistics among them.
        learned: Those that have gradients.
        slots: Of the optimizer.
        averages: Of the weights, if some are kept.
        image: Results of all layers for one image.
        loss: Of the loss for one image.
        images: On a device.
        replicas: Devices that share this memory.
    """

    weights: int
    learned: int
    slots: int
    averages: int
    image: int
    loss: int
    images: int
    replicas: int = 1

    @property
    def checkpoint(self) -> int:
        """Bytes of a checkpoint."""
        return self.weights + self.slots + self.averages

    def step(self, micro_batches: int = 1) -> int:
        """What a step adds to what is there before it, roughly.

        Args:
            micro_batches: In which a batch is computed; gradients are added up where
                there are several.
        """
        sums = self.learned * (2 if micro_batches > 1 else 1)
        images = self.images / micro_batches
        losses = 1 if image_by_image(int(images), self.loss) else images
        kept = _KEPT * (self.image * images + self.loss * losses)
        return int(_COMPILING + self.replicas * (sums + kept))


def needs(trainer: Trainer, config: TrainConfig, images: int, replicas: int) -> Needs:
    """Memory that a trainer keeps.

    Args:
        trainer: Made for `config`.
        config: All settings.
        images: Of a batch on a device.
        replicas: Devices that share a memory: of a CPU all, of GPUs one.
    """
    made = remat_cuts.activations(trainer.model, remat=config.devices.remat)
    return Needs(
        weights=_bytes(weights_by_name(trainer.model).values()),
        learned=_bytes(trainer.weights.values()),
        slots=_bytes(gradients.slots(trainer.optimizer, trainer.weights).values()),
        averages=_bytes(trainer.ema_weights.values()),
        image=made,
        loss=memory_of_an_image(
            config.augment.train_crop_size, trainer.spec, config.loss
        ),
        images=images,
        replicas=replicas,
    )


def _bytes(variables: Iterable[Any]) -> int:
    return sum(
        math.prod(each.shape) * tf.as_dtype(each.dtype).size for each in variables
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Room:
    """Bytes that this process may still take, and what bounds them."""

    free: int
    bound: str


def room(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Room:
    """The narrowest bound of this process."""
    rooms = [*_system(proc), *_limits(proc), *_control_groups(proc, groups), *_gpus()]
    return min(rooms, key=lambda each: each.free)


def _system(proc: Path) -> Iterator[Room]:
    free = _table(proc / "meminfo").get("MemAvailable")
    yield Room(free=2**60 if free is None else free, bound="memory of this machine")


def _limits(proc: Path) -> Iterator[Room]:
    """Limits of the process: of its addresses, and of its data."""
    try:
        import resource
    except ImportError:  # Windows has no such limits.
        return
    used = _table(proc / "self/status")
    for limit, name, flag in (
        (resource.RLIMIT_AS, "VmSize", "-v"),
        (resource.RLIMIT_DATA, "VmData", "-d"),
    ):
        most, _ = resource.getrlimit(limit)
        if most != resource.RLIM_INFINITY:
            yield Room(
                free=max(0, most - used.get(name, 0) - _RESERVED),
                bound=f"the process's limit of {size(most)}, ulimit {flag}",
            )


def _control_groups(proc: Path, groups: Path) -> Iterator[Room]:
    """Limits of a container or a job, and of those around it."""
    listed = proc / "self/cgroup"
    lines = listed.read_text() if listed.exists() else ""
    for line in lines.splitlines():
        _, names, own = line.split(":", 2)
        second = not names
        if not (second or "memory" in names.split(",")):
            continue
        root = groups if second else groups / "memory"
        place = root / own.strip("/")
        for folder in (place, *place.parents):
            if not folder.is_relative_to(root):
                break
            limit = _number(
                folder / ("memory.max" if second else "memory.limit_in_bytes")
            )
            if limit is None or limit >= 2**60:
                continue
            held = _table(folder / "memory.stat")
            used = held.get("anon" if second else "total_rss", 0)
            yield Room(
                free=max(0, limit - used),
                bound=f"the limit of {size(limit)} of this job or container",
            )


def _gpus() -> Iterator[Room]:
    """The free memory of the fullest GPU, of those that this process sees."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    if named := os.environ.get("CUDA_VISIBLE_DEVICES", "").strip():
        # Numbers or UUIDs, of which those behind a wrong one do not count.
        command.append(f"--id={','.join(named.split(',')[: len(gpus)])}")
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True)
        free = min(map(int, listed.stdout.split()))
    except (OSError, subprocess.CalledProcessError, ValueError):
        return
    yield Room(free=free * 2**20, bound="memory of the GPU")


def _table(path: Path) -> dict[str, int]:
    """Lines as `Name: 12 kB`, or `name 12`, -> bytes by name."""
    if not path.exists():
        return {}
    table = {}
    for line in path.read_text().splitlines():
        name, *rest = line.split()
        if rest and rest[0].isdigit():
            unit = 1024 if rest[1:] == ["kB"] else 1
            table[name.rstrip(":")] = int(rest[0]) * unit
    return table


def _number(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdigit() else None


def too_little(needs: Needs, room: Room, config: TrainConfig) -> str | None:
    """What would make a step fit, in one line; None where it does.

    Args:
        needs: Of all images of a batch on a device.
        room: What there is, when all is built and no step is taken.
        config: All settings.
    """
    before = config.devices.gradient_accumulation_steps
    wanted = needs.step(before)
    if wanted <= room.free:
        return None
    ways = [
        f"--gradient_accumulation_steps={parts} ({needs.images // parts} images at a "
        "time)"
        for parts in range(before + 1, needs.images + 1)
        if needs.images % parts == 0 and needs.step(parts) <= room.free
    ][:1]
    if not config.devices.remat:
        ways.append("--remat=true")
    ways.append(_smaller_crop(needs, room, config))
    return (
        f"a step needs about {size(wanted)} more, and {size(room.free)} are left "
        f"({room.bound}): {', or '.join(filter(None, ways))}"
    )


def _smaller_crop(needs: Needs, room: Room, config: TrainConfig) -> str:
    """The largest crop that fits, if one does."""
    parts = config.devices.gradient_accumulation_steps
    fixed = dataclasses.replace(needs, image=0, loss=0).step(parts)
    share = max(0.0, (room.free - fixed) / (needs.step(parts) - fixed))
    aligned = multiple(config.model)
    sides = [
        (int(side * math.sqrt(share)) - 1) // aligned * aligned + 1
        for side in config.augment.train_crop_size
    ]
    if min(sides) <= 4 * aligned:
        return "a machine with more memory"
    return f"--train_crop_size={','.join(map(str, sides))}"


def size(count: float) -> str:
    """Bytes as people read them: "1.3 GB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
