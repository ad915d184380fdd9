"""What the experiments' pictures show: marks, labels, and legends that lie on nothing."""

import json
import types

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from distill_jax.errors import InputError
from distill_jax.measures.interval import number
from distill_jax.report.plots.style import place
from distill_jax.students import label_of, look_of
from experiments import redraw
from experiments.channel import picture as channel
from experiments.channel import sweep
from experiments.comparison import MODELS, NAMES
from experiments.compiled import picture as compiled
from experiments.eigenspace import bridge_picture
from experiments.eigenspace import picture as eigenspace
from experiments.eigenspace.bias import area
from experiments.null_world import picture as null_world
from experiments.redraw import RESULTS
from experiments.schedule import picture as schedule
from experiments.throughput import picture as throughput

LABELS = [label_of(NAMES[model]) for model in MODELS]
SEEDS, PAIRS = 30, 7


def read(name):
    return json.loads((RESULTS / name).read_text())


def rings(axis):
    return {(round(float(x)), round(float(y))) for line in axis.lines for x, y in line.get_xydata()}


def test_a_ring_is_in_each_cell_whose_interval_includes_0_and_in_no_other():
    ends = {1: (-0.01, 0.01), 2: (0.0, 0.0), 3: (0.01, 0.02), 4: (-0.03, -0.01), 5: (None, None), 6: (0.0, 0.04)}
    share = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    rows = []
    for similar, (low, high) in ends.items():
        gain = {"mean": 0.0 if low is None else (low + high) / 2, "low": low, "high": high, "n": 3}
        shares = dict.fromkeys(("test_accuracy_teacher", "one_hot_sign_share", "distillation_sign_share"), share)
        rows += [{"similar": similar, "temperature": 2.0, "margin": 0.1, sweep.GAIN: gain} | shares]
    maps = sweep.figure(rows, ["temperature", "similar"]).axes
    assert rings(maps[0]) == {(0, 0), (1, 0), (5, 0)}
    assert [rings(axis) for axis in maps[1:]] == [set()] * 3
    assert [text.get_text() for text in maps[0].texts][3] == "\N{MINUS SIGN}2.00\n\N{PLUS-MINUS SIGN}1.00"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("channel-*-*.json")), ids=lambda path: path.stem)
def test_a_kept_map_has_rings_where_its_table_has_no_bold(path):
    rows = json.loads(path.read_text())["sweep"]
    down, across = [name for name in rows[0] if name in sweep.FIELDS]
    axes = sweep.figure(rows, [down, across]).axes
    columns, lines = (sorted({row[name] for row in rows}) for name in (across, down))
    bold = {(columns.index(r[across]), lines.index(r[down])) for r in rows if sweep.excludes_zero(r[sweep.GAIN])}
    assert rings(axes[0]) == {(x, y) for x in range(len(columns)) for y in range(len(lines))} - bold
    one_hot, distilled = (axis.images[0].get_clim() for axis in axes[2:])
    assert one_hot == distilled
    assert all(np.ptp(axis.images[0].get_clim()) >= 10 for axis in axes[1:])


def channel_figure():
    rng = np.random.default_rng(0)
    return channel.figure({"accuracy": rng.random((SEEDS, 3, 2, 9)), "cosine": rng.random((SEEDS, 3, 10))}, 4)


def bias_figure():
    rng = np.random.default_rng(0)
    choice = "norm", "area"
    found = {("own", *choice): rng.normal(size=(SEEDS, 3, PAIRS)), "accuracy": rng.random((SEEDS, 3, 5, 2))}
    found |= {("more", *choice, model): rng.normal(size=(SEEDS, PAIRS)) for model in ("control", "student")}
    return eigenspace.distributions(types.SimpleNamespace(projection="norm", definition="area"), found)


