"""A study's trained networks, read from the last checkpoints of its populations."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from distill_jax import __version__, saved_setting
from distill_jax.errors import InputError
from distill_jax.export import inputs
from distill_jax.export.network import Network, model_of, named, variables_of
from distill_jax.files import read_json
from distill_jax.machine.checkpoint import Checkpoints
from distill_jax.machine.environment import commit
from distill_jax.own_code import code
from distill_jax.students import TEACHER
from distill_jax.study.workdir import (
    SAVED,
    RunFolder,
    check_plain,
    inputs_file,
    network_folder,
    populations,
    tokenizer_folder,
)
from distill_jax.training.objective import PARAMS

_AGAIN = "run the study's command again"


def trained(workdir: Path, model: str, seed: int) -> Network:
    """A network of a study, trained to its end.

    Args:
      workdir: of the study.
      model: the name of its dumps.
      seed: number of its repetition.

    Raises:
      InputError: there is no such study, or no such model in it that is trained to its end, its checkpoint is gone or
        damaged, or the network is of one's own and its code another now.
    """
    check_plain(workdir)
    try:
        config = read_json(workdir / "setting.json", dict[str, Any], "must be the `run.workdir` of a study")
        if not all(isinstance(config[role]["name"], str) for role in ("teacher", "student")):
            raise TypeError
    except (InputError, KeyError, TypeError) as error:
        raise InputError(workdir, None, "holds no study; must be the `run.workdir` of one") from error
    population, index = _place(workdir, model, seed)
    if not (workdir / SAVED).is_file() or not inputs_file(workdir).is_file():
        raise InputError(workdir, None, f"does not say what its networks are given; {_AGAIN}")
    study = saved_setting.load(workdir / SAVED)
    given, own = inputs.read(inputs_file(workdir), _AGAIN)
    role = "teacher" if model == TEACHER else "student"
    setting = getattr(study, role)
    if own.get(role) != code([setting.name]):
        raise InputError(
            f"{role}.name", setting.name, "has other code now than when it was trained; must have the same"
        )
    folder = network_folder(workdir, role)
    folder = folder if folder.is_dir() else None
    network = model_of(setting, study.train.precision, given, folder, role, "workdir")
    variables, step = _read(population, index)
    tokenizer = tokenizer_folder(workdir)
    return Network(
        network,
        variables_of(network, given, variables, population.folder),
        setting,
        study.train.precision,
        given,
        {
            **{"study": workdir.absolute().name, "model": model, "seed": seed, "step": step},
            **{"trained_at": population.commits(), "exported_at": commit(), "distill_jax": __version__},
        },
        folder,
        tokenizer if tokenizer.is_dir() else None,
    )


def _place(workdir: Path, model: str, seed: int) -> tuple[RunFolder, int]:
    """The population of a model, and its place there."""
    members = {(m.name, m.seed): (p, i) for p in populations(workdir) if p.is_finished for i, m in enumerate(p.members)}
    if (model, seed) not in members:
        seeds = sorted({number for name, number in members if name == model})
        names = list(dict.fromkeys(name for name, _ in members)) or ["none"]
        right = "must be one that is trained to its end there"
        if not seeds:
            raise InputError("model", model, f"{right}: {', '.join(names)}")
        raise InputError("seed", seed, f"{right}: {', '.join(map(str, seeds))}")
    return members[model, seed]


def _read(population: RunFolder, index: int) -> tuple[dict[str, np.ndarray], int]:
    """The variables of a member by name, without those of losses, and the step they are of."""
    folder = population.folder / "checkpoints"
    if not population.checkpoint():
        raise InputError(folder, None, f"holds no checkpoint any more; {_AGAIN}")
    with Checkpoints(folder, keep=None) as saved:
        restored = saved.restore(saved.steps()[-1])
    params = {name: value for name, value in restored.state["params"].items() if name != PARAMS}
    variables = named({"params": params, **restored.state["collections"]})
    return jax.tree.map(lambda leaf: np.asarray(leaf[index]), variables), restored.step
