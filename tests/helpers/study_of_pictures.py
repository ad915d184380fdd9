"""A finished study that nobody trained, of pictures in folders: its data, dumps, saved setting and summary."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from PIL import Image

from distill_jax import class_names, dumps, saved_setting
from distill_jax.data import load_dataset
from distill_jax.dumps import DumpReader
from distill_jax.identity import identity
from distill_jax.measures.study_summary import FILE, summarise
from distill_jax.setting import DataSetting, Setting
from distill_jax.students import KD, MODELS
from distill_jax.study.workdir import SAVED

NAMES = ("crow", "hen", "owl", "swan", "wren")
SIZES = {"train": 100, "test": 40}
STEPS = (10, 20, 40)


def study_of_pictures(folder: Path, seeds: int = 2) -> Path:
    """Writes pictures to folder/birds and a study of them to folder/study, and gives the latter's path."""
    rng = np.random.default_rng(0)
    for split, count in SIZES.items():
        for number in range(count):
            pixels = rng.integers(256, size=(8, 8, 3)).astype(np.uint8)
            path = folder / "birds" / split / NAMES[number % 5] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    workdir = folder / "study"
    data = DataSetting(dataset=str(folder / "birds"), cache_dir=folder / "cache", label_noise=0.2)
    setting = dataclasses.replace(Setting(), data=data)
    dataset = load_dataset(data)
    for split in SIZES:
        examples, items = getattr(dataset, split), []
        rows = np.arange(len(examples.id))
        for seed in range(seeds):
            for model in MODELS:
                for step in STEPS:
                    logits = rng.normal(size=(len(rows), 5))
                    logits[rows, examples.true_label] += 3 * step / STEPS[-1]
                    logits[rows, examples.label] += (0.5 if model == KD else 3) * step / STEPS[-1]
                    place = {"model": model, "seed": seed, "step": step, "split": split}
                    path = dumps.dump_path(workdir, model, seed, step, split)
                    items.append((path, logits, place | {"num_classes": 5, "setting": "test"}))
        dumps.write_dumps(items, examples.label, examples.true_label, examples.id)
    said = identity(setting) | {"fingerprint": dataset.fingerprint}
    summary = summarise(DumpReader(workdir), said, {}, {}, seeds=seeds, total_steps=STEPS[-1], switch_step=STEPS[1])
    (workdir / FILE).write_text(json.dumps(summary.as_json()))
    (workdir / "setting.json").write_text(json.dumps(said))
    class_names.write(workdir, NAMES)
    saved_setting.save(setting, workdir / SAVED)
    return workdir
