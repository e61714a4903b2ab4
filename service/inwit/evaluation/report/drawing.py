"""From a matplotlib figure to SVG within the page: its colours, no ids that clash, nothing to load.

Figures are drawn in stand-in colours; here each becomes a variable of the page's style sheet, so
that a drawing is light or dark as the page is. Text stays text.
"""

import io
import re
import warnings
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

TEXT, SOFT, EDGE = "#010203", "#020304", "#030405"
CONSCIENCE, CLASSIFIER, PIPELINE, BASELINE = "#040506", "#050607", "#060708", "#070809"

_VARIABLES = {
    TEXT: "--text",
    SOFT: "--soft",
    EDGE: "--edge",
    CONSCIENCE: "--conscience",
    CLASSIFIER: "--classifier",
    PIPELINE: "--pipeline",
    BASELINE: "--baseline",
}
BY_KIND = {
    "conscience": CONSCIENCE,
    "classifier": CLASSIFIER,
    "pipeline": PIPELINE,
    "gateway": PIPELINE,
    "baseline": BASELINE,
}
_MATPLOTLIB: Any = matplotlib  # some of its types are not told in full
_LONGEST = 34  # characters of a name in a drawing


def canvas(width: float, height: float) -> Any:
    """An empty figure, in inches. Matplotlib's types are not told apart further."""
    return Figure(figsize=(width, height), layout="constrained")


def legible(name: str) -> str:
    """A name for a drawing: without control characters, and not too long."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def dress(axes: Any) -> None:
    """The same look for all axes."""
    for spine in axes.spines.values():
        spine.set_color(EDGE)
    axes.tick_params(colors=SOFT, labelcolor=TEXT, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(SOFT)
        label.set_fontsize(8)


def as_svg(figure: Any, name: str, alt: str) -> Markup:
    """An `svg` element for the page. `name` is one of our own words and no other drawing's."""
    out = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": name}
    with _MATPLOTLIB.rc_context(settings), warnings.catch_warnings():
        # The reader's browser has more letters than the font that measures here.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_within_page(out.getvalue(), alt))  # noqa: S704  # text was escaped by the writer


def _within_page(svg: str, alt: str) -> str:
    whole = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', whole)
    inner = whole[whole.index(">") + 1 :]
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<style\b.*?</style>", "", inner, flags=re.DOTALL)
    inner = re.sub(r'<g id="[^"]*"', "<g", inner).replace("xlink:href=", "href=")
    inner = re.sub(
        r"((?:fill|stroke): )(#0[0-9]{5})\b",
        lambda found: f"{found[1]}var({_VARIABLES.get(found[2], '--text')})",
        inner,
    )
    # In points; a page has pixels.
    shape = f'{box[0]} width="{float(box[1]) * 4 / 3:.0f}"' if box else ""
    return f'<svg class="drawing" {shape} role="img" aria-label="{escape(alt)}">{inner}'
