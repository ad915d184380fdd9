"""The studies behind tables and figures, by name: rows of Table 2, other pairs that figures show, and variants.

The variants are those of section 3.2 and appendix C.3, the other precision, and other readings of the paper.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_jax.setting import Setting, SweepSetting, changed
from distill_jax.students import MODELS
from distill_jax.training.schedule import Schedule
from experiments.paper.rows import CROSS_PAIRS, PUBLISHED_PAIRS, TABLE_2, Pair
from experiments.paper.scale import Ground, Scale

LONGER = {"CIFAR100": 50_000 / 21_600, "Tiny-ImageNet": 300_000 / 156_200}  # times as many epochs (C.3)
SMALLER_BATCH, SMALLER_RATE = 8, 10  # C.3: 128 for 1024, and 0.1 for 1.0
ROLES = ("teacher", "student")
_SELF = {"CIFAR100": "cifar100-resnet56-resnet56", "Tiny-ImageNet": "tiny-imagenet-resnet50-resnet50"}


@dataclasses.dataclass(frozen=True)
class Planned:
    """A study that tables and figures may need.

    Attributes:
      name: its folder below the scale's.
      data, networks, variant: as figures name them; the variant is empty for a row of Table 2.
      row: the networks and data of Table 2 that it has.
      setting: what `distill_jax.study.study` is given, but for `run`.
      steps: of a run.
      pretrained: by role, the folder below --pretrained with the weights that it begins with.
    """

    name: str
    data: str
    networks: str
    variant: str
    row: Pair
    setting: Setting
    steps: int
    pretrained: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_row(self) -> bool:
        """Whether it is a row of Table 2."""
        return self.name in {row.name for row in TABLE_2}

    @property
    def is_of_texts(self) -> bool:
        """Whether it is trained on texts, for which a tokenizer is needed."""
        return self.setting.data.tokenizer is not None

    @property
    def title(self) -> str:
        """The study in one line."""
        return ", ".join(filter(None, (self.data, self.networks, self.variant)))

    @property
    def switch_step(self) -> int:
        """The step at which the study's own switched students begin to change their loss."""
        step = self.setting.objective.switch_step
        assert step is not None
        return step

    @property
    def models_a_seed(self) -> int:
        """Teacher and students of each seed; see `sweep.students`."""
        return len(MODELS) + 2 * len(self.setting.sweep.switch_step)

    def placed(self, tokenizer: Path | None, pretrained: Path | None) -> "Planned":
        """The same with the user's tokenizer and pretrained weights, where it needs any and they are given."""
        setting = self.setting
        if self.is_of_texts and tokenizer is not None:
            setting = changed(setting, data={"tokenizer": tokenizer})
        if pretrained is not None:
            for role, size in self.pretrained.items():
                roberta = dataclasses.replace(getattr(setting, role).roberta, pretrained=pretrained / size)
                setting = changed(setting, **{role: {"roberta": roberta}})
        return dataclasses.replace(self, setting=setting)

    def located(self, folder: Path, data_dir: Path | None, cache_dir: Path | None = None, **run: Any) -> Setting:
        """The setting with folders and these fields of `run`; `data_dir` has both ImageNets beside TFDS's folders."""
        own_folder = {"tiny-imagenet": "tiny-imagenet-200", "imagenet": "imagenet"}.get(self.setting.data.dataset)
        if data_dir is not None and own_folder is not None:
            data_dir = data_dir / own_folder
        data = {"data_dir": data_dir, "cache_dir": cache_dir}
        return changed(self.setting, data=data, run={"workdir": folder / self.name, **run})


def studies(scale: Scale) -> dict[str, Planned]:
    """All studies of a scale by name, those of the rows of Table 2 first, without pairs that have no stand-in there."""
    plans = []
    for row in (*TABLE_2, *CROSS_PAIRS, *PUBLISHED_PAIRS):
        ground = scale.grounds.get(row.dataset)
        if ground is None or not {row.teacher, row.student} <= ground.networks.keys():
            continue
        snapshots = ()
        if row.name in _SELF.values():  # whose evolution is shown
            assert ground.early is not None
            steps, late = ground.steps, ground.late
            after = late + ground.base.objective.switch_window
            snapshots = tuple(s / steps for s in (ground.early, steps // 4, steps // 2, late, after, steps * 17 // 20))
        sweep = tuple(round(share * ground.steps) for share in ground.swept)
        plans.append(_plan(row.name, "", row, ground, late=ground.late, sweep=sweep, train={"snapshots": snapshots}))
    rows = {row.name: row for row in TABLE_2}
    for dataset, factor in LONGER.items():
        row, ground = rows[_SELF[dataset]], scale.grounds[dataset]
        epochs = ground.base.train.epochs * factor
        steps = Schedule.of(changed(ground.base, train={"epochs": epochs}), ground.examples).total_steps
        window = ground.base.objective.switch_window
        after = (ground.late + window, ground.late + 2 * window, steps // 2, steps * 3 // 4)
        assert ground.early is not None
        moments = (ground.early, ground.late // 2, ground.late, *after)
        train = {"epochs": epochs, "snapshots": tuple(step / steps for step in moments)}
        name = f"{dataset.lower()}-longer"
        plans.append(_plan(name, f"{factor:.1f} times as long", row, ground, late=ground.late, train=train))
    row, ground = rows[_SELF["CIFAR100"]], scale.grounds["CIFAR100"]
    batch, rate = ground.base.train.batch_size // SMALLER_BATCH, ground.base.optimizer.learning_rate / SMALLER_RATE
    steps = Schedule.of(changed(ground.base, train={"batch_size": batch}), ground.examples).total_steps
    step_ratio = steps / ground.steps
    plans.append(
        _plan(
            "cifar100-smaller-batch",
            f"batch {batch}, rate {rate:g}",
            row,
            ground,
            late=round(step_ratio * ground.late),
            train={"batch_size": batch, "snapshots": ()},
            optimizer={"learning_rate": rate},
            objective={"switch_window": round(step_ratio * ground.base.objective.switch_window)},
        )
    )
    other = "float32" if ground.base.train.precision == "bfloat16" else "bfloat16"
    train = {"precision": other, "snapshots": ()}
    plans.append(_plan("cifar100-other-precision", other, row, ground, late=ground.late, train=train))
    for reading in scale.readings:
        row, ground = rows[reading.row], reading.ground
        plans.append(_plan(reading.name, reading.variant, row, ground, late=ground.late, train={"snapshots": ()}))
    return {plan.name: plan for plan in plans}


def _plan(
    name: str, variant: str, row: Pair, ground: Ground, *, late: int, sweep: tuple[int, ...] = (), **groups: dict
) -> Planned:
    teacher, student = ground.networks[row.teacher], ground.networks[row.student]
    groups["objective"] = groups.get("objective", {}) | {"switch_step": late}
    peaks = [network.peak for network in (teacher, student) if network.peak is not None]
    if peaks:
        groups["optimizer"] = groups.get("optimizer", {}) | {"learning_rate": min(peaks)}
    setting = dataclasses.replace(
        changed(ground.base, **groups),
        teacher=teacher.setting,
        student=student.setting,
        sweep=SweepSetting(switch_step=sweep),
    )
    steps = Schedule.of(setting, ground.examples).total_steps
    folders = {
        role: network.pretrained
        for role, network in zip(ROLES, (teacher, student), strict=True)
        if network.pretrained is not None
    }
    networks = f"{teacher.label} → {student.label}"
    return Planned(name, ground.label, networks, variant, row, setting, steps, folders)
