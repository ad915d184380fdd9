"""A study's trained RoBERTa, BERT or DistilBERT as a Hugging Face folder, which transformers loads.

python -m experiments.export WORKDIR --model kd --seed 0 --to DIR
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tyro

from distill_jax import saved_setting
from distill_jax.command import command_line
from distill_jax.errors import InputError
from distill_jax.files import partial, read_json

PROG = "python -m experiments.export"


@dataclasses.dataclass(frozen=True)
class Setting:
    """Writes a trained network for texts with its classes' names and the tokenizer it was trained with."""

    workdir: tyro.conf.Positional[Path | None] = None
    """The --workdir of a study of texts."""
    to: Path | None = None
    """Folder to write, which must not be there."""
    model: str = "kd"
    """teacher, one_hot, kd, one_hot_to_kd, kd_to_one_hot, or a student of a sweep by the name of its dumps."""
    seed: int = 0
    """Its repetition."""


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    setting = command_line.parse(Setting(), PROG, arguments)
    if setting.workdir is None:
        raise InputError("WORKDIR", None, f"must be given, the --workdir of a study (all options: {PROG} --help)")
    if setting.to is None:
        raise InputError("--to", None, "must be given, a folder to write")
    if os.path.lexists(setting.to):  # a link to nothing too
        raise InputError("--to", setting.to, "is there already; must be a new folder")
    command_line.check_writable("--to", setting.to)

    from distill_jax.models import huggingface
    from distill_jax.study.workdir import classes_file, tokenizer_folder

    network, params = trained(setting.workdir, setting.model, setting.seed)
    tokenizer, names_file = tokenizer_folder(setting.workdir), classes_file(setting.workdir)
    if not tokenizer.is_dir():
        raise InputError(setting.workdir, None, "does not hold its tokenizer; run the study's command again")
    class_names = read_json(names_file, list[str], "run the study's command again") if names_file.is_file() else None
    partial_folder = partial(setting.to)
    shutil.copytree(tokenizer, partial_folder)
    huggingface.save(partial_folder, network, params, class_names)
    partial_folder.rename(setting.to)
    command_line.console().print(f"{setting.model}, seed {setting.seed}: {setting.to}", soft_wrap=True)


def trained(workdir: Path, model: str, seed: int) -> tuple[Any, Any]:
    """A trained network for texts and its parameters, host arrays, from a study's last checkpoints.

    Args:
      workdir: of the study.
      model: the name of its dumps.
      seed: number of its repetition.

    Raises:
      InputError: there is no such study, or none of texts, or no such model in it, or it is not trained to its end.
    """
    import jax
    import numpy as np

    from distill_jax.machine.checkpoint import Checkpoints
    from distill_jax.models import huggingface
    from distill_jax.setting import TEXT_NETWORKS, OptimizerSetting
    from distill_jax.study.workdir import SAVED, check_plain, network_folder, populations
    from distill_jax.training.objective import Objective
    from distill_jax.training.optimizer import make_rule
    from distill_jax.training.population import over_members
    from distill_jax.training.step import make_init

    check_plain(workdir)
    try:
        config = read_json(workdir / "setting.json", dict[str, Any], "must be the --workdir of a study")
        optimizer, length = OptimizerSetting(**config["optimizer"]), config["data"].get("length")
        networks = {role: config[role]["name"] for role in ("teacher", "student")}
    except (InputError, AttributeError, KeyError, TypeError) as error:
        raise InputError(workdir, None, "holds no study; must be the --workdir of one") from error
    members = {(m.name, m.seed): p for p in populations(workdir) if p.is_finished for m in p.members}
    if (model, seed) not in members:
        seeds = sorted({number for name, number in members if name == model})
        names = list(dict.fromkeys(name for name, _ in members)) or ["none"]
        if not seeds:
            raise InputError("--model", model, f"must be one that is trained to its end there: {', '.join(names)}")
        raise InputError("--seed", seed, f"must be one that is trained to its end there: {', '.join(map(str, seeds))}")
    role = "teacher" if model == "teacher" else "student"
    network = networks[role]
    if network not in TEXT_NETWORKS:
        raise InputError(
            "--model", model, f"is of the network {network}; must be one of texts: {' or '.join(TEXT_NETWORKS)}"
        )
    folder = network_folder(workdir, role)
    if not folder.is_dir():
        raise InputError(workdir, None, "does not say of which sizes its networks are; run the study's command again")
    setting_file = workdir / SAVED
    if role == "student" and setting_file.is_file():
        study = saved_setting.load(setting_file)
        if Objective.of_study(study).features:
            student_names = " ".join(study.students)
            raise InputError(
                "--model",
                model,
                f"was trained beside parameters of a loss (--students {student_names}); is not exported",
            )
    trained_network, population = huggingface.read_model(folder, "WORKDIR"), members[model, seed]
    count = len(population.members)
    init_member = make_init(trained_network, make_rule(optimizer), jax.ShapeDtypeStruct((2, length), np.int32))
    init = over_members(init_member, (0, 0), count)
    numbers = jax.ShapeDtypeStruct((count,), np.int32)
    on_host = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=on_host),
        jax.eval_shape(init, numbers, numbers),
    )
    with Checkpoints(population.folder / "checkpoints", keep=None) as saved:
        params = saved.restore(saved.steps()[-1], like).state.params
    index = [(m.name, m.seed) for m in population.members].index((model, seed))
    return trained_network, jax.tree.map(lambda leaf: np.asarray(leaf[index]), params)


if __name__ == "__main__":
    command_line.run(main)
