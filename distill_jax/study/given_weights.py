"""A teacher whose weights are given: a network that is not trained here, and its logits of the data set's examples."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from distill_jax.data.arrays import filled_batches
from distill_jax.data.augment import normalise
from distill_jax.data.dataset import Dataset
from distill_jax.identity import digest
from distill_jax.machine import backend
from distill_jax.machine.placement import BATCH, evaluating
from distill_jax.models import build_for, kind, torch_weights
from distill_jax.models.evaluation import evaluation
from distill_jax.paths import local
from distill_jax.setting import NETWORKS, Setting
from distill_jax.study.given_teacher import SPLITS, GivenTeacher, Logits
from distill_jax.training.teacher_source import teacher_mean_std

_FIELD = "given.weights"


@dataclasses.dataclass(frozen=True, eq=False)
class TeacherOfWeights(GivenTeacher):
    """One teacher for the students of all seeds, which is evaluated on what they see.

    Attributes:
      network: as it is built for students' training.
      variables: its 'params' and 'batch_stats', float32 host arrays.
      normalised: what its inputs are normalised by, for a person.
    """

    network: nn.Module
    variables: Any
    normalised: str

    def description(self, dataset: Dataset, augment: str) -> Iterator[str]:
        """A line on what it is; how good it is, is said when its logits are there."""
        yield f"teacher: weights of {self.named[0]}, their inputs normalised by {self.normalised}"


def teacher_of_weights(setting: Setting, dataset: Dataset) -> TeacherOfWeights:
    """The teacher whose weights a setting names; its logits are computed when they are first asked for.

    Raises:
      InputError: they are not those of the network, or not for these data; see `torch_weights.read`.
    """
    network_setting = setting.teacher
    path = local(_FIELD, str(setting.given.weights))
    network = build_for(dataset, network_setting, setting.train.precision, "teacher")
    sizes = dataset.num_classes, dataset.input_shape[-1]  # channels
    shown = torch_weights.normalisation(setting.given, network_setting.name, *sizes)
    variables = torch_weights.read(path, network, *sizes, _FIELD)
    identity = {
        "name": "given weights",
        "network": network_setting.name,
        **{field: getattr(network_setting, field) for field in NETWORKS[network_setting.name]},
        "weights": torch_weights.digest(path, _FIELD),
        "mean": list(shown[0]),
        "std": list(shown[1]),
    }
    mean, std = teacher_mean_std(setting, dataset)
    batch = backend.defaults(kind(network_setting.name)).examples_at_once(dataset.input_shape)

    @functools.cache
    def logits() -> Logits:
        evaluate = evaluation(network, jax.default_backend())
        mesh = Mesh(np.array(evaluating(setting.train.batch_shards)), (BATCH,), axis_types=(AxisType.Auto,))
        program, place = _program(evaluate, mean, std, variables, mesh)
        return {split: _of_split(program, place, getattr(dataset, split).x, batch, mesh.size) for split in SPLITS}

    name = digest(identity)
    text = " and ".join(" ".join(f"{value:g}" for value in values) for values in shown)
    return TeacherOfWeights(
        (str(setting.given.weights),),
        lambda _: logits(),
        lambda _: name,
        True,
        identity,
        network=network,
        variables=variables,
        normalised=f"mean and standard deviation {text}",
    )


def _program(
    evaluate: Callable[[Any, jax.Array], jax.Array], mean: Any, std: Any, variables: Any, mesh: Mesh
) -> tuple[Callable[[jax.Array], jax.Array], Callable[[np.ndarray], jax.Array]]:
    """The compiled function from raw images to logits, and what puts a batch of these on the devices.

    Each process computes all, on its own devices.
    """
    rows = NamedSharding(mesh, PartitionSpec(BATCH))
    placed = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    jitted = jax.jit(lambda v, x: evaluate(v, normalise(x, mean, std, jnp.float32)), out_shardings=rows)
    return functools.partial(jitted, placed), lambda x: jax.device_put(x, rows)


def _of_split(
    program: Callable[[jax.Array], jax.Array],
    place: Callable[[np.ndarray], jax.Array],
    x: np.ndarray,
    batch: int,
    devices: int,
) -> np.ndarray:
    """Logits of images [N, H, W, C], float32 [N, K], in batches of one size, the last filled up with its last image."""
    size = -(-min(batch, len(x)) // devices) * devices
    while True:
        try:
            parts = [np.asarray(program(place(images)))[: len(x) - start] for start, images in filled_batches(x, size)]
            break
        except jax.errors.JaxRuntimeError as error:
            if not backend.is_out_of_memory(error) or size == devices:
                raise
            size = max(size // 2 // devices, 1) * devices
    return np.concatenate(parts)
