"""The explorer's numbers are the dumps', its pictures those of the ids, and no text of the data is more than text."""

import base64
import dataclasses
import io
import itertools
import json
import math
import re
import shutil
import zlib

import numpy as np
import pytest
from browser import PHONE, opened, violations, width_of
from made_study import SIZE, OneTeacher, write_study
from PIL import Image

from distill_jax import dumps
from distill_jax.data.dataset import Split
from distill_jax.data.examples import Examples
from distill_jax.dumps import DumpReader
from distill_jax.identity import identity
from distill_jax.measures import comparisons, deviations, study_summary
from distill_jax.report import explorer, study_report
from distill_jax.report.explorer import collecting, shown, thumbnails
from distill_jax.report.explorer.page import embedded
from distill_jax.report.explorer.parts import LEVELS, MISSING, packed, quantised
from distill_jax.report.plots.clouds import Cloud, limits_of
from distill_jax.setting import RunSetting, Setting

STEPS, SEEDS = (10, 20, 40), 3
HOSTILE = [
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "<!--",
]
TYPES = {"u1": np.uint8, "u2": np.uint16, "i8": np.int64}


def summarise(workdir, seeds=SEEDS, steps=STEPS):
    of = {"seeds": seeds, "total_steps": steps[-1], "switch_step": steps[len(steps) // 2]}
    return study_summary.summarise(DumpReader(workdir), {"data": {"dataset": "made"}}, {}, {}, **of)


def pictures(split, side=8):
    """Each picture has a color of its own, by its id."""
    number = np.arange(SIZE[split])
    color = np.stack([number, 255 - number, number * 7 % 256], axis=1).astype(np.uint8)
    x = np.broadcast_to(color[:, None, None], (len(number), side, side, 3))
    return Examples(Split(x, *[np.zeros(len(number), np.int32)] * 2, id=number))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    write_study(workdir, SEEDS)
    names = [HOSTILE[0], "cat", "large_dogs/of_1_kind", HOSTILE[1]]
    (workdir / "classes.json").write_text(json.dumps(names))
    return workdir, summarise(workdir)


@pytest.fixture(scope="module")
def facts(study):
    workdir, summary = study
    return told(explorer.explorer(DumpReader(workdir), summary, {split: pictures(split) for split in SIZE}))


def told(html):
    """What the script is told."""
    return json.loads(re.search(r'id="explorer-data">(.*?)</script>', html, flags=re.DOTALL)[1])


def unpacked(value):
    """As explorer.js does it."""
    data, at, arrays = zlib.decompress(base64.b64decode(value["bytes"])), 0, {}
    for name, kind, shape in value["arrays"]:
        size, n = np.dtype(TYPES[kind]).itemsize, math.prod(shape)
        planes = np.frombuffer(data, np.uint8, n * size, at).reshape(size, n)
        arrays[name] = np.ascontiguousarray(planes.T).view(TYPES[kind]).reshape(shape)
        at += n * size
    assert at == len(data)
    return arrays


def values(part, name, by="own"):
    """X or Y [..., n] of a part, by either selection."""
    arrays, (low, high) = unpacked(part), part["scale"]

    def read(of):
        return np.where(arrays[of] == MISSING, np.nan, low + arrays[of] * ((high - low) / LEVELS))

    result = read(name)
    if by == "other":
        result[..., arrays["chosen"] != arrays["chosen_other"]] = read(f"{name}_other")
    return result


@pytest.mark.parametrize("split", SIZE)
def test_x_and_y_are_those_of_the_dumps_within_the_error_stated(study, facts, split):
    read, part = DumpReader(study[0]), facts["inline"][f"{split}-seed-1"]
    error, ids = (part["scale"][1] - part["scale"][0]) / LEVELS / 2, unpacked(facts["inline"][split])["id"]
    arrays = unpacked(part)
    assert error < 0.005
    for s, (student, _) in enumerate(facts["students"]):
        for t, step in enumerate(facts["steps"]):
            found = deviations.per_example(read("teacher", 1, STEPS[-1], split), read(student, 1, step, split))
            place = np.searchsorted(ids, found.id)
            for name, wanted in (("x", found.x), ("y", found.y)):
                shown_values = values(part, name) if name == "x" else values(part, name)[s, t]
                np.testing.assert_allclose(shown_values[place], wanted, rtol=0, atol=error * 1.001)
            assert np.array_equal(arrays["guess"][s, t], read(student, 1, step, split).logits.argmax(axis=1))
    hard = found.id[: -(-len(found.id) // 10)]
    assert set(ids[arrays["hard"] & 1 > 0]) == set(hard)
    assert np.array_equal(
        arrays["label"][place] != unpacked(facts["inline"][split])["true_label"][place], found.mislabelled
    )


@pytest.mark.parametrize("reader", [DumpReader, OneTeacher])
def test_another_seed_chooses_as_it_does_in_the_report_s_numbers(study, reader):
    workdir, summary = study
    facts_of_study = dataclasses.replace(summary.study, one_teacher=reader is OneTeacher)
    summary, read = dataclasses.replace(summary, study=facts_of_study), reader(workdir)
    students = list(summary.study.students)
    compared = comparisons.compare_points(read.at(STEPS[-1], "test"), students, SEEDS)
    for seed in range(SEEDS):
        found = shown.selections(read, summary, seed, "test")
        assert set(found) == {"own", "other"}
        for by, selection in found.items():
            for student in students:
                points = compared[seed][student].own if by == "own" else compared[seed][student].crossed
                np.testing.assert_array_equal(selection.x[points.row], points.x)
                np.testing.assert_array_equal(selection.y[student][points.row], points.y)
                assert set(np.flatnonzero(selection.hard)) == set(points.row[: -(-len(points.row) // 10)])


def test_the_other_selection_s_values_come_back(study, facts):
    workdir, summary = study
    part, read = facts["inline"]["test-seed-0"], DumpReader(workdir)
    selection, error = shown.selections(read, summary, 0, "test")["other"], np.diff(part["scale"])[0] / LEVELS / 2
    assert (unpacked(part)["chosen"] != unpacked(part)["chosen_other"]).any()
    np.testing.assert_allclose(values(part, "x", "other"), selection.x, rtol=0, atol=error * 1.001)
    for s, (student, _) in enumerate(facts["students"]):
        np.testing.assert_allclose(values(part, "y", "other")[s, -1], selection.y[student], rtol=0, atol=error * 1.001)
    assert np.array_equal(unpacked(part)["hard"] & 2 > 0, selection.hard)


def test_the_likeliest_classes(study, facts):
    workdir, _ = study
    arrays = unpacked(facts["inline"]["train-seed-2"])
    for number, model in enumerate(["teacher", *(name for name, _ in facts["students"])]):
        logits = DumpReader(workdir)(model, 2, STEPS[-1], "train").logits.astype(np.float64)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        wanted = -np.sort(-p, axis=1)[:, :3]
        np.testing.assert_allclose(arrays["top_share"][number] / 255, wanted, rtol=0, atol=0.502 / 255)
        found = np.take_along_axis(p, arrays["top_class"][number].astype(int), axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_tile_is_the_picture_of_its_id(facts):
    for split in SIZE:
        of, ids = facts["pictures"][split], unpacked(facts["inline"][split])["id"]
        data = of["sources"][0].removeprefix("data:image/webp;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            sheet = np.asarray(image.convert("RGB"))
        for k in (0, 1, of["columns"], len(ids) - 1):
            row, column = divmod(k, of["columns"])
            tile = sheet[row * of["height"] :, column * of["width"] :][: of["height"], : of["width"]]
            np.testing.assert_array_equal(tile, pictures(split).pictures(ids[[k]])[0])


def test_pictures_that_do_not_fit_become_smaller_until_they_do():
    x = np.random.default_rng(0).integers(256, size=(300, 80, 40, 3)).astype(np.uint8)
    noise = Examples(Split(x, *[np.zeros(300, np.int32)] * 2, id=np.arange(300)))
    sheets = [thumbnails.sheet(noise, np.arange(300), room) for room in (None, 200_000, 20_000)]
    assert (sheets[0].width, sheets[0].height) == (32, 64)
    assert len(sheets[1].data) <= 200_000
    assert len(sheets[2].data) <= 20_000
    assert sheets[2].width < sheets[0].width


def test_texts_are_cut_to_what_there_is_room_for():
    x = np.random.default_rng(0).normal(size=(100, 200)).astype(np.float32)
    features = Examples(Split(x, *[np.zeros(100, np.int32)] * 2, id=np.arange(100)))

    def texts(room):
        return json.loads(zlib.decompress(base64.b64decode(thumbnails.texts(features, np.arange(100), room))))

    assert texts(None) == features.texts(np.arange(100), 300)
    assert max(map(len, texts(5000))) <= 100


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A study of more examples than there are in galleries."""
    workdir = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SIZE, "train", 3000)
        patch.setitem(SIZE, "test", 1500)
        write_study(workdir, 2, steps=(20, 40))
    return DumpReader(workdir), summarise(workdir, 2, (20, 40))


@pytest.mark.parametrize(("room", "seeds"), [(100_000, 1), (200_000, 2)])
def test_where_not_all_fit_each_gallery_s_examples_are_shown(large, room, seeds):
    read, summary = large
    found = shown.part(read, summary, room)
    assert found.seeds == tuple(range(seeds))
    for split, rows in found.rows.items():
        assert np.all(np.diff(rows) > 0)
        assert found.extremes[split] < len(rows) < len(read("teacher", 0, 40, split).label)
        for seed, student in itertools.product(found.seeds, summary.study.students):
            teacher = read("teacher", seed, 40, split)
            guess = read(student, seed, 40, split).logits.argmax(axis=1)
            right = [of == teacher.true_label for of in (teacher.logits.argmax(axis=1), guess)]
            for selection in shown.selections(read, summary, seed, split).values():
                gap = selection.y[student] - selection.x
                masks = [gap < np.inf, ~right[0] & right[1], right[0] & ~right[1]]
                masks.append((teacher.label != teacher.true_label) & right[1])
                wanted = [np.flatnonzero(m)[np.argsort(gap[m], kind="stable")][:24] for m in masks]
                assert set(np.concatenate([*wanted, np.argsort(-gap, kind="stable")[:24]])) <= set(rows)


@pytest.mark.parametrize("room", [100_000, 200_000])
def test_numbers_take_what_there_is_room_for(large, room):
    read, summary = large
    found = shown.part(read, summary, room)
    parts = [collecting.of_split(read, summary, found, split) for split in SIZE]
    parts += [collecting.of_seed(read, summary, found, split, seed) for split in SIZE for seed in found.seeds]
    assert room // 4 < sum(len(part["bytes"]) for part in parts) < room


def test_steps_are_spread_over_training(study):
    workdir, summary = study
    trajectories = {
        model: {name: dataclasses.replace(of, step=list(range(1, 41))) for name, of in measures.items()}
        for model, measures in summary.trajectories.items()
    }
    longer = dataclasses.replace(summary, trajectories=trajectories)
    found = shown.part(DumpReader(workdir), longer)
    assert len(found.steps) == shown.STEPS
    assert {1, STEPS[-1]} <= set(found.steps)
    assert shown.everything(DumpReader(workdir), longer).steps == tuple(range(1, 41))


def test_packing_and_rounding():
    arrays = {"a": np.array([[1, 65535]], np.uint16), "b": np.array([-5, 2**40]), "c": np.arange(3, dtype=np.uint8)}
    assert {name: a.tolist() for name, a in unpacked(packed(arrays)).items()} == {
        n: a.tolist() for n, a in arrays.items()
    }
    x = np.random.default_rng(0).normal(size=1000)
    back = x.min() + quantised(x, x.min(), x.max()) * (np.ptp(x) / LEVELS)
    np.testing.assert_allclose(back, x, rtol=0, atol=np.ptp(x) / LEVELS / 2 * 1.001)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_ends_the_script_element(text):
    assert not re.search("[<>&\u2028\u2029]", embedded({text: [text, "\u2028"]}))
    assert json.loads(embedded({text: text})) == {text: text}


def test_a_diverged_snapshot_is_left_out_and_not_an_error(tmp_path):
    write_study(tmp_path, 2)
    path = tmp_path / "dumps/kd/seed-0/step-10/test"
    dump = dumps.read_dump(path)
    logits = dump.logits.copy()
    logits[3] = np.nan
    dumps.write_dumps([(path, logits, dump.attributes)], dump.label, dump.true_label, dump.id)
    html = explorer.explorer(DumpReader(tmp_path), summarise(tmp_path, 2))
    y = values(told(html)["inline"]["test-seed-0"], "y")
    assert np.argwhere(np.isnan(y)).tolist() == [[1, 0, 3]]


def test_all_examples_as_files(study, tmp_path):
    workdir, summary = study
    path = explorer.write_folder(DumpReader(workdir), summary, {split: pictures(split) for split in SIZE})
    of = told(path.read_text())
    assert path == workdir / "explorer" / "index.html"
    assert "inline" not in of
    assert {p.name for p in (path.parent / "data").iterdir()} == {
        *(f"{split}.js" for split in SIZE),
        *(f"{split}-seed-{seed}.js" for split in SIZE for seed in range(SEEDS)),
        *(f"{split}-pictures-0.webp" for split in SIZE),
    }
    script = (path.parent / "data" / "test-seed-1.js").read_text()
    part = json.loads(re.fullmatch(r'explorerPart\("test-seed-1", (.*)\);\n', script)[1])
    assert values(part, "y").shape == (4, 3, SIZE["test"])


@pytest.mark.parametrize("explore", ["part", "full", "none"])
def test_a_report_has_the_explorer_that_is_asked_for(study, monkeypatch, explore):
    workdir, summary = study
    shutil.rmtree(workdir / "explorer", ignore_errors=True)
    monkeypatch.setattr(study_report, "draw", lambda read, summary: {})
    html = study_report.write_report(DumpReader(workdir), summary, None, explore).read_text()
    assert ('id="explorer-data"' in html) == (explore != "none")
    assert (
        ('href="explorer/index.html"' in html) == (explore == "full") == (workdir / "explorer" / "index.html").exists()
    )
    if explore != "none":
        assert told(html)["pictures"] == told(html)["texts"] == {}
        assert values(told(html)["inline"]["test-seed-0"], "y").shape == (4, 3, SIZE["test"])


def test_how_examples_are_shown_names_no_study():
    assert identity(Setting(run=RunSetting(explorer="none"))) == identity(Setting())


# ---- In a browser


@pytest.fixture(scope="module")
def page_path(study, tmp_path_factory):
    workdir, summary = study
    html = explorer.explorer(DumpReader(workdir), summary, {split: pictures(split) for split in SIZE})
    path = tmp_path_factory.mktemp("page") / "report.html"
    style = "<style>body { background: #fff }"
    style += " @media (prefers-color-scheme: dark) { body { background: #14181d; color: #eee } }"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A report</title>{style}</style>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    path.write_text(f"{head}{view}<main><h1>A report</h1><h2>Of a study</h2>{html}</main></html>")
    return path


def ready(page):
    page.wait_for_selector("#x-tiles button")
    page.wait_for_timeout(300)
    return page


def drawn(page, side="right"):
    """The pixels of a plot's points, as text."""
    return page.evaluate(f"document.querySelectorAll('#x-{side} canvas')[1].toDataURL()")


def ends(part, step, students):
    """The ends of both axes of a plot at a step, as the report's figures have them."""
    x, y = values(part, "x"), values(part, "y")[students, step]
    return limits_of([Cloud(*(v[np.isfinite(v)] for v in (x, of)), np.zeros(0, bool)) for of in y])[0]


def places(page, part, axes, student, step=-1, side="right"):
    """Where each example of a part is drawn, CSS pixels of the window [n, 2]."""
    box = page.locator(f"#x-{side} .x-over").bounding_box()
    wide, high = box["width"] - 52, box["height"] - 44
    shares = [
        (np.clip(v, *axes) - axes[0]) / (axes[1] - axes[0])
        for v in (values(part, "x"), values(part, "y")[student, step])
    ]
    return np.stack([box["x"] + 44 + wide * shares[0], box["y"] + 6 + high * (1 - shares[1])], axis=1)


def at_first(page, facts, side="right"):
    """Where each training example is drawn before anything is changed, of control or distilled student."""
    part, names = facts["inline"]["train-seed-0"], [name for name, _ in facts["students"]]
    both = [names.index(name) for name in ("one_hot", "kd")]
    x, y = values(part, "x"), values(part, "y")[both]
    inner = np.quantile([np.concatenate([x, x, *y[:, k]]) for k in range(len(facts["steps"]))], (0.01, 0.99), axis=1)
    last = ends(part, -1, both)
    return places(page, part, (min(last[0], *inner[0]), max(last[1], *inner[1])), both[side == "right"], side=side)


@pytest.mark.browser
def test_an_example_that_is_pointed_at_is_described_in_words(browser, page_path, facts):
    with opened(browser, page_path) as page:
        ready(page)
        plot = page.locator("#x-right .x-over")
        plot.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        example = re.search(r"id=(\d+)", page.evaluate("new Promise(r => setTimeout(() => r(location.hash), 400))"))[1]
        i = list(unpacked(facts["inline"]["train"])["id"]).index(int(example))
        label = facts["classes"][unpacked(facts["inline"]["train-seed-0"])["label"][i]]
        said = page.locator("#x-live").text_content()
        assert f"Example {example}: " in said
        assert label in said
        assert label in page.locator("#x-facts").text_content()
        x = values(facts["inline"]["train-seed-0"], "x")[i]
        assert f"{x:.2f}".replace("-", "\u2212") in page.locator("#x-facts").text_content()
        page.keyboard.press("Escape")
        assert page.locator("#x-facts").is_hidden()


@pytest.mark.browser
def test_pointing_highlights_in_both_plots_and_dragging_lists(browser, page_path, facts):
    with opened(browser, page_path) as page:
        ready(page)
        box = page.locator("#x-right .x-over").bounding_box()

        def over(side):
            return page.evaluate(f"document.querySelector('#x-{side} .x-over').toDataURL()")

        before = [over(side) for side in ("left", "right")]
        page.mouse.move(*at_first(page, facts)[0])
        page.wait_for_timeout(100)
        assert "Example" in page.locator("#x-facts").text_content()
        assert all(over(side) != was for side, was in zip(("left", "right"), before, strict=True))
        page.mouse.move(box["x"] + 60, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] - 60, steps=5)
        page.mouse.up()
        assert re.match(r"Region: \d+ examples", page.locator("#x-said").text_content())
        assert page.locator("#x-tiles button").count() == 24
        first = page.locator("#x-tiles button").first.text_content()
        page.locator("#x-later").click()
        assert page.locator("#x-tiles button").first.text_content() != first
        page.locator("#x-clear").click()
        assert page.locator("#x-said").text_content().startswith("Underfit the most")


@pytest.mark.browser
def test_a_known_example_is_where_its_numbers_are_and_says_its_label(browser, page_path, facts):
    part = facts["inline"]["train-seed-0"]
    with opened(browser, page_path) as page:
        ready(page)
        at = at_first(page, facts)
        away = np.hypot(*(at[:, None] - at[None]).T) + 99 * np.eye(len(at))
        alone = np.flatnonzero(away.min(axis=0) > 8)[:5]
        assert len(alone) == 5
        legends = {page.locator(".x-legend").bounding_box()["y"]}
        for i in alone:
            page.mouse.move(*at[i])
            page.get_by_text(
                re.compile(rf"^Example{unpacked(facts['inline']['train'])['id'][i]}Given label")
            ).wait_for()
            said = [each.text_content() for each in page.locator("#x-facts dd").all()]
            of = {
                name: unpacked(of)[name][i] for of, name in ((part, "label"), (facts["inline"]["train"], "true_label"))
            }
            legends.add(page.locator(".x-legend").bounding_box()["y"])
            assert said[1:3] == [facts["classes"][of["label"]], facts["classes"][of["true_label"]]]
        assert len(legends) == 1  # nothing jumps under the hand


@pytest.fixture(scope="module")
def stretched(tmp_path_factory):
    """A study whose students are far off at first, and of one example at the last step too."""
    workdir = tmp_path_factory.mktemp("stretched")
    write_study(workdir, 2)
    for step in (10, 40):
        path = dumps.dump_path(workdir, "kd", 0, step, "test")
        dump = dumps.read_dump(path)
        logits = dump.logits * (30 if step == 10 else 1)
        guess = dumps.read_dump(dumps.dump_path(workdir, "teacher", 0, 40, "test")).logits[7].argmax()
        logits[7, guess] -= 60
        dumps.write_dumps([(path, logits, dump.attributes)], dump.label, dump.true_label, dump.id)
    path = workdir / "page.html"
    path.write_text(explorer.explorer(DumpReader(workdir), summarise(workdir, 2)))
    return path


@pytest.mark.browser
def test_few_examples_far_away_lie_at_an_edge_and_are_found_there(browser, stretched):
    facts = told(stretched.read_text())
    part, names = facts["inline"]["test-seed-0"], [name for name, _ in facts["students"]]
    both = [names.index(name) for name in ("one_hot", "kd")]
    with opened(browser, stretched) as page:
        ready(page)
        page.locator("#x-split").select_option("test")
        page.get_by_text("Each step has axes of its own.").wait_for()
        assert page.locator("#x-beyond").text_content().endswith("beyond the edge: 0 left, 1 right")
        axes = ends(part, -1, both)
        assert axes[1] - axes[0] < 20
        at = places(page, part, axes, both[1])
        page.mouse.move(at[7][0], at[7][1] - 2)
        page.get_by_text("Example7Given label").wait_for()
        page.mouse.move(at[7][0] - 12, at[7][1] - 12)
        page.mouse.down()
        page.mouse.move(at[7][0] + 12, at[7][1] + 20, steps=3)
        page.mouse.up()
        assert "Example 7," in page.locator("#x-tiles").text_content()
        assert page.locator("#x-said").text_content().startswith("Region: ")
        page.locator("#x-step").fill("0")
        page.wait_for_timeout(700)
        low, high = ends(part, 0, both)
        at = places(page, part, (low, high), both[1], 0)
        assert high - low > 40
        page.mouse.move(*at[7])
        page.get_by_text("Example7Given label").wait_for()


@pytest.mark.browser
def test_a_region_is_selected_by_keys_and_by_touch(browser, page_path):
    def found(page):
        return int(re.match(r"Region: (\d+) example", page.locator("#x-said").text_content())[1])

    with opened(browser, page_path, PHONE, has_touch=True) as page:
        ready(page)
        page.locator("#x-left .x-over").focus()
        page.keyboard.press("Enter")
        counts = []
        for key in ("ArrowRight", "ArrowUp", "ArrowLeft"):
            page.keyboard.press(f"Shift+{key}")
            counts.append(found(page))
        assert 1 <= counts[0] <= counts[1] >= counts[2] >= 1
        page.keyboard.press("Escape")
        assert page.locator("#x-said").text_content().startswith("Underfit the most")
        page.locator("#x-brush").tap()
        assert page.locator("#x-brush").get_attribute("aria-pressed") == "true"
        page.locator("#x-right").scroll_into_view_if_needed()
        box = page.locator("#x-right .x-over").bounding_box()
        finger = page.context.new_cdp_session(page)
        ends = [(box["x"] + box["width"] * a, box["y"] + box["height"] * b) for a, b in ((0.2, 0.05), (0.9, 0.8))]
        for kind, places in (("touchStart", ends[:1]), ("touchMove", ends[1:]), ("touchEnd", [])):
            points = [{"x": x, "y": y} for x, y in places]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(200)
        assert found(page) > 1


@pytest.mark.browser
def test_galleries_have_the_examples_of_the_dumps(browser, page_path, study, facts):
    workdir, summary = study
    read, ids = DumpReader(workdir), unpacked(facts["inline"]["train"])["id"]
    selection = shown.selections(read, summary, 0, "train")["own"]
    teacher, student = read("teacher", 0, STEPS[-1], "train"), read("kd", 0, STEPS[-1], "train")
    guesses = teacher.logits.argmax(axis=1), student.logits.argmax(axis=1)
    gap = selection.y["kd"] - selection.x
    wanted = shown.galleries(gap, *guesses, teacher.label, teacher.true_label)
    with opened(browser, page_path) as page:
        ready(page)
        for gallery, rows in wanted.items():
            page.locator(f'.x-galleries button[value="{gallery}"]').click()
            labels = [b.text_content() for b in page.locator("#x-tiles button").all()]
            assert {int(re.match(r"Example (\d+)", label)[1]) for label in labels} == set(ids[rows].tolist()), gallery
            assert page.locator("#x-table tbody tr").count() == len(rows)
        tile = page.locator("#x-tiles button").first
        tile.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.textContent") == labels[1]
        assert page.locator("#x-tiles button").nth(1).get_attribute("aria-current") == "true"
        assert page.title() == "A report"  # what a class's name would have changed
        assert page.locator("#x-tiles img, #x-card img").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_points_move_with_the_step(browser, page_path, motion):
    with opened(browser, page_path, reduced_motion=motion) as page:
        ready(page)
        seen = []
        for step in range(3):
            page.locator("#x-step").fill(str(step))
            page.wait_for_timeout(700)
            seen.append((drawn(page, "left"), drawn(page)))
            assert page.locator("#x-at").text_content() == f"step {STEPS[step]} of {STEPS[-1]}"
        assert len(set(seen)) == 3
        page.locator("#x-play").click()
        assert page.locator("#x-at").text_content() == f"step {STEPS[0]} of {STEPS[-1]}"
        page.wait_for_timeout(2800)
        assert page.locator("#x-at").text_content() == f"step {STEPS[-1]} of {STEPS[-1]}"
        assert page.locator("#x-play").text_content() == "Play"


@pytest.mark.browser
def test_a_link_brings_its_view_back(browser, page_path):
    with opened(browser, page_path) as page:
        ready(page)
        for field, value in (("split", "test"), ("student", "one_hot_to_kd"), ("seed", "2"), ("by", "other")):
            page.locator(f"#x-{field}").select_option(value)
            page.wait_for_timeout(200)
        page.locator("#x-only").select_option("1")
        page.locator("#x-step").fill("1")
        page.get_by_text(f"test set, step {STEPS[1]}, seed 2").first.wait_for()
        page.locator('.x-galleries button[value="overfit"]').click()
        page.locator("#x-tiles button").nth(2).focus()
        page.wait_for_timeout(900)
        link, facts_then = page.url, page.locator("#x-facts").text_content()
        tiles, points = page.locator("#x-tiles").inner_text(), drawn(page)
    with opened(browser, page_path) as page:
        page.goto(link)
        page.reload()
        ready(page)
        assert page.locator("#x-facts").text_content() == facts_then
        assert page.locator("#x-tiles").inner_text() == tiles
        assert drawn(page) == points
        assert page.locator("#x-student").input_value() == "one_hot_to_kd"
        page.goto(page_path.as_uri() + "#explorer?split=none&step=7&id=9'><b>&region=left_1&gallery=region")
        page.wait_for_timeout(300)
        assert page.locator("#x-said").text_content().startswith("Underfit the most")


class Sayings(Examples):
    """Examples whose texts would be markup, if they were not texts."""

    def texts(self, ids, most=None):
        return [f"{i}: {HOSTILE[i % 3]}" for i in ids]


@pytest.mark.browser
def test_texts_are_texts(browser, study, tmp_path):
    workdir, summary = study
    of = {s: Sayings(Split(np.zeros((n, 2)), *[np.zeros(n, np.int32)] * 2, id=np.arange(n))) for s, n in SIZE.items()}
    (tmp_path / "page.html").write_text(explorer.explorer(DumpReader(workdir), summary, of))
    with opened(browser, tmp_path / "page.html") as page:
        for tile in ready(page).locator("#x-tiles button").all():
            tile.focus()
            example = int(tile.locator(".x-cut").text_content().split(":")[0])
            assert re.match(rf"Example {example}\b", tile.text_content())
            assert page.locator("#x-text").text_content() == f"{example}: {HOSTILE[example % 3]}"
        assert page.title() != "taken"


@pytest.mark.browser
def test_all_examples_beside_a_report_are_read_from_a_disk(browser, study):
    workdir, summary = study
    path = explorer.write_folder(DumpReader(workdir), summary, {split: pictures(split) for split in SIZE})
    window = browser.new_context()
    page, errors = window.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    ready(page)
    page.locator("#x-seed").select_option("2")
    page.wait_for_timeout(500)
    assert "seeds 0 to 2" in page.locator("#x-count").text_content()
    assert not errors
    window.close()


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, 1400])
def test_nothing_is_wrong_for_those_who_read_otherwise(browser, page_path, width, dark):
    with opened(browser, page_path, width, dark) as page:
        ready(page)
        page.locator("#x-tiles button").first.focus()
        page.locator(".x-table summary").click()
        assert width_of(page) <= width
        assert not violations(page)


@pytest.mark.browser
def test_a_tap_describes_an_example(browser, page_path, facts):
    with opened(browser, page_path, PHONE, has_touch=True) as page:
        ready(page)
        page.locator("#x-tiles button").first.tap()
        page.wait_for_timeout(300)
        box = page.locator("#x-facts").bounding_box()
        assert 0 < box["y"] < box["y"] + box["height"] <= 900  # it is on the screen, beside the tile
        page.locator("#x-close").click()
        assert page.locator("#x-facts").is_hidden()
        page.locator("#x-right").scroll_into_view_if_needed()
        page.touchscreen.tap(*at_first(page, facts)[0])
        page.locator("#x-facts").wait_for()
        assert "Example" in page.locator("#x-facts").text_content()


@pytest.mark.browser
def test_print_has_a_line_alone_and_dark_ink(browser, page_path):
    with opened(browser, page_path, dark=True) as page:
        ready(page)
        page.emulate_media(media="print")
        assert page.locator("#x-app").is_hidden()
        assert page.locator(".x-print").is_visible()
        assert page.locator(".x-print").evaluate("line => getComputedStyle(line).color") == "rgb(28, 33, 40)"
