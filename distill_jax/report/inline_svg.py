"""A Matplotlib figure as SVG within a page: its panels one by one, so that they wrap, with text that is text.

What is black is drawn in the page's `currentColor`, the background is left out, and any other colour is a variable
`--c-RRGGBB` of CSS, that colour where the page does not say otherwise; `dark_colors` says what suits a dark one. Clouds
of points stay pictures, as they are in the file of the figure.
"""

import colorsys
import dataclasses
import io
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend

DARK_PAPER = "#14181d"  # of the page, in the dark
_PHONE = 3.6  # inches that a phone's page has
_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_PLACES = ("left", "center", "right")  # of a panel's titles
_POINT = 4 / 3  # CSS pixels


@dataclasses.dataclass(frozen=True)
class Panels:
    """A figure's panels as fragments of HTML.

    Attributes:
      rows: the panels, row by row of the figure.
      legend: what they share; empty where there is none, or where rows have their own.
      legends: the same for each row by itself, without what is in other rows alone; empty where not asked for.
    """

    rows: Sequence[Sequence[Markup]]
    legend: Markup
    legends: Sequence[Markup] = ()

    def html(self, alt: str) -> Markup:
        """All panels in rows that wrap where a window is narrow, and the legend below.

        Args:
          alt: what they are together.
        """
        if not self.rows:
            return Markup()
        columns = max(map(len, self.rows))
        kind = "one" if columns == 1 else "many" if columns > 3 else "few"
        # Rows are broken in narrow windows, and what is of the next row must not stand beside the end of one
        groups = self.rows if columns > 2 else [[panel for row in self.rows for panel in row]]
        start = Markup('<div class="panels {}" style="--columns: {}">').format(kind, columns)
        shown = [Markup("\n").join([start, *group, Markup("</div>")]) for group in groups]
        return Markup("\n").join(
            [Markup('<div role="group" aria-label="{}">').format(alt), *shown, self.legend, Markup("</div>")]
        )


def panels(figure: Figure, name: str, by_row: bool = False) -> Panels:
    """The figure's panels, each a heading and an SVG of its own, and its legends.

    The figure is not fit to be drawn as a whole any more. The same figure of the same name gives the same text.

    >>> from distill_jax.report.plots.style import grid
    >>> figure, axes = grid(1, 2, width=3.0, height=2.0)
    >>> _ = axes[0, 0].set_title("Distilled"), axes[0, 1].set_title("Control")
    >>> [re.findall("<strong>(.*?)</strong>", panel) for panel in panels(figure, "two").rows[0]]
    [['Distilled'], ['Control']]

    Args:
      figure: its panels in one grid.
      name: what its ids begin with; must be another for each figure of a page.
      by_row: whether rows are to have legends of their own.
    """
    grid = _grid(figure)
    titles = _by_themselves(grid)
    columns = max((len(row) for row in grid), default=1)
    width, height = (float(side) for side in figure.get_size_inches())
    signs = {axis: _signs(axis) for axis in figure.axes}
    known = {label: handle for of in signs.values() for label, handle in of.items()}
    in_rows = [{label for axis in row for label in signs[axis]} for row in grid]
    legends = [_contents(legend, known) for legend in figure.legends]
    for legend in list(figure.legends):
        legend.remove()
    for axis in list(figure.axes):
        figure.delaxes(axis)
    figure.patch.set_visible(False)
    figure.set_size_inches(width / columns, height / max(len(grid), 1))
    rows: list[list[Markup]] = []
    for i, row in enumerate(grid):
        rows.append([])
        for j, axis in enumerate(row):
            said = [titles[axis] or axis.get_xlabel(), *(text.get_text() for text in axis.texts)]
            label = ". ".join(filter(None, said)).replace("\n", ", ").replace("$", "")
            svg = _inlined(*_alone(figure, axis), f"{name}-{i}-{j}-", label)
            title = Markup("<strong>{}</strong>").format(titles[axis]) if titles[axis] else ""
            rows[-1].append(Markup('<div class="panel">{}{}</div>').format(title, svg))

    def drawn(prefix: str, without: Collection[str] = ()) -> Markup:
        kept = [_without(contents, without) for contents in legends]
        return Markup("\n").join(_legend(figure, contents, f"{prefix}-{i}-") for i, contents in enumerate(kept))

    elsewhere = [set(known) - of for of in in_rows] if by_row else []
    own = [drawn(f"{name}-legend-{row}", without) for row, without in enumerate(elsewhere)]
    return Panels(rows, Markup() if by_row else drawn(f"{name}-legend"), own)


