"""What a study is made of: its data, schedule, networks and given teacher, checked before anything is written."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
from rich.console import Console

import compiler_faults
from distill_jax.data import load_dataset
from distill_jax.data.dataset import Dataset
from distill_jax.errors import InputError
from distill_jax.machine import backend
from distill_jax.machine.placement import BATCH
from distill_jax.models import build_for, kind, pretrained
from distill_jax.setting import Setting, TrainSetting
from distill_jax.study import sweep
from distill_jax.study.checks import validate, validate_on_data
from distill_jax.study.given_teacher import GivenTeacher, Source, given_teacher
from distill_jax.study.given_weights import TeacherOfWeights, teacher_of_weights
from distill_jax.training import outcomes, streaming
from distill_jax.training.objective import Objective
from distill_jax.training.programs import check_batch, check_statistics, feature_layers, inputs_of, mesh_of
from distill_jax.training.progress import say
from distill_jax.training.schedule import Schedule
from distill_jax.training.teacher_source import teacher_source


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a study is made of.

    Attributes:
      dataset: what is learned.
      schedule: of its steps.
      networks: of each role that is trained.
      given: the teacher that is there already; None where teachers are trained.
    """

    dataset: Dataset
    schedule: Schedule
    networks: dict[str, nn.Module]
    given: GivenTeacher | None


def prepare(
    setting: Setting, console: Console, arrays: Mapping[str, Any] | None = None, sources: Sequence[Source] = ()
) -> Prepared:
    """Loads the data, builds the networks, and checks what a process can check without the others.

    Args:
      setting: what to study.
      console: for what a person should see.
      arrays: data that are there already, see `data.load_dataset`.
      sources: of a teacher's logits, see `given_teacher`.

    Raises:
      InputError: the setting or the data are not right.
    """
    validate(setting)
    backend.check_options()
    if (warning := compiler_faults.warning()) is not None:
        say(console, f"warning: {warning}")
    with console.status("reading the data"):  # shown on a terminal alone
        dataset = load_dataset(setting.data, arrays)
    for note in dataset.notes:
        say(console, f"data: {note}")
    examples, test_examples = len(dataset.train.label), len(dataset.test.label)
    schedule = Schedule.of(setting, examples)
    validate_on_data(setting, examples, test_examples, schedule.total_steps)
    sweep.check(setting, examples, test_examples, schedule.total_steps)
    if setting.given.weights is not None:
        given = teacher_of_weights(setting, dataset)
    else:
        given = given_teacher(sources, dataset) if sources else None
    networks = {}
    for role in ("teacher", "student") if given is None else ("student",):
        network = getattr(setting, role)
        networks[role] = build_for(dataset, network, setting.train.precision, f"--{role}")
        pretrained.read(network, networks[role], f"--{role}")
    _check_networks(setting, dataset, networks, given)
    if given is not None:
        for line in given.description(dataset, setting.data.augment):
            say(console, line)
    limit = backend.memory_limit(setting.run.memory_gib)
    if streaming.is_streamed(setting.run.streaming, dataset, limit):
        streaming.require(setting.run.streaming)
        size = (dataset.train.x.nbytes + dataset.test.x.nbytes) / 2**30
        say(console, f"data: {size:.2g} GiB stay on the host, from which batches are read ahead")
    _check_teacher_table(setting, dataset, limit)
    return Prepared(dataset, schedule, networks, given)


def _check_networks(
    setting: Setting, dataset: Dataset, networks: Mapping[str, nn.Module], given: GivenTeacher | None
) -> None:
    """Checks that networks have the layers whose features are learned, and the statistics that are set."""
    own = {"teacher": given.network} if isinstance(given, TeacherOfWeights) else {}
    # Trainers find the layers again; here one that is not there is refused before anything is trained.
    feature_layers(setting, Objective.of_study(setting), {**networks, **own}, inputs_of(dataset))
    check_statistics(setting.train, networks, inputs_of(dataset))
    norm_examples, names = setting.train.norm_examples, [getattr(setting, role).name for role in networks]
    if norm_examples is not None and all(kind(name) != "convolutional" for name in names):
        raise InputError(
            "train.norm_examples",
            norm_examples,
            "must be left out, since neither network has batch normalisation: " + ", ".join(names),
        )


def _check_teacher_table(setting: Setting, dataset: Dataset, limit: float) -> None:
    """Checks that the logits of every augmented image fit into a device, where they are asked for."""
    if teacher_source(setting) != "outcomes":
        return
    need = outcomes.table_bytes(dataset, setting.data.augment, jax.default_backend())
    if need > limit:
        raise InputError(
            "run.teacher_logits",
            "all-outcomes",
            f"needs {need / 2**30:.2g} GiB of a device's {limit / 2**30:.2g}; must be in-step",
        )


def idle_devices(network: str, extent: tuple[int, int], setting: TrainSetting) -> str | None:
    """Which devices a population of a network leaves idle, as a line; None where all are at work or share no batch.

    Raises:
      InputError: the batch cannot be divided among the devices as it is set to be.
    """
    mesh = mesh_of(network, extent, setting)
    check_batch(setting, mesh)
    idle = jax.device_count() - mesh.size
    if not idle or not backend.defaults(kind(network)).batch_is_shared:
        return None
    shards = "" if setting.batch_shards is None else f" in {setting.batch_shards} shards"
    shared = f"{mesh.shape[BATCH]} share a batch of {setting.batch_size}{shards}"
    return f"{idle} of {jax.device_count()} devices stay idle: {shared}, which more do not divide evenly"
