"""What `distill-jax points` writes, opened by the tools it is for; each test needs that tool, of the extra `tools`."""

import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from command import ROOT, free_port
from study_of_pictures import NAMES, SIZES, STEPS, study_of_pictures

from distill_jax.command import main as command_main
from distill_jax.dumps import dump_path, read_dump
from distill_jax.measures.study_summary import read_summary

PAGE = (ROOT / "docs" / "points.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, re.S)
CODE = [block for block in BLOCKS if block[0] != "with_spotlight"]  # which waits for a browser; its call has a test
REASON = "of the extra tools, is not installed"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return study_of_pictures(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="module")
def table(study):
    """All of it as one Parquet file."""
    return points(study, study.parent / "points.parquet")


def points(study, to, *words):
    command_main.main(["points", str(study), "--to", str(to), *words])
    return to


def gap(study, student):
    """The mean gap of hard training points by the summary, over seeds."""
    return read_summary(study).deviations[student]["train"]["mean_gap_hard"].mean


def test_pandas(study, table):
    pandas = pytest.importorskip("pandas", reason=f"pandas, {REASON}")
    frame = pandas.read_parquet(table)
    chosen = frame[(frame.split == "train") & frame.hard_independent]
    means = chosen.groupby("student").gap_independent.mean()
    assert dict(means) == pytest.approx({s: gap(study, s) for s in read_summary(study).study.students}, abs=1e-5)
    wide = frame.pivot(index=["split", "seed", "id"], columns="student", values="gap")
    assert wide.shape == (2 * sum(SIZES.values()), 4)


def test_duckdb(study, table):
    duckdb = pytest.importorskip("duckdb", reason=f"duckdb, {REASON}")
    found = duckdb.sql(
        f"select student, avg(gap_independent) from '{table}' where split = 'train' and hard_independent group by all"
    ).fetchall()
    assert dict(found) == pytest.approx({s: gap(study, s) for s in read_summary(study).study.students}, abs=1e-5)
    said = duckdb.sql(f"select decode(value) from parquet_kv_metadata('{table}') where decode(key) = 'distill_jax'")
    assert json.loads(said.fetchall()[0][0])["columns"]["gap"]["unit"] == "nats"


def test_datasets_decodes_pictures_and_names_classes(table, tmp_path):
    datasets = pytest.importorskip("datasets", reason=f"datasets, {REASON}")
    found = datasets.load_dataset("parquet", data_files=str(table), split="train", cache_dir=str(tmp_path))
    assert found.features["label"].names == list(NAMES)
    assert found[0]["image"].size == (32, 32)


@pytest.fixture
def atlas(table, tmp_path, monkeypatch) -> Iterator[str]:
    """The address of Embedding Atlas' server, told to show the table."""
    pytest.importorskip("embedding_atlas", reason=f"embedding-atlas, {REASON}")
    monkeypatch.setenv("HOME", str(tmp_path))
    port = free_port()
    main = "from embedding_atlas.cli import main; main()"
    words = [str(table), "--x", "X", "--y", "Y", "--image", "image", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", main, *words], stdout=said, stderr=said)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def test_embedding_atlas_serves_the_points_with_their_pictures(study, table, atlas, tmp_path):
    deadline = time.monotonic() + 120
    while True:
        try:
            page = urllib.request.urlopen(atlas, timeout=10).read()
            break
        except OSError:
            assert time.monotonic() < deadline, (tmp_path / "said").read_text()
            time.sleep(0.5)
    assert b"Embedding Atlas" in page
    props = json.load(urllib.request.urlopen(f"{atlas}/data/metadata.json", timeout=10))["props"]
    assert props["data"] == props["data"] | {"projection": {"x": "X", "y": "Y"}, "image": "image"}

    def ask(sql):
        query = json.dumps({"type": "json", "sql": sql}).encode()
        return json.load(urllib.request.urlopen(f"{atlas}/data/query", query, timeout=30))

    [row] = ask("select count(*) n, min(octet_length(image.bytes)) least, min(image.path) path from dataset")
    assert row["n"] == 2 * 4 * sum(SIZES.values())
    assert row["least"] > 100
    assert row["path"].endswith(".png")
    means = ask(
        "select student, avg(gap_independent) g from dataset where split='train' and hard_independent group by all"
    )
    expected = {s: gap(study, s) for s in read_summary(study).study.students}
    assert {row["student"]: row["g"] for row in means} == pytest.approx(expected, abs=1e-5)


def test_spotlight_shows_the_pictures(table):
    spotlight = pytest.importorskip("renumics.spotlight", reason="renumics-spotlight is not installed")
    viewer = spotlight.show(str(table), no_browser=True, wait=False, dtype={"image": spotlight.Image})
    try:
        address = f"http://{viewer.host}:{viewer.port}/api/table/"
        about = json.load(urllib.request.urlopen(address, timeout=30))
        kinds = {column["name"]: column["dtype"]["name"] for column in about["columns"]}
        assert [kinds[name] for name in ("image", "gap", "hard", "student")] == ["Image", "float", "bool", "str"]
        picture = f"{address}image/0?generation_id={about['generation_id']}"
        assert urllib.request.urlopen(picture, timeout=30).read().startswith(b"\x89PNG")
    finally:
        viewer.close()


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # which cleanlab still gives pandas
@pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called")  # by cleanlab as a user calls it
@pytest.mark.parametrize(("name", "code"), CODE, ids=[name for name, _ in CODE])
def test_the_code_of_the_page_runs_as_it_stands(study, table, tmp_path, monkeypatch, capsys, name, code):
    for module in re.findall(r"^(?:import|from) ([\w.]+)", code, re.M):
        pytest.importorskip(module, reason=f"{module}, {REASON}")
    monkeypatch.chdir(tmp_path)
    shutil.copy(table, "points.parquet")
    points(study, "kd.npz", "--format", "cleanlab", "--student", "kd", "--seed", "0")
    exec(compile(code, name, "exec"), {})
    assert name != "with_pandas" or "one_hot_to_kd" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_cleanlab_takes_the_probabilities(study, tmp_path):
    cleanlab = pytest.importorskip("cleanlab", reason=f"cleanlab, {REASON}")
    from cleanlab.filter import find_label_issues

    words = ["--format", "cleanlab", "--student", "kd", "--seed", "0"]
    with np.load(points(study, tmp_path / "kd.npz", *words)) as of:
        given = dict(of)
    issues = find_label_issues(given["labels"], given["pred_probs"], n_jobs=1)
    dump = read_dump(dump_path(study, "kd", 0, STEPS[-1], "train"))
    wrong = dump.label != dump.true_label
    assert issues[wrong].mean() > issues[~wrong].mean()
    lab = cleanlab.Datalab({"label": given["labels"]}, label_name="label", verbosity=0)
    alone = {"find_label_issues_kwargs": {"n_jobs": 1}}
    lab.find_issues(pred_probs=given["pred_probs"], issue_types={"label": {"clean_learning_kwargs": alone}})
    assert len(lab.get_issues("label")) == SIZES["train"]