FIGURES = {
    "channel": channel_figure,
    "eigenspace-bias": bias_figure,
    "bridge": lambda: bridge_picture.figure(read("eigenspace-bridge.json")["rows"]),
    "null_world": lambda: null_world.figure(read("null_world.json")),
    "schedule": lambda: schedule.figure(read("schedule.json")),
    "map": lambda: sweep.figure(read("channel-temperature-similar.json")["sweep"], ["temperature", "similar"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_legends_lie_on_no_panel_nor_on_what_is_beside_it(name):
    figure = FIGURES[name]()
    place(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    panels = [axis for axis in figure.axes if axis.axison]
    assert len(figure.legends) == 1
    assert not any(axis.get_legend() for axis in figure.axes)
    legend = figure.legends[0].get_window_extent(renderer)
    assert not any(legend.overlaps(axis.get_tightbbox(renderer)) for axis in panels)
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    shown = [text for text in texts if text in LABELS]
    assert shown == [label for label in LABELS if label in shown]
    assert len(shown) == (3 if name in ("channel", "eigenspace-bias", "bridge") else 0)


def test_shares_above_0_and_biases_are_in_the_colours_of_what_they_are_of(monkeypatch):
    colors = [look_of(NAMES[model])["color"] for model in MODELS]
    for panel, of in zip(bias_figure().axes, (colors, colors[1:]), strict=False):
        assert [text.get_color() for text in panel.texts] == ["black", *of]
    top, bottom = np.cumsum(np.random.default_rng(1).random((2, 1, 3, PAIRS, 20)), axis=-1)
    monkeypatch.setattr(eigenspace, "trajectories", lambda *_: (top, bottom))
    pairs = np.stack([np.arange(PAIRS), np.arange(PAIRS) + 20])[None]
    outcome = types.SimpleNamespace(drawn=types.SimpleNamespace(pairs=pairs))
    figure = eigenspace.paths(types.SimpleNamespace(projection="norm"), outcome)
    bias = area(top[0], bottom[0])
    for pair, axis in enumerate(figure.axes[:PAIRS]):
        said = [(text.get_text(), text.get_color()) for text in axis.texts]
        assert said[1:] == [(number(bias[i, pair], sign=True), color) for i, color in enumerate(colors)]


def test_points_above_the_roof_are_explained_where_there_are_any():
    row = {"dtype": "float32", "device": "Some CPU", "network": "channel", "population": 1, "attainable_flops": 1e10}
    row |= {"flops_a_step": 1e6, "bytes_a_step": 1e6, "device_flops": 1e11, "device_bandwidth": 1e10}
    for flops, above in ((9e9, False), (2e10, True)):
        texts = throughput.roofline([row | {"flops_per_s": flops}]).axes[0].texts
        assert any("above" in text.get_text() for text in texts) == above


def test_names_of_programs_have_room_and_none_of_the_legend_is_cut(monkeypatch):
    rows = [r for r in read("compiled/studies-h100.json") if r["fits"]][:6]
    made = {}
    monkeypatch.setattr(compiled, "save", lambda pictures, _: made.update(pictures))
    compiled.draw(rows, RESULTS)
    figure = made["compiled"]
    place(figure)
    legend = figure.legends[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width
    assert figure.axes[0].get_window_extent().width > 2 * figure.dpi


def test_the_figure_of_prediction_has_a_label_beside_each_point_and_no_legend():
    name, figure = next(redraw.of_paper(read("paper-small/results.json")))
    assert name == "paper-small/prediction"
    assert not figure.legends
    settings = read("paper-small/results.json")["figures"]["prediction"]["numbers"]["settings"]
    place(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axis in figure.axes:
        labels = [text for text in axis.texts if "→" in text.get_text()]
        assert len({text.get_text() for text in labels}) == len(labels) == len(settings)
        for text in labels:
            text.update_positions(renderer)
        boxes = [Text.get_window_extent(text, renderer) for text in labels]  # without the line that leads to it
        panel = axis.get_window_extent()
        assert all(panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 for box in boxes)
        shared = [a.intersection(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert all(both is None or min(both.width, both.height) < 4 for both in shared)


def test_it_is_drawn_into_a_folder_that_can_be(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(redraw, "pictures", lambda: iter([("study/accuracy", FIGURES["map"]())]))
    redraw.main(["--to", str(tmp_path / "new")])
    assert (tmp_path / "new" / "study" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == "study/accuracy.png\n"
    with pytest.raises(InputError, match=r"--to .*: its folder is not there"):
        redraw.main(["--to", str(tmp_path / "absent" / "new")])