def dark_colors(pages: Iterable[str]) -> dict[str, str]:
    """For each variable of a colour in some markup what it is on dark paper: grey the other way round, others lighter.

    >>> dark_colors(['style="fill: var(--c-b0b0b0, #b0b0b0)"', "var(--c-e69f00, #e69f00)"])
    {'--c-b0b0b0': '#4f4f4f', '--c-e69f00': '#e69f00'}
    """
    found = {color for page in pages for color in re.findall(r"var\(--c-([0-9a-f]{6}),", page)}
    return {f"--c-{color}": _dark(f"#{color}") for color in sorted(found)}


def variable(color: str) -> str:
    """A colour of Matplotlib as CSS that follows the page.

    >>> variable("black"), variable("#E69F00")
    ('currentColor', 'var(--c-e69f00, #e69f00)')
    """
    code = to_hex(color)
    red, green, blue = re.findall("..", code[1:])
    return "currentColor" if red == green == blue <= "33" else f"var(--c-{code[1:]}, {code})"


def _dark(color: str) -> str:
    red, green, blue = (int(part, 16) / 255 for part in re.findall("..", color[1:]))
    hue, light, full = colorsys.rgb_to_hls(red, green, blue)
    if full < 0.02:
        return _hex(colorsys.hls_to_rgb(hue, 1 - light, full))
    while light < 1 and _contrast((red, green, blue)) < 4:
        light = min(light + 0.02, 1.0)
        red, green, blue = colorsys.hls_to_rgb(hue, light, full)
    return _hex((red, green, blue))


def _hex(color: Iterable[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in color)


def _contrast(color: Sequence[float]) -> float:
    """With `DARK_PAPER`, as WCAG 2.2 has it."""
    paper = [int(part, 16) / 255 for part in re.findall("..", DARK_PAPER[1:])]
    low, high = sorted(_luminance(of) for of in (color, paper))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Sequence[float]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _grid(figure: Figure) -> list[list[Axes]]:
    """A figure's panels by rows, those left out that show nothing."""
    rows: dict[int, list[tuple[int, Axes]]] = {}
    for axis in figure.axes:
        spec = axis.get_subplotspec()
        if spec is not None and axis.axison:
            rows.setdefault(spec.rowspan.start, []).append((spec.colspan.start, axis))
    return [[axis for _, axis in sorted(rows[row], key=lambda pair: pair[0])] for row in sorted(rows)]


def _by_themselves(grid: Sequence[Sequence[Axes]]) -> dict[Axes, str]:
    """Gives panels what they leave to those beside them; their titles, which the page says and they no more."""
    titles = {axis: next(filter(None, map(axis.get_title, _PLACES)), "") for row in grid for axis in row}
    columns: dict[int, list[Axes]] = {}
    for row in grid:
        for axis in row:
            columns.setdefault(_column(axis), []).append(axis)
    for row in grid:
        for axis in row:
            above = columns[_column(axis)]
            titles[axis] = titles[axis] or titles[above[0]]
            for of, said in ((axis.yaxis, row[0].yaxis), (axis.xaxis, above[-1].xaxis)):
                if not of.get_label_text():
                    of.set_label_text(said.get_label_text(), fontsize=said.label.get_fontsize())
            if not any(text.get_text() for text in axis.get_yticklabels()):
                axis.set_yticks(axis.get_yticks(), [text.get_text() for text in row[0].get_yticklabels()])
            for place in _PLACES:
                axis.set_title("", loc=place)
    return titles


def _column(axis: Axes) -> int:
    spec = axis.get_subplotspec()
    return 0 if spec is None else spec.colspan.start


def _alone(figure: Figure, axis: Axes) -> tuple[bytes, str]:
    """One panel as wide as the figure, which is empty; and its view box, of the height that it takes."""
    figure.add_subplot(axis)
    axis.patch.set_visible(False)
    axis.set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03).execute(figure)
    box = axis.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    (width, height), point = figure.get_size_inches() * 72, 72 / figure.dpi
    top, bottom = (0.0, height) if box is None else (height - box.y1 * point - 2, height - box.y0 * point + 2)
    drawn = _drawn(figure)
    figure.delaxes(axis)
    return drawn, f"0 {top:.1f} {width:.1f} {bottom - top:.1f}"


