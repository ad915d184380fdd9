"""What a study says of its examples, in the files of `distill-jax points`, is what the measures say of its dumps."""

import dataclasses
import io
import json
import re
import shlex
import shutil
import sys
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import ROOT, refused
from PIL import Image
from scipy.special import softmax
from study_of_pictures import NAMES, SIZES, STEPS, study_of_pictures

from distill_jax.command import main as command_main
from distill_jax.command.spelling import spelt
from distill_jax.data.dataset import Split
from distill_jax.data.examples import Examples
from distill_jax.dumps import DumpReader, dump_path, read_dump, remove_dumps, save_dump
from distill_jax.errors import InputError, RunError
from distill_jax.measures import comparisons
from distill_jax.measures.data_maps import data_maps
from distill_jax.measures.study_summary import FILE, read_summary
from distill_jax.measures.sweep_summary import SweepSummary, SweptStudent
from distill_jax.points import parquet
from distill_jax.points.chosen import choose
from distill_jax.points.columns import columns
from distill_jax.points.shown import Shown, shown
from distill_jax.students import STUDENTS


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of two seeds that nobody trained, of pictures in folders."""
    return study_of_pictures(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def table(study):
    """All of it, as columns of NumPy."""
    points(study, "--to", study.parent / "all.parquet")
    return pq.read_table(study.parent / "all.parquet").to_pydict()


def points(*words):
    command_main.main(["points", *map(str, words)])


def rows_of(table, **place):
    keep = np.all([np.array(table[name]) == value for name, value in place.items()], axis=0)
    return {name: np.array(values, object)[keep] for name, values in table.items()}


def test_each_example_seed_and_student_has_a_row_with_its_labels_and_names(study, table):
    assert len(table["id"]) == 2 * 4 * sum(SIZES.values())
    for student in STUDENTS:
        for seed in (0, 1):
            for split in SIZES:
                found = rows_of(table, student=student, seed=seed, split=split)
                dump = read_dump(dump_path(study, student, seed, found["step"][0], split))
                assert found["id"].tolist() == dump.id.tolist()
                assert found["label"].tolist() == dump.label.tolist()
                assert found["label_name"].tolist() == [NAMES[k] for k in dump.label]
                assert found["true_label_name"].tolist() == [NAMES[k] for k in dump.true_label]
                assert found["mislabelled"].tolist() == (dump.label != dump.true_label).tolist()
    assert rows_of(table, split="train")["mislabelled"].sum() == 8 * 20


def test_means_over_rows_are_the_summary_s_statistics(study, table):
    deviations = read_summary(study).deviations
    means = {"agreement": "agree", "kl": "kl", "jensen_shannon": "jensen_shannon", "imitation_blocked": "blocked"}
    for student in STUDENTS:
        for split in SIZES:
            said = deviations[student][split]
            for seed in (0, 1):
                found = rows_of(table, student=student, seed=seed, split=split)
                for ending, of in (("_as_in_paper", ""), ("", "_independent")):
                    hard = found[f"gap{of}"][found[f"hard{of}"].astype(bool)].astype(float)
                    assert len(hard) == SIZES[split] // 10
                    assert hard.mean() == pytest.approx(said[f"mean_gap_hard{ending}"].per_seed[seed], abs=1e-5)
                    easy = found[f"gap{of}"][found[f"tenth{of}"] == 10].astype(float)
                    assert easy.mean() == pytest.approx(said[f"mean_gap_easy{ending}"].per_seed[seed], abs=1e-5)
                for name, column in means.items():
                    assert found[column].astype(float).mean() == pytest.approx(said[name].per_seed[seed], abs=1e-6)
                ranks = [value for value in found["rank_correlation"] if value is not None]
                assert np.mean(ranks) == pytest.approx(said["rank_correlation"].per_seed[seed], abs=1e-6)


def test_predictions_and_probabilities_are_those_of_the_dumps(study, table):
    last = read_summary(study).study.total_steps
    found = rows_of(table, student="kd", seed=1, split="train")
    for who, model in (("teacher", "teacher"), ("student", "kd"), ("control", "one_hot")):
        dump = read_dump(dump_path(study, model, 1, last, "train"))
        assert found[f"{who}_prediction"].tolist() == dump.logits.argmax(axis=1).tolist()
        expected = softmax(dump.logits.astype(float), axis=1)[np.arange(len(dump.label)), dump.label]
        np.testing.assert_allclose(found[f"{who}_probability"].astype(float), expected, atol=1e-6)
    selector = read_dump(dump_path(study, "teacher", comparisons.selecting_seed(1, 2), last, "train"))
    assert found["class_independent"].tolist() == selector.logits.argmax(axis=1).tolist()


def test_a_picture_is_the_file_of_its_example(study, table):
    for row in range(0, len(table["id"]), 37):
        image, split = table["image"][row], table["split"][row]
        assert image["path"].split("/")[-2] == table["true_label_name"][row]
        with Image.open(study.parent / "birds" / image["path"]) as theirs:
            ours = np.asarray(Image.open(io.BytesIO(image["bytes"])))
            np.testing.assert_array_equal(ours, np.kron(np.asarray(theirs), np.ones((4, 4, 1), np.uint8)))
        assert split in image["path"]


def test_the_file_says_what_its_columns_are_and_features_as_datasets_has_them(study, table):
    schema = pq.read_schema(study.parent / "all.parquet")
    said = json.loads(schema.metadata[b"distill_jax"])
    assert list(said["columns"]) == schema.names == [column.name for column in columns("image", named=True)]
    assert all(column["what"] and column["source"] for column in said["columns"].values())
    assert said["columns"]["gap"]["unit"] == "nats"
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["student_prediction"] == {"names": list(NAMES), "_type": "ClassLabel"}
    assert features["X"] == {"dtype": "float32", "_type": "Value"}


def test_row_groups_are_bounded_and_hold_a_picture_once(study, table, tmp_path):
    for students in (("kd",), STUDENTS):
        chosen = choose(study, students, [0], every_step=True)
        count = parquet.write(chosen, tmp_path / f"{len(students)}.parquet", shown(chosen), group=100)
        assert count == len(students) * len(STEPS) * sum(SIZES.values())
    sizes = []
    for path in (tmp_path / "1.parquet", tmp_path / "4.parquet"):
        file = pq.ParquetFile(path).metadata
        groups = [file.row_group(i) for i in range(file.num_row_groups)]
        assert max(group.num_rows for group in groups) <= 100
        for group in groups:
            pictures = next(c for c in map(group.column, range(5, 7)) if c.path_in_schema == "image.bytes")
            sizes.append(pictures.total_uncompressed_size / group.num_rows)
    once = np.mean([len(image["bytes"]) for image in table["image"]])
    assert max(sizes) < 1.2 * once / len(STEPS)
    assert set(pq.read_table(tmp_path / "1.parquet")["step"].to_pylist()) == set(STEPS)


def test_of_one_seed_nothing_is_chosen_by_another_and_texts_stand_in_their_place(study, tmp_path):
    one, facts = choose(study, ["kd"], [0]), read_summary(study).study
    one = dataclasses.replace(one, summary=dataclasses.replace(one.summary, study=dataclasses.replace(facts, seeds=1)))
    x = np.arange(200, dtype=np.float32).reshape(100, 2)
    number = np.zeros(100, np.int32)
    of = {split: Examples(Split(x[:n], *[number[:n]] * 2, id=np.arange(n))) for split, n in SIZES.items()}
    parquet.write(one, tmp_path / "a.parquet", Shown(of))
    found = pq.read_table(tmp_path / "a.parquet")
    assert found["hard_independent"].null_count == found["class_independent"].null_count == 140
    assert found["X"].null_count == 0
    assert found["text"][0].as_py() == "0, 1"
    assert "image" not in found.column_names


def test_a_writing_that_fails_leaves_nothing(study, tmp_path):
    chosen, raised = choose(study), {KeyboardInterrupt(): KeyboardInterrupt, OSError(28, "No space left"): RunError}
    for error, expected in raised.items():
        failing = {"_array": mock.Mock(side_effect=error)}
        with mock.patch.multiple(parquet, **failing), pytest.raises(expected):
            parquet.write(chosen, tmp_path / "a.parquet", None)
        assert not list(tmp_path.iterdir())


def test_a_dump_that_is_lost_is_not_left_out_in_silence(study, tmp_path):
    copy, to = tmp_path / "study", tmp_path / "to"
    shutil.copytree(study, copy)
    to.mkdir()
    remove_dumps([dump_path(copy, "kd", 1, STEPS[1], "test")])
    with pytest.raises(InputError, match="kd/seed-1/step-20/test: is not there"):
        points(copy, "--to", to / "a.parquet", "--step", "all")
    assert not list(to.iterdir())


def test_a_student_of_a_sweep_has_rows_at_the_steps_it_was_dumped_at(study, tmp_path):
    copy = tmp_path / "swept"
    shutil.copytree(study, copy)
    for split in SIZES:
        for seed in (0, 1):
            for step in STEPS[1:]:
                dump = read_dump(dump_path(study, "kd", seed, step, split))
                attributes = dump.attributes | {"model": "kd@temperature=2"}
                save_dump(copy, dataclasses.replace(dump, attributes=attributes))
    swept = SweepSummary(["temperature"], [SweptStudent("kd@temperature=2", "kd", {"temperature": 2.0}, {})])
    (copy / FILE).write_text(json.dumps(dataclasses.replace(read_summary(copy), sweep=swept).as_json()))
    points(copy, "--to", tmp_path / "a.parquet", "--student", "kd@temperature=2", "--step", "all")
    found = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert set(found["step"]) == set(STEPS[1:])
    points(copy, "--to", tmp_path / "b.parquet")
    found = pq.read_table(tmp_path / "b.parquet").to_pydict()
    assert set(found["student"]) == {*STUDENTS, "kd@temperature=2"}
    swept, kd = (rows_of(found, student=student) for student in ("kd@temperature=2", "kd"))
    assert swept["gap"].tolist() == kd["gap"].tolist()


def test_training_dynamics_give_the_data_map(study, tmp_path):
    points(study, "--to", tmp_path / "dynamics", "--format", "cartography", "--student", "kd", "--seed", "1")
    about = json.loads((tmp_path / "dynamics" / "dumps.json").read_text())
    files = sorted((tmp_path / "dynamics" / "training_dynamics").iterdir())
    assert [file.name for file in files] == [f"dynamics_epoch_{i}.jsonl" for i in range(len(about["steps"]))]
    probabilities, right = [], []
    for epoch, file in enumerate(files):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert [list(row) for row in rows] == [["guid", f"logits_epoch_{epoch}", "gold"]] * SIZES["train"]
        logits = np.array([row[f"logits_epoch_{epoch}"] for row in rows])
        dump = read_dump(dump_path(study, "kd", 1, about["steps"][epoch], "train"))
        np.testing.assert_array_equal(logits, dump.logits)
        assert [row["guid"] for row in rows] == dump.id.tolist()
        gold = np.array([row["gold"] for row in rows])
        probabilities.append(softmax(logits, axis=1)[np.arange(len(gold)), gold])
        right.append(logits.argmax(axis=1) == gold)
    maps = data_maps(DumpReader(study), read_summary(study), seed=1)
    assert list(maps) == ["teacher", *read_summary(study).study.students]
    np.testing.assert_allclose(maps["kd"].confidence, np.mean(probabilities, axis=0), rtol=1e-6)
    np.testing.assert_allclose(maps["kd"].variability, np.std(probabilities, axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(maps["kd"].correctness, np.mean(right, axis=0))


def test_pred_probs_are_a_model_s_probabilities(study, tmp_path):
    words = ["--format", "cleanlab", "--student", "teacher", "--seed", "0", "--split", "test"]
    points(study, "--to", tmp_path / "a.npz", *words)
    dump = read_dump(dump_path(study, "teacher", 0, read_summary(study).study.total_steps, "test"))
    with np.load(tmp_path / "a.npz") as found:
        np.testing.assert_allclose(found["pred_probs"], softmax(dump.logits, axis=1), atol=1e-6)
        assert found["pred_probs"].sum(axis=1) == pytest.approx(np.ones(40), abs=1e-12)
        np.testing.assert_array_equal(found["labels"], dump.label)
        np.testing.assert_array_equal(found["ids"], dump.id)
        assert found["names"].tolist() == list(NAMES)


def test_the_commands_of_the_page_are_given_as_they_stand(study, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "points.md").read_text("utf-8")
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.S) for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("distill-jax ")]
    assert len(ours) == 4
    monkeypatch.chdir(tmp_path)
    for words in ours:
        command_main.main([str(study) if word == "work/digits" else word for word in words])
    assert {path.name for path in tmp_path.iterdir()} == {words[words.index("--to") + 1] for words in ours}
    for name in pq.read_schema("points.parquet").names:
        if name not in ("Y_independent", "gap_independent", "tenth_independent"):  # of which it has the first and last
            assert f"`{name}`" in page, name


ONE = ["--to", "{}/a.npz", "--format", "cleanlab"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["STUDY: must be given"]),
        (["{study}"], ["--to: must be given, a file that ends in .parquet"]),
        (["{study}", "--to", "{}/a.csv"], ["must end in .parquet for --format parquet"]),
        (["{study}", "--to", "{}/a.parquet", "--format", "cleanlab"], ["must end in .npz for --format cleanlab"]),
        (["{study}", "--to", "{}/a.npz", "--format", "cartography"], ["must be a new folder"]),
        (["{study}", "--to", "{}/none/a.parquet"], ["its folder is not there"]),
        (["{study}", "--to", "{study}/summary.json.parquet", "--step", "some"], ["--step"]),
        (["{study}", "--to", "{}/a.parquet", "--format", "csv"], ["--format"]),
        (["{study}", "--to", "{}/a.parquet", "--split", "dev"], ["--split"]),
        (["{study}", "--to", "{}/a.parquet", "--student", "kb"], ["--student kb: is none of the study's", "kd"]),
        (["{study}", "--to", "{}/a.parquet", "--student", "teacher"], ["--student teacher: is none of"]),
        (["{study}", "--to", "{}/a.parquet", "--seed", "0", "2"], ["--seed 2: is none of", "; there are 0 to 1"]),
        (["{study}", *ONE, "--seed", "0"], ["--student: must name one, of teacher, "]),
        (["{study}", *ONE, "--student", "kd"], ["--seed: must name one, of 0 to 1"]),
        (["{study}", *ONE, "--student", "kd", "one_hot", "--seed", "0"], ["--student: must name one"]),
        (["{study}", *ONE, "--student", "kd", "--images", "False"], ["--images: must be left out, since"]),
        (["{study}", *ONE, "--student", "kd", "--step", "all"], ["--step: must be left out, since"]),
        (["{}/none", "--to", "{}/a.parquet"], ["none: holds no study; must be the --workdir of one"]),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_one_line(study, tmp_path, words, parts):
    refused(command_main.main, ["points", *(w.format(tmp_path, study=study) for w in words)], parts, tmp_path)


def test_a_study_that_is_not_finished_and_a_file_that_is_there_are_refused(study, tmp_path):
    (tmp_path / "begun").mkdir()
    shutil.copy(study / "setting.json", tmp_path / "begun")
    with pytest.raises(InputError, match="is a study that is not finished; run the study's command again"):
        points(tmp_path / "begun", "--to", tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_text("mine")
    with pytest.raises(InputError, match=r"a\.parquet: is there already; must be new"):
        points(study, "--to", tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_text() == "mine"


def test_without_its_data_a_study_has_its_numbers_still(study, tmp_path):
    birds = study.parent / "birds"
    birds.rename(tmp_path / "birds")
    without = "; --images False leaves pictures and texts out"
    try:
        with pytest.raises(InputError, match="its data cannot be loaded") as gone:
            points(study, "--to", tmp_path / "a.parquet")
        shutil.copytree(tmp_path / "birds", birds)
        one = next((birds / "train").rglob("*.png"))
        Image.new("RGB", (8, 8)).save(one)
        with pytest.raises(InputError, match="are others now than it had") as other:
            points(study, "--to", tmp_path / "a.parquet")
        for caught in (gone, other):
            assert spelt(caught.value).endswith(without)
            assert len(spelt(caught.value).splitlines()) == 1
        assert not (tmp_path / "a.parquet").exists()
        points(study, "--to", tmp_path / "a.parquet", "--images", "False", "--seed", "0", "--split", "test")
    finally:
        shutil.rmtree(birds, ignore_errors=True)
        (tmp_path / "birds").rename(birds)
    found = pq.read_table(tmp_path / "a.parquet")
    assert found.num_rows == 4 * 40
    assert not {"image", "text"} & {*found.column_names}


def test_pyarrow_that_is_absent_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    words = ["points", str(study), "--to", f"{tmp_path}/a.parquet"]
    refused(command_main.main, words, ["--format parquet: needs pyarrow, of an extra", "distill-jax[points]"], tmp_path)
