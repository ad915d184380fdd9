import re
from xml.etree import ElementTree

import numpy as np
import pytest

from distill_jax.report import inline_svg
from distill_jax.report.plots.style import grid
from distill_jax.students import KINDS

X, Y = np.linspace(0, 3, 7), np.linspace(0, 3, 7) ** 2


def figure():
    """Two rows of two panels: words at the edges alone, a cloud in each, a legend for all."""
    made, axes = grid(2, 2, 3.0, 2.0)
    for i, axis in enumerate(axes.flat):
        axis.plot(X, Y, color="#0072B2", label="a line")
        axis.scatter(Y, X, c="#D55E00", rasterized=True)
        axis.set_title(f"column {i}" if i < 2 else "", loc="left")
        axis.grid(color="#b0b0b0")
    axes[0, 0].set_ylabel("first  $Y - X$")
    axes[1, 0].set_ylabel("second")
    axes[1, 1].set_xlabel("steps & more")
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    return made


@pytest.fixture(scope="module")
def panels():
    return inline_svg.panels(figure(), "made")


def svg(panel):
    return ElementTree.fromstring(panel[panel.index("<svg") : panel.rindex("</svg>") + 6])


def test_the_same_figure_gives_the_same_text(panels):
    assert inline_svg.panels(figure(), "made") == panels


def test_each_panel_says_what_it_shares_with_those_beside_it(panels):
    assert [[re.search("<strong>(.*?)</strong>", panel)[1] for panel in row] for row in panels.rows] == [
        ["column 0", "column 1"]
    ] * 2
    words = [[" ".join(svg(panel).itertext()) for panel in row] for row in panels.rows]
    assert all("first" in text for text in words[0])
    assert all("second" in text for text in words[1])
    assert all("steps & more" in row[1] for row in words)


def test_text_is_text_and_math_is_words_in_the_font_of_the_page(panels):
    assert "font-family" not in panels.html("all")
    label = next(text for text in svg(panels.rows[0][1]).iter("text") if "first" in "".join(text.itertext()))
    assert " ".join("".join(label.itertext()).split()) == "first Y \N{MINUS SIGN} X"
    assert next(run.text for run in label if "oblique" in run.attrib["style"]).strip() == "Y"
    assert svg(panels.legend).find(".//text").text == "a line"


def test_colours_are_the_page_s_and_nothing_is_white(panels):
    html = panels.html("all")
    colors = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", html))
    assert colors == {"none", "currentColor", "var(--c-0072b2, #0072b2)", "var(--c-b0b0b0, #b0b0b0)"}
    assert html.count("<image ") == 4


def test_names_within_a_page_are_unique_and_refer_to_what_is_there():
    html = "".join(inline_svg.panels(figure(), name).html("all") for name in ("one", "other"))
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) == set(ids)


def test_lines_are_where_they_belong(panels):
    style = "var(--c-0072b2"
    (path,) = [
        p for p in svg(panels.rows[1][0]).iter("path") if style in p.get("style", "") and "clip-path" in p.attrib
    ]
    x, y = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path.attrib["d"]), float).T
    for drawn, values in ((x, X), (-y, Y)):
        shares = (drawn - drawn[0]) / (drawn[-1] - drawn[0])
        np.testing.assert_allclose(shares, (values - values[0]) / (values[-1] - values[0]), atol=2e-4)


def test_a_panel_has_its_share_of_the_figure_s_width_and_the_height_that_it_takes(panels):
    for panel in panels.rows[0]:
        left, top, width, height = (float(part) for part in svg(panel).attrib["viewBox"].split())
        assert (left, width) == (0, pytest.approx(72 * (2 * 3 + 0.4) / 2, abs=0.1))
        for text in svg(panel).iter("text"):
            if "y" in text.attrib and not len(text):  # math stands where its group is
                assert top < float(text.attrib["y"]) < top + height
    made, axes = grid(1, 1, 3.0, 9.0)
    axes[0, 0].set_box_aspect(1)
    _, _, width, height = svg(inline_svg.panels(made, "square").rows[0][0]).attrib["viewBox"].split()
    assert 0.8 * float(width) < float(height) < float(width)


def test_a_row_s_legend_has_what_is_in_that_row():
    made = figure()
    made.axes[2].plot(X, Y, color="black", label="below alone")
    made.legends[0].remove()
    made.legend(*made.axes[2].get_legend_handles_labels(), loc="outside lower center")
    found = inline_svg.panels(made, "rows", by_row=True)
    words = [[text.text for text in svg(legend).iter("text")] for legend in found.legends]
    assert words == [["a line"], ["a line", "below alone"]]
    assert not found.legend


def test_a_legend_fits_a_phone():
    made, axes = grid(1, 1, 9.0, 2.0)
    for i in range(8):
        axes[0, 0].errorbar([0, 1], [i, i], yerr=0.1, label=f"a student of number {i}")
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=8)
    legend = svg(inline_svg.panels(made, "wide").legend)
    assert float(legend.attrib["style"].removeprefix("width: ").removesuffix("px")) <= 350
    assert len(list(legend.iter("text"))) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_every_student_is_seen_in_the_dark(kind):
    color = KINDS[kind].look["color"]
    used = inline_svg.variable(color)
    if used == "currentColor":
        assert color == "#000000"
        return
    (dark,) = inline_svg.dark_colors([used]).values()

    def luminance(code):
        parts = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    assert (luminance(dark) + 0.05) / (luminance(inline_svg.DARK_PAPER) + 0.05) >= 3