def _signs(axis: Axes) -> dict[str, Any]:
    """What a panel shows that has a name, and how."""
    handles, labels = axis.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def _without(contents: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Less these of a legend's entries."""
    kept = [i for i, label in enumerate(contents["labels"]) if label not in names]
    return {**contents, **{key: [contents[key][i] for i in kept] for key in ("handles", "labels")}}


def _contents(legend: Legend, known: Mapping[str, Any]) -> dict[str, Any]:
    """What a legend shows and how; of what is not in a panel, its sign in the legend."""
    texts = [text.get_text() for text in legend.get_texts()]
    signs = [known.get(text, sign) for text, sign in zip(texts, legend.legend_handles, strict=True)]
    size = legend.get_texts()[0].get_fontsize() if texts else None
    return {"handles": signs, "labels": texts, "fontsize": size, "handlelength": legend.handlelength}


def _legend(figure: Figure, contents: dict[str, Any], prefix: str) -> Markup:
    """A legend in as many columns as a phone has place for, as wide as it is."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(len(contents["labels"]), 0, -1):
        legend = figure.legend(**contents, ncols=columns, loc="center", frameon=False, borderpad=0.1)
        extent = legend.get_window_extent(renderer)
        if extent.width / figure.dpi <= _PHONE or columns == 1:
            width, height = (side / figure.dpi for side in (extent.width, extent.height))
            figure.set_size_inches(width, height)
            label = f"Legend: {', '.join(contents['labels'])}".replace("$", "")
            box = f"0 0 {72 * width:.1f} {72 * height:.1f}"
            svg = _inlined(_drawn(figure), box, prefix, label, 72 * width * _POINT)
            legend.remove()
            return Markup('<div class="legend">{}</div>').format(svg)
        legend.remove()
    return Markup()


def _drawn(figure: Figure) -> bytes:
    svg, dpi = io.BytesIO(), figure.dpi
    figure.set_layout_engine("none")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "inline"}):
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # which leaves the figure with 72 dots per inch
    figure.set_dpi(dpi)
    return svg.getvalue()


def _inlined(svg: bytes, box: str, prefix: str, label: str, width: float | None = None) -> Markup:
    """What a view box has of Matplotlib's SVG as an element of HTML, named for those who do not see it."""
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}metadata" or child.find(f"{_SVG}style") is not None:
                parent.remove(child)
    text = ElementTree.tostring(root, encoding="unicode")
    used = dict.fromkeys(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    names = {name: f"{prefix}{i}" for i, name in enumerate(used)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = dict(_attributes(element, names))
        if element.tag == "text":
            _flow(element)
        if element.text is not None and not element.text.strip() and element.tag not in ("text", "tspan"):
            element.text = None
        element.tail = None
    root.attrib = {"viewBox": box, "class": "plot", "role": "img", "aria-label": label}
    if width is not None:
        root.attrib["style"] = f"width: {width:.0f}px"
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _attributes(element: ElementTree.Element, names: dict[str, str]) -> Iterable[tuple[str, str]]:
    """An element's attributes: ids by their new names or not at all, colours as the page has them, short numbers."""
    for key, value in element.attrib.items():
        if key == "id":
            if value in names:
                yield key, names[value]
        elif key == _HREF:
            yield "href", f"#{names[value[1:]]}" if value.startswith("#") else re.sub(r"\s", "", value)
        elif key == "style":
            kept = re.sub(r"\s*font-family: [^;]*;?", "", re.sub(r"font: ([^;]*?)([\d.]+px)[^;]*", _font, value))
            yield key, re.sub("#[0-9a-fA-F]{6}", lambda match: variable(match[0]), kept).strip("; ")
        elif not value.startswith("rotate(-0 "):
            value = re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{names[match[1]]})", value)
            yield key, value if "#" in value else re.sub(r"\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", value)


def _font(match: re.Match[str]) -> str:
    """A font in short, as Matplotlib before 3.10 has it, without its family."""
    weights = [f"font-weight: {word}; " for word in match[1].split() if word.isdigit()]
    styles = [f"font-style: {word}; " for word in match[1].split() if word in ("italic", "oblique")]
    return "".join([*styles, *weights, f"font-size: {match[2]}"])


def _flow(text: ElementTree.Element) -> None:
    """Math as runs of text in the page's own font, not as signs that stand where another font has them."""
    heights = {sign.attrib["y"] for sign in text}
    if len(heights) != 1 or " " in (height := heights.pop()):  # no math, or with an index
        return
    places = [(sign, sign.attrib["x"].split()) for sign in text]  # a sign each, or all of one style
    signs = sorted(
        (float(x), letter, of.attrib["style"]) for of, xs in places for x, letter in zip(xs, of.text or "", strict=True)
    )
    text.clear()
    text.attrib = {"x": f"{signs[-1][0] / 2 + 3:.1f}", "y": height, "style": "text-anchor: middle"}
    for style, run in itertools.groupby(signs, lambda sign: sign[2]):
        said = ElementTree.SubElement(text, "tspan", {"style": style})
        # Space is no sign
        said.text = "".join(f" {letter} " if letter in "=\N{MINUS SIGN}" else letter for _, letter, _ in run)
