"""A teacher's logits for every way in which every training image may be augmented, computed once for all its students.

Cropped and mirrored, a 32x32 image comes out in 162 ways. The logits of all are [N, 162, K]: 1.6 GB in float16 for
CIFAR-100, made in the time of 162 epochs of inference, and then a distilled step evaluates no teacher. It pays where
the students of a teacher, population by population, train for more epochs than that.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from distill_jax.data.arrays import filled_batches
from distill_jax.data.augment import Kind, moved, normalise, outcomes
from distill_jax.data.dataset import Dataset
from distill_jax.machine.placement import BATCH, row_length

DTYPE = jnp.float16  # 11 bits: a logit of 10 is rounded by 0.004 at most; bfloat16 would round it by 0.03


def table_bytes(dataset: Dataset, kind: Kind, platform: str) -> int:
    """Bytes of one teacher's table on a device.

    >>> from distill_jax.data.dataset import Split
    >>> split = Split(np.zeros((2, 32, 32, 3), np.uint8), *[np.arange(2)] * 3)
    >>> table_bytes(Dataset("mine", split, split, 10, None, None), "crop-flip", "cpu")  # 2 images, 162 ways, 10 logits
    6480
    """
    rows = len(dataset.train.label) * outcomes(kind, dataset.input_shape)
    return rows * row_length(dataset.num_classes, platform) * jnp.dtype(DTYPE).itemsize


def table(
    teacher: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    dataset: Dataset,
    kind: Kind,
    batch: int,
    devices: Sequence[Any] | None = None,
) -> np.ndarray:
    """The logits of all outcomes of all training images.

    >>> from distill_jax.data.dataset import Split
    >>> split = Split(np.ones((1, 8, 8, 2), np.float32), *[np.zeros(1, np.int32)] * 3)
    >>> mine = Dataset("mine", split, split, num_classes=2, mean=np.zeros(2), std=np.ones(2))
    >>> table(lambda _, x: x.sum((1, 2)), {}, mine, "crop", batch=9)[:, 0].tolist()  # pixels within: 8 or 7 a side
    [49.0, 56.0, 49.0, 56.0, 64.0, 56.0, 49.0, 56.0, 49.0]

    Args:
      teacher: (variables, x) -> float32 logits [B, K], of `models.evaluation`.
      variables: the teacher's, host arrays.
      dataset: images.
      kind: of augmentation, not 'none'.
      batch: images of a call, about.
      devices: those of this process that are used; None for all.

    Returns:
      [N outcomes, K], float16, on the host; of image i as outcome o of `augment.draw` has it in row i outcomes + o.
    """
    ways, examples = outcomes(kind, dataset.input_shape), len(dataset.train.label)
    # Each process makes the whole table, on its own devices: it needs all of it.
    mesh = Mesh(np.array(jax.local_devices() if devices is None else devices), (BATCH,), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec(BATCH))
    size = -(-min(max(batch // ways, 1), examples) // mesh.size) * mesh.size

    def of_images(variables: Any, x: jax.Array) -> jax.Array:
        def logits_of_outcome(number: jax.Array) -> jax.Array:
            augmented = moved(x, jnp.full(len(x), number, jnp.int32), kind)
            inputs = normalise(augmented, dataset.mean, dataset.std, jnp.float32)
            return teacher(variables, inputs).astype(DTYPE)

        return jax.lax.map(logits_of_outcome, jnp.arange(ways)).swapaxes(0, 1)

    program = jax.jit(of_images, out_shardings=rows)
    placed = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    logits = np.empty((examples, ways, dataset.num_classes), DTYPE)
    for start, x in filled_batches(dataset.train.x, size):
        logits[start : start + size] = np.asarray(program(placed, jax.device_put(x, rows)))[: examples - start]
    return logits.reshape(-1, dataset.num_classes)
