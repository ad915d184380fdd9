"""Properties of the figures: what is drawn where, in which order, and in which font."""

import importlib
import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from distill_jax.dumps import Dump
from distill_jax.measures.accuracies import Trajectory
from distill_jax.measures.cartography import DataMap
from distill_jax.measures.interval import Interval
from distill_jax.report import plots
from distill_jax.report.plots import data_maps, style
from distill_jax.students import MODELS, label_of
from theory import figures as of_theory

clouds = importlib.import_module("distill_jax.report.plots.clouds")  # the module; the function has its name too
SHUFFLED = ["mine", "kd_to_one_hot", "kd", "dkd", "teacher", "one_hot_to_kd", "one_hot"]
ORDERED = [*MODELS, "mine", "dkd"]


def cloud(seed, far=0, group=0, n=400, **fields):
    """A cloud about the line, a fifth of it mislabelled, with some examples far away on every side."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 1, n)
    y = x + rng.normal(0, 0.5, n)
    for index in range(far):
        (x if index % 2 else y)[index] = (-50, 40, 60, -70)[index % 4]
    return plots.Cloud(x, y, rng.random(n) < 0.2, group=group, **fields)


def drawn(axis):
    """Places of the examples drawn as points, and of those as triangles at an edge."""
    offsets = [np.asarray(c.get_offsets()) for c in axis.collections if len(c.get_offsets())]
    limits = np.array([axis.get_xlim(), axis.get_ylim()])
    inner = [o for o in offsets if not _at_an_edge(o, limits).all()]
    return sum(map(len, inner)), sum(len(o) for o in offsets if _at_an_edge(o, limits).all()), inner, limits


def _at_an_edge(offsets, limits):
    inset = 0.0121 * (limits[:, 1] - limits[:, 0])
    return ((offsets <= limits[:, 0] + inset) | (offsets >= limits[:, 1] - inset)).any(axis=1)


def counted(axis):
    text = "\n".join(t.get_text() for t in axis.texts)
    return sum(int(number.replace(",", "")) for number in re.findall(r"([\d,]+) [▲▼◀▶]", text))


@pytest.mark.parametrize("far", [0, 1, 3, 8])
def test_every_example_is_drawn_within_its_panel_or_counted_at_its_edge(far):
    made = [cloud(seed, far, n=900) for seed in (0, 1)]
    figure = plots.clouds([made])
    for axis, shown in zip(figure.axes, made, strict=True):
        points, triangles, inner, limits = drawn(axis)
        assert triangles == counted(axis)
        assert points + triangles == len(shown.x)
        for offsets in inner:
            assert (limits[:, 0] <= offsets.min(axis=0)).all()
            assert (offsets.max(axis=0) <= limits[:, 1]).all()
        assert counted(axis) >= far
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("beyond the edge (how many)" in labels) == (sum(map(counted, figure.axes)) > 0)


def test_what_lies_beyond_an_edge_is_counted_by_its_side():
    found = clouds.beyond(cloud(0, far=8), ((-20, 20), (-20, 20)))
    assert {side: int(mask.sum()) for side, mask in found.items()} == {"above": 2, "below": 2, "left": 2, "right": 2}


def test_of_many_examples_a_draw_is_drawn_and_all_beyond_an_edge_are_counted(monkeypatch):
    monkeypatch.setattr(clouds, "DRAWN", 500)
    shown = cloud(0, far=8, n=2000)
    axis = plots.clouds([[shown]]).axes[0]
    points, triangles, _, limits = drawn(axis)
    assert points + triangles == 500
    within = (
        np.abs(np.stack([shown.x, shown.y]) - limits.mean(axis=1, keepdims=True)) <= np.ptp(limits, axis=1)[:, None] / 2
    )
    assert counted(axis) == (~within.all(axis=0)).sum() >= 8


def test_a_few_examples_far_away_do_not_squeeze_the_others():
    without, with_far = (clouds.limits_of([cloud(0, far, n=2000)]) for far in (0, 8))
    assert np.ptp(with_far[0]) < 1.3 * np.ptp(without[0])
    together = clouds.limits_of([cloud(0), cloud(1, far=2)])
    assert together[0][0] < 0.1
    assert together[0][1] > 5


def test_no_more_than_a_hundredth_of_a_group_lies_beyond_its_axes():
    rng = np.random.default_rng(0)
    for values in (rng.standard_cauchy(5000), rng.lognormal(size=5000), -rng.lognormal(2, 2, 5000)):
        low, high = clouds.limits_of([plots.Cloud(values, values, values > 1e9)])[0]
        assert ((values < low) | (values > high)).mean() <= 0.01


def test_panels_of_a_group_have_the_same_limits_and_the_line_is_at_45_degrees():
    rows = [
        [cloud(0, group="a"), cloud(1, far=4, group="a")],
        [cloud(2, group="b"), None],
        [cloud(3, group="c", diagonal=False), cloud(4, group="a", lines=["a number", "another"])],
    ]
    figure = plots.clouds(rows, crossed=True)
    plots.encode(figure, "limits")
    axes = [axis for axis in figure.axes if axis.axison]
    groups = [made.group for row in rows for made in row if made is not None]
    limits = {}
    for axis, group in zip(axes, groups, strict=True):
        assert limits.setdefault(group, (axis.get_xlim(), axis.get_ylim())) == (axis.get_xlim(), axis.get_ylim())
        box = axis.get_window_extent()
        assert box.width == pytest.approx(box.height, rel=0.01)
        assert (axis.get_xlim() == axis.get_ylim()) == (group != "c")
    assert limits["a"] != limits["b"]
    inside = [axis.get_tightbbox() for axis in figure.axes if axis.axison]
    assert all(a.y0 >= 0 and a.y1 <= figure.bbox.height and a.x0 >= 0 for a in inside)
    assert not any(a.overlaps(b) for i, a in enumerate(inside) for b in inside[:i])


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def line():
    return {"test_accuracy": Trajectory(3, step=[0, 1000], mean=[0.1, 0.9], low=[0.1, 0.8], high=[0.1, 1.0])}


def test_models_have_one_order_whatever_that_of_the_numbers():
    names = [label_of(model) for model in ORDERED]
    accuracy = plots.accuracy({model: line() for model in SHUFFLED}, switch_step=500)
    assert labels(accuracy) == [*names, "switch of the loss"]
    value = Interval(0.5, 0.4, 0.6, 3, "seeds", per_seed=(0.4, 0.5, 0.6))
    statistics = {"train": {"mean_gap_mislabelled": value, "mislabelled_fitted": value}}
    bars = plots.mislabelled({model: statistics for model in SHUFFLED if model != "teacher"})
    assert [text.get_text() for text in bars.axes[0].get_yticklabels()] == names[1:]
    tenths = {model: {"test": [value] * 10, "train": [value] * 10} for model in SHUFFLED}
    underfitting = plots.underfitting(None, tenths, models=SHUFFLED)
    assert labels(underfitting) == names
    assert [axis.get_title().split(":")[0] for axis in underfitting.axes] == ["Training set", "Test set"]
    switch = plots.BySwitch("", [], [10, 1000], [value, value], dict.fromkeys(("kd", "one_hot", "teacher"), value))
    assert labels(plots.switches([switch], "one_hot_to_kd")) == names[:4]
    assert [axis.get_title("left") for axis in plots.data_map(dict.fromkeys(SHUFFLED, maps())).axes[:7]] == names


def test_steps_have_commas_and_shares_are_in_per_cent():
    figure = plots.accuracy({"kd": line()})
    plots.encode(figure, "numbers")
    axis = figure.axes[0]
    assert "1,000" in [text.get_text() for text in axis.get_xticklabels()]
    assert all(re.fullmatch(r"\N{MINUS SIGN}?\d+(\.\d+)?%", text.get_text()) for text in axis.get_yticklabels())


def maps(n=300):
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=n)
    noisy = np.where(rng.random(n) < 0.1, (label + 1) % 3, label)
    logits = [step * np.eye(3)[label] + rng.normal(size=(n, 3)) for step in (0, 1, 2, 4)]
    return DataMap.of([Dump.of(z, noisy, true_label=label, model="kd", step=i) for i, z in enumerate(logits)])


def test_a_data_map_shows_each_example_in_its_class_and_the_mislabelled_ones_as_crosses():
    found = maps()
    axis = plots.data_map({"kd": found}).axes[0]
    *classes, crosses = [np.asarray(c.get_offsets()) for c in axis.collections]
    places = np.stack([found.variability, found.confidence], axis=1)
    np.testing.assert_array_equal(crosses, places[found.mislabelled])
    edges = [(-1.0, 0.0), (0.0, 0.5), (0.5, 1 - 1e-6), (1 - 1e-6, 1.0)]
    for offsets, (low, high) in zip(classes, edges, strict=True):
        right = (found.correctness > low) & (found.correctness <= high) & ~found.mislabelled
        np.testing.assert_array_equal(offsets, places[right])
    assert sum(map(len, classes)) + len(crosses) == len(places)
    assert (found.variability <= np.sqrt(found.confidence * (1 - found.confidence)) + 1e-12).all()
    assert len(data_maps.CLASSES) == 4


def example():
    figure = plots.scatter(*[[dump(model, seed)] for model, seed in (("teacher", 0), ("kd", 1))])
    figure.axes[0].annotate(f"{style.Shares()(-0.5)} $-\\phi$", (0, 0))
    return figure


def dump(model, seed):
    return Dump.of(np.random.default_rng(seed).normal(size=(60, 3)), np.arange(60) % 3, model=model)


def test_a_figure_is_the_same_in_a_session_with_another_font():
    plain = plots.encode(example(), "font")
    with matplotlib.rc_context({"font.family": "monospace", "mathtext.fontset": "stix", "svg.fonttype": "path"}):
        assert plots.encode(example(), "font") == plain


def test_text_of_an_svg_is_text_in_a_font_that_all_readers_have_a_kind_of():
    svg = plots.encode(example(), "font")["svg"].decode()
    families = re.findall(r"font-family: ([^;\"]*)", svg)
    assert len(families) > 10
    assert {family.split(", ")[-1] for family in families} == {"sans-serif"}
    assert {family.split(", ")[0] for family in families} == {"'DejaVu Sans'"}
    assert "\N{MINUS SIGN}0" in svg
    assert not re.search(r">[^<]*(?<![\w.])-\d[^<]*</t", svg)  # a hyphen for a minus


def test_the_theory_s_figures_are_in_the_same_font(tmp_path):
    assert of_theory.FONT.items() <= style.FONT.items()
    figure = Figure(dpi=50)
    with matplotlib.rc_context({"font.family": "monospace"}):
        text = figure.text(0, 0, "theory")
    of_theory.save(figure, tmp_path / "theory.png")
    assert isinstance(text, Text)
    assert text.get_fontfamily() == style.FONT["font.family"]
    assert Image.open(io.BytesIO((tmp_path / "theory.png").read_bytes())).size == (320, 240)
