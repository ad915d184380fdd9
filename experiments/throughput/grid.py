"""The grid to measure: networks with their recipes, rows, and the rule by which a CPU leaves out some of them."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from distill_jax import models
from distill_jax.data.dataset import Vocabulary
from distill_jax.machine import backend
from distill_jax.setting import ModelSetting, OptimizerSetting, RobertaSetting
from experiments.throughput.flops import flops

KINDS = ("one-hot", "kd", "kd-cached", "evaluate", "dump")
POPULATIONS = (1, 2, 4, 8, 16)
# FLOP/s at most, where a population's convolutions are mapped and so become grouped ones, slow in XLA's CPU backend.
CPU_FLOPS_MAPPED = 12e9
CPU_SECONDS = 5.0  # a row is left out on a CPU if a call, of training or evaluation, would take longer by these


_SGD = OptimizerSetting("sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-4)


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with the recipe that trains it in the paper.

    Attributes:
      model: which network; the teacher is the same (self-distillation, the paper's main setting).
      input_shape: of one example, uint8 (H, W, C), float32 (D,), or of texts uint16 (L,).
      classes: number of classes.
      train, test: examples in each split; `cpu_train`, `cpu_test` on a CPU, where they are fewer.
      batches: examples a step.
      populations: numbers of members.
      optimizer: update rule; the rate is constant, since a schedule is no work.
      augment: as `DataSetting.augment`.
      temperature: of the distillation.
      vocabulary: of texts.
      cpu_flops: FLOP/s that 2 cores (Intel Xeon, AMD EPYC) reached in training it, rounded down.
    """

    model: ModelSetting
    input_shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    cpu_train: int
    cpu_test: int
    batches: tuple[int, ...] = (128, 1024)
    populations: tuple[int, ...] = POPULATIONS
    optimizer: OptimizerSetting = _SGD
    augment: str = "crop-flip"
    temperature: float = 4.0
    vocabulary: Vocabulary | None = None
    cpu_flops: float = 50e9

    @property
    def convolutional(self) -> bool:
        """Whether it has convolutions."""
        return models.kind(self.model.name) == "convolutional"

    @property
    def augments(self) -> bool:
        """Whether its images are augmented."""
        return self.augment != "none"

    @property
    def defaults(self) -> backend.Defaults:
        """How it is run on this backend."""
        return backend.defaults(models.kind(self.model.name))

    def splits(self, backend: str | None = None) -> tuple[int, int]:
        """Examples of the training and the test split on a backend [default: this process's]."""
        on_cpu = (backend or jax.default_backend()) == "cpu"
        return (self.cpu_train, self.cpu_test) if on_cpu else (self.train, self.test)


def _cifar(depth: int) -> Network:
    model = ModelSetting("resnet-cifar", depth=depth)
    return Network(model, (32, 32, 3), 100, 50_000, 10_000, cpu_train=10_000, cpu_test=1024)


def _tiny(name: str, **others: Any) -> Network:
    return Network(ModelSetting(name), (64, 64, 3), 200, 100_000, 10_000, cpu_train=4096, cpu_test=256, **others)


def _roberta(layers: int, units: int, rate: float, **others: Any) -> Network:
    model = ModelSetting("roberta", roberta=RobertaSetting(layers=layers, units=units))
    recipe = {"optimizer": OptimizerSetting("adam", learning_rate=rate), "augment": "none", "batches": (64,)}
    return Network(model, (128,), vocabulary=Vocabulary(50_265, pad=1), **recipe, **others)


_MNLI = {"classes": 3, "train": 392_702, "test": 9815, "cpu_train": 4096, "cpu_test": 256, "temperature": 2.0}
_IMDB = {"classes": 2, "train": 4000, "test": 2500, "cpu_train": 4000, "cpu_test": 1024, "temperature": 16.0}
_DENSE = {"augment": "none", "populations": (*POPULATIONS, 64)}
NETWORKS = {
    # Table 1 of the paper, but for the peak rate of 1.0, which noise for data would not bear.
    "cifar-resnet20": _cifar(20),
    "cifar-resnet56": _cifar(56),
    "tiny-mobilenet-v2": _tiny("mobilenet-v2", cpu_flops=10e9),
    "tiny-resnet18": _tiny("resnet18"),
    "tiny-resnet50": _tiny("resnet50"),
    "mnist-random-features": Network(  # appendix C.4: 128 examples, batch 16, temperature 5
        ModelSetting("random-features", features=5000),
        *((28, 28, 1), 10, 128, 10_000, 128, 10_000, (16,)),
        optimizer=OptimizerSetting("adam", learning_rate=0.001),
        temperature=5.0,
        cpu_flops=100e9,  # in its evaluation
        **_DENSE,
    ),
    "channel": Network(  # appendix C.5: 10 channels of 100, 512 examples, batch 128, temperature 5
        ModelSetting("channel"),
        *((1000,), 10, 512, 10_000, 512, 10_000, (128,)),
        optimizer=OptimizerSetting("adam", learning_rate=0.1),
        temperature=5.0,
        **_DENSE,
    ),
    "digits-mlp": Network(  # the preset digits
        ModelSetting("mlp", hidden=(256,)), *((8, 8, 1), 10, 1437, 360, 1437, 360, (128,)), **_DENSE
    ),
    # Appendix C.1, but for pretrained weights, which make no difference in work.
    "mnli-roberta-base": _roberta(12, 768, 1e-5, populations=(1, 2, 4), cpu_flops=100e9, **_MNLI),
    "mnli-roberta-small": _roberta(4, 512, 1e-5, cpu_flops=100e9, **_MNLI),
    "imdb-roberta-2x64": _roberta(2, 64, 1e-3, **_IMDB),  # the preset imdb-small
}
DUMPED = "cifar-resnet20"  # the network whose training split's logits are dumped


