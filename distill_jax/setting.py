"""Everything a user may choose, as typed and documented data."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from distill_jax.pairs import Names, NumberLists, Numbers, Values
from distill_jax.paths import SERVED
from distill_jax.students import STUDENTS

# What of a field is part of a study's identity: by default its value. A field that is added to a setting says LATER, so
# that studies older than it keep their names. What some students alone depend on is part of these (`run_digest`).
NEVER, LATER = {"identity": "never"}, {"identity": "where it is not the default"}
READ, WRITTEN = {SERVED: "read"}, {SERVED: "written"}  # of a field that may be in a bucket


@dataclasses.dataclass(frozen=True)
class DataSetting:
    """The data set, and the part of it that is used.

    Example:
      >>> DataSetting(dataset="mnist", label_noise=0.2).noise_draw
      'shared'
    """

    dataset: str = "digits"
    """digits | mnist | fashion-mnist | cifar10 | cifar100 | tiny-imagenet | imagenet | glue/mnli | glue/qqp |
    glue/sst2 | glue/cola | glue/mrpc | glue/qnli | glue/rte | imdb_reviews | ag_news_subset | path of your own .npz
    (x_train, y_train, x_test, y_test) | your own folder of pictures, train/CLASS/*.jpg and val/CLASS/*.jpg | CIFAR's
    own .tar.gz or its folder, python or binary | your own folder of texts, with train and test as .csv, .tsv, .jsonl
    or .parquet (columns text, label and, for pairs, text_pair, or as GLUE and the hub name them) | hf:NAME, pictures of
    Hugging Face's hub | module:function of your own, which gives the four arrays as a dictionary."""
    data_dir: Path | None = dataclasses.field(default=None, metadata=NEVER | READ)
    """Folder that holds the prepared data: a TFDS data_dir (mnist, cifar10, cifar100, texts), the folder of
    Tiny-ImageNet, of ImageNet or that of Fashion-MNIST's idx files. Not needed for digits and your own data. Of a
    bucket (gs://, s3://) what the data set needs is brought here once, below --cache-dir."""
    cache_dir: Path | None = dataclasses.field(default=None, metadata=NEVER | WRITTEN)
    """Folder for decoded arrays and compiled programs [default: ~/.cache/distill-jax]. In a bucket (gs://, s3://)
    compiled programs alone are kept, for all machines of one kind; the rest is in the default's."""
    label: str = "label"
    """Which label of the data set to learn: cifar100 has 'label' (100 classes) and 'coarse_label' (20)."""
    classes: int | None = None
    """Keep only the first so many classes [default: all]."""
    train_examples: int | None = None
    """Keep only so many training examples, the same number of each class as nearly as can be, drawn by
    noise_seed [default: all]."""
    test_examples: int | None = dataclasses.field(default=None, metadata=LATER)
    """The same of the test examples, where each snapshot of the whole split would cost too much [default: all]."""
    image_size: int | None = None
    """Pixels a side. Pictures in folders are resized to it; of other images the side must be a multiple of it, and they
    are averaged down [default: as they are]."""
    skip_broken: bool = dataclasses.field(default=False, metadata=LATER)
    """pictures in folders: leave out those that cannot be decoded, and name them."""
    label_noise: float = 0.0
    """Share of training labels, in [0, 1), that are replaced by another class drawn uniformly. The true labels
    are kept for measurement. Test labels are never touched."""
    noise_seed: int = 0
    """Seed of the subsets and of the label noise."""
    noise_draw: Literal["shared", "per-seed"] = "shared"
    """Whether all repetitions have the same wrong labels, or each its own (noise_seed, and the number of the
    repetition): intervals then range over draws of the noise too. The subset is always the same."""
    augment: Literal["none", "crop", "crop-flip"] = "none"
    """On-device augmentation: zero-pad by an eighth of the side and crop at random; crop-flip also mirrors."""
    tokenizer: Path | None = dataclasses.field(default=None, metadata=NEVER | READ)
    """texts: folder of a tokenizer: tokenizer.json; or RoBERTa's vocab.json and merges.txt; or BERT's vocab.txt and
    tokenizer_config.json."""
    length: int = 128
    """texts: tokens of each, special ones included; shorter ones are padded. 128 is usual for GLUE, whose longer pairs
    are few; reviews are longer."""
    truncation: Literal["end", "start", "refuse"] = "end"
    """texts: which part of a longer one is dropped, of a pair from the longer of the two first; or whether it is
    refused. 'end' is usual."""


@dataclasses.dataclass(frozen=True)
class RobertaSetting:
    """A RoBERTa, BERT or DistilBERT. The paper's Base has 12 layers of 768 units; it does not say what its Medium and
    Small have.

    Example:
      >>> RobertaSetting(layers=2, units=64).dropout
      0.1
    """

    pretrained: Path | None = dataclasses.field(default=None, metadata=READ)
    """Folder to begin from, of a RoBERTa, BERT or DistilBERT: config.json and model.safetensors, or its shards, as
    transformers saves them, whose kind and sizes count then; a head that it has not is drawn by seed."""
    layers: int = 4
    """Layers, where nothing is pretrained."""
    units: int = 512
    """Units of each layer, likewise; with a head of attention for every 64, and four times as many within the
    feed-forward layer."""
    dropout: float = 0.1
    """Dropout of activations and of what the head sees."""
    attention_dropout: float = 0.1
    """Dropout of attention's weights."""
    attention: Literal["xla", "cudnn"] = "xla"
    """Who computes attention: cudnn, the fused one on NVIDIA GPUs, needs bfloat16, an even length and no
    attention_dropout."""
    remat: bool = False
    """Compute activations again for the gradient, and do not keep them: less memory, a third more work."""


@dataclasses.dataclass(frozen=True)
class ModelSetting:
    """A network. Fields that the named network does not have are ignored, see `NETWORKS`.

    Example:
      >>> [getattr(ModelSetting("resnet-cifar", depth=20), field) for field in NETWORKS["resnet-cifar"]]
      [20, 'basic', 16]
    """

    name: str = "mlp"
    """resnet-cifar is ResNet-v2 of any depth for small images; resnet18 and resnet50 are ResNet-v2 for larger ones;
    mobilenet-v2; mlp; linear; random-features; channel is linear, with inputs of its own for every class; roberta, bert
    and distilbert are for texts, and texts for them. The three have the same options, named after roberta; where they
    are pretrained, roberta stands for whichever the folder holds. resnet18-v1, resnet34-v1 and resnet50-v1 are
    torchvision's, resnet-cifar-v1 is pytorch-cifar-models'. Or a Flax module of your own, as module:Class (see
    docs/extending.md)."""
    settings: Values = dataclasses.field(default_factory=dict, metadata=LATER)
    """Settings of a network of your own: NAME=VALUE."""
    depth: int = 56
    """resnet-cifar, resnet-cifar-v1: layers; 6n+2 with basic blocks, 9n+2 with others."""
    block: Literal["basic", "bottleneck", "keras"] = "basic"
    """resnet-cifar: residual block; keras is the wider bottleneck of Keras' CIFAR example, version 2."""
    width: int = 16
    """resnet-cifar, resnet-cifar-v1: channels of the first stage."""
    stem: Literal["small", "imagenet"] | None = dataclasses.field(default=None, metadata=LATER)
    """resnets of 18, 34 or 50 layers: 'small' is a 3x3 convolution of stride 1, for 32 to 64 pixels; 'imagenet' a 7x7
    one and a maximum, each of stride 2, for 224 [default: imagenet of those named v1, small of the others]."""
    multiplier: float = 1.0
    """mobilenet-v2: width multiplier."""
    strides: Literal["imagenet", "cifar"] = "imagenet"
    """mobilenet-v2: 'imagenet' reduces by 32; 'cifar' by 8 (stem and first reduction at stride 1)."""
    hidden: tuple[int, ...] = (256,)
    """mlp: units of each hidden layer."""
    features: int = 5000
    """random-features: number of ReLU random features."""
    roberta: RobertaSetting = dataclasses.field(default_factory=RobertaSetting)


# The fields of each network.
NETWORKS: dict[str, tuple[str, ...]] = {
    "resnet-cifar": ("depth", "block", "width"),
    "resnet18": ("stem",),
    "resnet50": ("stem",),
    "resnet-cifar-v1": ("depth", "width"),
    "resnet18-v1": ("stem",),
    "resnet34-v1": ("stem",),
    "resnet50-v1": ("stem",),
    "mobilenet-v2": ("multiplier", "strides"),
    "mlp": ("hidden",),
    "linear": (),
    "random-features": ("features",),
    "channel": (),
    "roberta": ("roberta",),
    "bert": ("roberta",),
    "distilbert": ("roberta",),
}
TEXT_NETWORKS = tuple(name for name, network_fields in NETWORKS.items() if "roberta" in network_fields)


@dataclasses.dataclass(frozen=True)
class GivenTeacherSetting:
    """A teacher that is there already.

    Example:
      >>> Setting(given=GivenTeacherSetting(logits=("teacher.npz",))).given.logits
      ('teacher.npz',)
    """

    logits: tuple[str, ...] = dataclasses.field(default=(), metadata=READ)
    """In place of a network that is trained: a file of numpy.savez with train and test, logits [N, K] in the data's
    order (or with train_id and test_id); a folder of dumps, as DIR/dumps/teacher of another study, whose seeds are
    this one's; or module:function of your own, from inputs [B, ...] to logits [B, K]. Of several, their mean."""
    weights: Path | None = dataclasses.field(default=None, metadata=READ)
    """The weights of resnet18-v1, resnet34-v1, resnet50-v1 or resnet-cifar-v1, which are not trained: a state_dict of
    PyTorch's as safetensors.torch.save_file has it. The teacher sees the very images that students see."""
    mean: tuple[float, ...] = ()
    """weights: mean, of channels in [0, 1], by which their inputs were normalised [default: ImageNet's for
    torchvision's networks, for resnet-cifar-v1 CIFAR-10's, or with 100 classes CIFAR-100's]."""
    std: tuple[float, ...] = ()
    """weights: standard deviation likewise."""


@dataclasses.dataclass(frozen=True)
class ObjectiveSetting:
    """The loss: (1 - w) one-hot cross-entropy + w distillation cross-entropy, w a schedule over steps.

    Example:
      >>> ObjectiveSetting(temperature=2.0, loss_settings={"beta": 2.0}).distillation_scale
      'T^2'
    """

    temperature: float = 4.0
    """Temperature T > 0 of teacher and student softmax in the distillation term."""
    distillation_scale: Literal["T^2", "1"] = "T^2"
    """Factor of the distillation term: T^2 keeps its gradients as large as the one-hot term's (Hinton et al.
    2015, section 2); 1 is the paper's equation (2) to the letter."""
    teacher_precision: Literal["float32", "bfloat16"] = dataclasses.field(default="float32", metadata=LATER)
    """Precision in which a teacher is evaluated in its students' training, where its logits are not kept: float32, as
    its dumps say, or bfloat16, as --precision has it in its own training, at a third of the cost and less."""
    teacher_shuffle: Literal["none", "within-class", "all"] = dataclasses.field(default="none", metadata=LATER)
    """Give students the teacher's logits of other examples, of the same label or any: a control that asks whether what
    the teacher knows of each example matters. For logits that are kept (without augmentation, or given)."""
    distillation_weight: float = 1.0
    """Weight w, in [0, 1], of whatever loss needs the teacher where that is on; the one-hot loss has 1 - w."""
    switch_step: int | None = None
    """Step at which the two switched students begin to change their loss [default: half way]."""
    switch_window: int = 0
    """Steps over which the weight moves linearly from one loss to the other; 0 switches at once."""
    loss_settings: Numbers = dataclasses.field(default_factory=dict, metadata=NEVER)
    """Settings of losses: smoothing of label_smoothing (0.1), alpha (1) and beta (8) of dkd, hint_scale (1) of hint,
    and those of your own losses."""
    student_features: Names = dataclasses.field(default_factory=dict, metadata=NEVER)
    """Layers of the student whose outputs losses on features see, by names of your choice: NAME=LAYER
    [default: middle=LAYER, the middle one before the last]."""
    teacher_features: Names = dataclasses.field(default_factory=dict, metadata=NEVER)
    """Layers of the teacher likewise, by the same names."""


@dataclasses.dataclass(frozen=True)
class SweepSetting:
    """Further students, one for every combination of these values that matters to a model; the study's own value
    is always among them. They join the study's populations, so that a whole sweep trains in one program. Like the
    number of seeds it may grow in a work directory that already holds the study.

    Example:
      >>> SweepSetting(temperature=(1.0, 2.0), loss_settings={"beta": (1.0, 4.0)}).learning_rate
      ()
    """

    temperature: tuple[float, ...] = ()
    """Values of --temperature, for the students that are distilled."""
    distillation_weight: tuple[float, ...] = ()
    """Values of --distillation-weight, likewise."""
    switch_step: tuple[int, ...] = ()
    """Values of --switch-step, for the two switched students."""
    switch_window: tuple[int, ...] = ()
    """Values of --switch-window, likewise."""
    learning_rate: tuple[float, ...] = ()
    """Values of --learning-rate, for all students; the teacher keeps the study's."""
    loss_settings: NumberLists = dataclasses.field(default_factory=dict)
    """Values of settings of losses, for the students whose losses have them: beta=1,2,4."""


@dataclasses.dataclass(frozen=True)
class OptimizerSetting:
    """Update rule and learning-rate schedule.

    Example:
      >>> OptimizerSetting(decay="step", decay_epochs=(60.0, 80.0)).decay_factor
      0.1
    """

    optimizer: str = "sgd"
    """sgd (with Nesterov momentum), adam, adamw, or module:function of your own: from this group of the setting to an
    optax.GradientTransformation that leaves the learning rate out."""
    learning_rate: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """sgd: Nesterov momentum."""
    warmup_steps: int = 0
    """Steps of linear warm-up to the peak; the first has 1 / warmup_steps of it."""
    warmup_epochs: float = 0.0
    """The same in epochs, added to warmup_steps."""
    decay: Literal["none", "step", "linear", "cosine"] = "none"
    """After warm-up: constant, by decay_factor at each of decay_epochs, or to zero at the end of training."""
    decay_factor: float = 0.1
    """step decay: factor at each of decay_epochs."""
    decay_epochs: tuple[float, ...] = ()
    """step decay: epochs, from the start of training, after which the rate falls."""
    weight_decay: float = 0.0
    """Weight decay. Coupled (an L2 term in the gradient) for sgd and adam, decoupled for adamw."""
    decay_norm_and_bias: bool = True
    """Whether weight decay covers normalisation parameters and biases too."""


@dataclasses.dataclass(frozen=True)
class TrainSetting:
    """How long, in what portions and at what precision.

    Example:
      >>> TrainSetting(epochs=3, batch_size=64).precision
      'float32'
    """

    epochs: float = 100
    """Passes over the training data; the last incomplete batch of a pass is dropped."""
    batch_size: int = 128
    """Examples a step, over all devices together."""
    norm_examples: int | None = dataclasses.field(default=None, metadata=LATER)
    """Examples of which batch normalisation takes statistics together in training: each so many of a batch have their
    own, and what evaluation uses follows their mean. A divisor of --batch-size; where it divides what a device has of
    the batch, no layer waits for other devices [default: the whole batch, over all devices]."""
    batch_shards: int | None = dataclasses.field(default=None, metadata=LATER)
    """Shards in which every batch is computed, a power of two of which --batch-size is a multiple. Results are then the
    same to the bit on any number of devices and processes; devices that do not divide it stay idle. Networks with batch
    normalisation need --norm-examples, a divisor of a shard [default: results depend on the number of devices by
    rounding]."""
    length_buckets: int = 4
    """texts: batches are of texts of like length and cut to the shortest of so many lengths, evenly spaced up to
    --length, that holds them; each is compiled. With 1 batches are drawn from all texts and are --length long."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of activations and products of what is trained, in training. Parameters, losses, batch statistics,
    what a teacher says and what is dumped are float32."""
    snapshots: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
    """Moments, as shares of training, at which the probabilities of both splits are dumped. The end always is."""


@dataclasses.dataclass(frozen=True)
class RunSetting:
    """How the work is carried out. Nothing here changes what is computed, but for floating-point rounding.

    Example:
      >>> RunSetting(seeds=8).teacher_logits
      'auto'
    """

    workdir: Path = dataclasses.field(default=Path("work"), metadata=WRITTEN)
    """Folder for checkpoints, dumps, figures and the report; holds one setting. gs://BUCKET/NAME and s3://BUCKET/NAME
    too (extras: gcs, s3): a folder on this machine, below --cache-dir, whose likeness there follows it."""
    seeds: int = 3
    """How many independent repetitions (initialisation, data order, augmentation), each with its own teacher."""
    part_seeds: int | None = None
    """Seeds of a part of the study, whose models train apart from others' [default: all are one part]."""
    part: int | None = None
    """Train this part alone, the first of which is 0, in parts/ of the work folder, and report nothing. Parts may be
    trained at once, on several machines; the same command without this takes them in, trains the rest, and reports."""
    population: int | None = None
    """Most models trained at once in one program [default: by the backend and the model]."""
    steps_per_dispatch: int | None = None
    """Training steps in one call of the compiled program [default: by the backend and the model]."""
    teacher_logits: Literal["auto", "cached", "in-step", "all-outcomes"] = "auto"
    """Where students have their teacher's logits from: 'cached', its dump of the training set, which serves as long
    as nothing is augmented; 'in-step', computed on the very batch; 'all-outcomes', computed once for every way in which
    every image may be cropped and mirrored, in float16: for 32x32 the work of 162 epochs' evaluation, and the size of
    162 training sets' logits. 'auto' takes the cache where it serves, else 'in-step'."""
    memory_gib: float | None = None
    """Memory of one device that a program may take, in GiB; larger populations are split [default: what the
    device reports]."""
    streaming: Literal["auto", "always", "never"] = "auto"
    """Whether inputs stay on the host, from which each step's batch is read ahead (extra: stream), in place of lying on
    every device: 'auto' where they would take more than a quarter of a device's memory."""
    checkpoint_seconds: float = 60.0
    """Least time between two checkpoints, in seconds; 0 writes one after every dispatch."""
    keep_checkpoints: int = 2
    """Checkpoints kept of each training."""
    tensorboard: bool = False
    """Write scalars for TensorBoard too (extra: tensorboard)."""
    trackers: tuple[str, ...] = ()
    """Who is told of the scalars: tensorboard, wandb, mlflow (extras of the same names), or module:Class of your
    own, a training.trackers.Tracker. wandb is offline with WANDB_MODE=offline; mlflow writes into the work folder
    unless MLFLOW_TRACKING_URI says otherwise."""
    profile: bool = False
    """Trace a few steps in the middle of the first training that is left, once compiled, into profile/ of the work
    folder; a line says how to look at it."""
    explorer: Literal["part", "full", "none"] = "part"
    """What there is of single examples to look into: 'part', as many as report.html has room for; 'full', all of them
    beside it too, in explorer/ of the work folder; 'none'."""
    distributed: bool = False
    """Join other processes with jax.distributed. On a TPU slice or under SLURM the three fields below are found
    by themselves."""
    coordinator: str | None = None
    """distributed: address:port of process 0."""
    processes: int | None = None
    """distributed: number of processes."""
    process_id: int | None = None
    """distributed: number of this process, from 0."""

    @property
    def seeds_to_train(self) -> range:
        """The seeds that are trained here: all, or those of the part.

        >>> RunSetting(seeds=5, part_seeds=2, part=2).seeds_to_train
        range(4, 5)
        """
        if self.part is None or self.part_seeds is None:
            return range(self.seeds)
        return range(self.seeds)[self.part * self.part_seeds :][: self.part_seeds]


_Flat = tyro.conf.OmitArgPrefixes  # the group's fields stand on the command line without its name


@dataclasses.dataclass(frozen=True)
class Setting:
    """One study: a teacher, a one-hot student (the control), a distilled student and others.

    Example:
      >>> Setting(train=TrainSetting(epochs=3)).students
      ('one_hot', 'kd', 'one_hot_to_kd', 'kd_to_one_hot')
    """

    data: Annotated[DataSetting, _Flat] = dataclasses.field(default_factory=DataSetting)
    teacher: ModelSetting = dataclasses.field(default_factory=ModelSetting)
    given: Annotated[GivenTeacherSetting, tyro.conf.arg(name="teacher")] = dataclasses.field(
        default_factory=GivenTeacherSetting, metadata=NEVER
    )
    student: ModelSetting = dataclasses.field(default_factory=ModelSetting)
    students: tuple[str, ...] = dataclasses.field(default=STUDENTS, metadata=NEVER)
    """Kinds of students: one_hot (the control) and kd always; one_hot_to_kd and kd_to_one_hot switch their loss;
    label_smoothing, hard_label, dkd (decoupled KD), fitnets (a hint, then KD); your own as module:attribute, a loss or
    a students.Kind. More of them may join a work directory that already holds the study."""
    objective: Annotated[ObjectiveSetting, _Flat] = dataclasses.field(default_factory=ObjectiveSetting)
    sweep: SweepSetting = dataclasses.field(default_factory=SweepSetting, metadata=NEVER)
    optimizer: Annotated[OptimizerSetting, _Flat] = dataclasses.field(default_factory=OptimizerSetting)
    train: Annotated[TrainSetting, _Flat] = dataclasses.field(default_factory=TrainSetting)
    run: Annotated[RunSetting, _Flat] = dataclasses.field(default_factory=RunSetting, metadata=NEVER)


def changed(setting: Setting, **groups: dict[str, Any]) -> Setting:
    """A setting with fields of some of its groups replaced.

    >>> changed(Setting(), train={"epochs": 3}, run={"seeds": 2}).train.epochs
    3
    """
    return dataclasses.replace(
        setting, **{group: dataclasses.replace(getattr(setting, group), **changes) for group, changes in groups.items()}
    )