@dataclasses.dataclass(frozen=True)
class Row:
    """One point of the grid.

    Attributes:
      network: a name in `NETWORKS`.
      kind: one of `KINDS`.
      dtype: of what is trained, 'float32' or 'bfloat16'. Teachers, evaluation and dumps are always float32.
      batch: examples of a member in a step; for 'evaluate' and 'dump', in the whole split.
      population: members in one program.
    """

    network: str
    kind: str
    dtype: str
    batch: int
    population: int

    @property
    def name(self) -> str:
        """The row's name on the command line and in files."""
        return f"{self.network}/{self.kind}/{self.dtype}/{self.batch}/p{self.population}"


def rows(backend: str | None = None) -> Iterator[Row]:
    """The whole grid on a backend [default: this process's].

    The population is the fastest to change: the peer of its rows is one.
    """
    for name, network in NETWORKS.items():
        for dtype in ("float32", "bfloat16"):
            for kind in ("one-hot", "kd", "kd-cached", *(["evaluate"] if dtype == "float32" else [])):
                for batch in (network.splits(backend)[1],) if kind == "evaluate" else network.batches:
                    for population in network.populations:
                        yield Row(name, kind, dtype, batch, population)
    for population in (1, 4, 16):
        yield Row(DUMPED, "dump", "float32", NETWORKS[DUMPED].train, population)


QUICK = (
    "cifar-resnet20/one-hot/float32/128/p1",
    "cifar-resnet20/kd/float32/128/p1",
    "cifar-resnet20/kd-cached/float32/128/p1",
    "cifar-resnet20/evaluate/float32/*/p1",
    "mnist-random-features/one-hot/float32/16/p1",
    "mnist-random-features/one-hot/float32/16/p64",
    "channel/one-hot/float32/128/p1",
    "channel/one-hot/float32/128/p64",
    "digits-mlp/one-hot/float32/128/p1",
    "digits-mlp/one-hot/float32/128/p16",
    "imdb-roberta-2x64/one-hot/float32/64/p1",
    "cifar-resnet20/dump/float32/*/p1",
    "cifar-resnet20/dump/float32/*/p4",
)


@functools.cache
def forward_flops(network: str) -> int:
    """FLOPs of one example's forward pass."""
    spec = NETWORKS[network]
    model = models.build_model(spec.model, spec.classes, spec.input_shape, vocabulary=spec.vocabulary)
    x = jax.ShapeDtypeStruct((1, *spec.input_shape), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x)
    return flops(jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, x))


def left_out(row: Row) -> str | None:
    """Why a row is not measured on this backend; None if it is."""
    spec = NETWORKS[row.network]
    if jax.default_backend() != "cpu" or row.kind == "dump":
        return None
    if models.kind(spec.model.name) == "dense" and row.kind != "evaluate":  # features that stay are computed once
        return None
    passes = {"evaluate": 1, "kd": 4}.get(row.kind, 3)  # forward, and the gradient as much as two; the teacher's
    work = passes * row.batch * row.population * forward_flops(row.network)
    if row.kind != "evaluate":
        work *= spec.defaults.steps_per_dispatch
    rate = min(spec.cpu_flops, CPU_FLOPS_MAPPED) if spec.convolutional and row.population > 1 else spec.cpu_flops
    if work / rate <= CPU_SECONDS:
        return None
    return f"too long on a CPU: {work / 1e9:,.0f} GFLOP a call, at {rate / 1e9:.0f} GFLOP/s over {CPU_SECONDS:.0f} s"
