"""The page holds every figure with its interval, and asks for nothing; what it says is text."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import count
from typing import Any

import pytest
from pydantic import BaseModel

from inwit.evaluation import rounding
from inwit.evaluation.report.page import render
from inwit.evaluation.report.verdict import verdict
from inwit.evaluation.results import Figure, Report, Shift
from inwit.evaluation.scorecard import scorecard
from tests.evaluation import planted
from tests.evaluation.planted import BAD, CONSCIENCE, GOOD, MIDDLING

# In the report, and not on the page: 1 less recall, a stricter threshold, and the closed recall.
NOT_SHOWN = {"false_negative_rate", "0.01", "recall_closed"}
HOSTILE = "<script src=http://x>alert(1)</script>\"'&$x^2$ -->\x00\x1b\u202e #010203 {{ 7*7 }}"
NAMES = {
    "judge",
    "dataset",
    "slice",
    "name",
    "origin",
    "licence",
    "model",
    "note",
    "fingerprint",
    "attack",
    "group",
    "found_against",
    "tried_on",
    "first",
    "second",
    "framing",
    "policy",
    "cue",
    "question",
    "suite",
    "command",
    "started",
    "policy_version",
    "policy_digest",
    "processor",
    "system",
    "python",
}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "a", "header", "nav", "main", "section"),
    *("h1", "h2", "h3", "p", "ol", "li", "div", "span", "pre", "code", "figure", "figcaption"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    *("svg", "defs", "g", "path", "use", "text", "tspan", "clippath", "rect"),
}
SECTIONS = [
    *("scorecard", "measured", "detection", "slices", "over-triggering", "calibration", "attacks"),
    *("framings", "correction", "watched", "seeds", "raters", "reproduce", "limits"),
]


class Read(HTMLParser):
    """What a browser would make of it, as far as a test needs it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@cache
def rendered(quality: planted.Quality) -> str:
    """The page of a whole report; it takes a second to draw."""
    return render(planted.report(quality))


def told_apart(value: Any, numbers: Iterator[int], key: str = "") -> Any:
    """The same with a value of its own for each figure that is shown."""
    plain: Any = value
    if isinstance(value, list):
        return [told_apart(each, numbers) for each in items(value)]
    if not isinstance(value, dict) or key in NOT_SHOWN:
        return plain
    known = fields(plain)
    if {"value", "low", "high"} <= known.keys():
        middle = next(numbers) / 1000
        return {**known, "value": middle, "low": middle - 0.002, "high": middle + 0.002}
    return {name: told_apart(each, numbers, name) for name, each in known.items()}


def items(value: Any) -> list[Any]:
    """A list of JSON."""
    return value


def fields(value: Any) -> dict[str, Any]:
    """An object of JSON."""
    return value


def figures(value: Any, key: str = "") -> list[str]:
    """All figures and differences within, as the page writes them."""
    if key in NOT_SHOWN:
        return []
    if isinstance(value, Figure):
        return [rounding.figure(value)]
    if isinstance(value, Shift):
        return [rounding.shift(value)]
    if isinstance(value, list):
        return [told for each in items(value) for told in figures(each)]
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        return [told for name, each in fields(value).items() for told in figures(each, name)]
    return []


def shown(report: Report) -> list[str]:
    """What must be on the page: of slices ranking and first flagging, of look-alikes less."""
    found = figures(report.model_copy(update={"detection": []}))
    for row in report.detection:
        flagging = next(iter(row.at.values()))
        if row.slice == "all":
            found += figures(row)
        elif row.slice.startswith("category"):
            found += figures([row.auroc, flagging.recall, flagging.false_positive_rate])
        else:
            found += figures([each.false_positive_rate for each in row.at.values()])
    return found


def test_every_figure_is_there_with_its_interval() -> None:
    report = Report.model_validate(
        told_apart(planted.small().model_dump(by_alias=True), count(100))
    )
    wanted = shown(report)

    text = Read(render(report)).text

    assert len(set(wanted)) == len(wanted) > 120
    assert [told for told in wanted if told not in text] == []


def test_figures_of_the_scorecard_and_its_rules_are_there() -> None:
    report = planted.report(BAD)
    text = Read(render(report)).text
    for question in report.scorecard:
        assert f"{question.question} {question.grade}" in text
        assert question.rule in text
        assert question.would_change in text
        assert all(f"{each.label} {each.value}" in text for each in question.evidence)


def hostile(value: Any, key: str = "") -> Any:
    """The same with something hostile in every name."""
    if isinstance(value, list):
        return [hostile(each, key) for each in items(value)]
    if isinstance(value, dict):
        spoilt = key in ("versions", "outcomes")
        return {
            (HOSTILE + name if spoilt else name): hostile(each, name)
            for name, each in fields(value).items()
        }
    if isinstance(value, str) and (key in NAMES or key == "limits"):
        return value + HOSTILE
    return value


def test_whatever_a_report_says_is_text() -> None:
    spoilt = Report.model_validate(hostile(planted.small().model_dump(by_alias=True)))
    page = Read(render(spoilt.model_copy(update={"scorecard": scorecard(spoilt)})))

    assert {tag for tag, _ in page.tags} <= TAGS
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    assert "{{ 7*7 }}" in page.text
    for name in ("own", CONSCIENCE, "standard", "base64", "examined"):
        assert f"{name}<script src=http://x>alert(1)</script>" in page.text
    assert_asks_for_nothing(page, render(spoilt))


def assert_asks_for_nothing(page: Read, source: str) -> None:
    for _, attributes in page.tags:
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    style = "".join(re.findall(r"<style>.*?</style>", source, re.DOTALL))
    assert "url(" not in style
    assert "@import" not in style
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    assert not page.having("script")
    assert not page.having("link")


@pytest.mark.parametrize("quality", [GOOD, MIDDLING, BAD])
def test_the_page_asks_for_nothing_from_anywhere(quality: planted.Quality) -> None:
    source = rendered(quality)

    assert_asks_for_nothing(Read(source), source)
    assert "default-src 'none'" in source


def test_the_page_can_be_read_without_seeing_it() -> None:
    page = Read(rendered(MIDDLING))

    assert len(page.having("h1")) == 1
    assert len(page.having("caption")) == len(page.having("table")) > 30
    assert all(each.get("scope") for each in page.having("th"))
    assert all(each["role"] == "img" and each["aria-label"] for each in page.having("svg"))
    assert len(page.having("svg")) == 4
    assert page.having("html") == [{"lang": "en"}]


def test_ids_are_unique_and_links_lead_to_them() -> None:
    page = Read(rendered(MIDDLING))
    ids = [str(each["id"]) for _, each in page.tags if "id" in each]
    drawn = [str(each["href"])[1:] for each in page.having("use")]

    assert [name for name, times in Counter(ids).items() if times > 1] == []
    assert {str(each["href"])[1:] for each in page.having("a")} == set(SECTIONS)
    assert set(drawn) | set(SECTIONS) <= set(ids)


def test_sections_come_in_the_order_in_which_a_sceptic_asks() -> None:
    page = Read(rendered(MIDDLING))

    assert [each["id"] for each in page.having("h2") if each["id"] != "contents"] == SECTIONS


def test_what_was_not_measured_is_said() -> None:
    lists = "detection calibration attacks worst_case transfer framings own_drafts correction"
    names = [*lists.split(), "watched", "raters", "datasets", "judges", "limits", "scorecard"]
    empty = planted.report(MIDDLING, graded=False).model_copy(update={name: [] for name in names})

    text = Read(render(empty)).text

    assert text.count("Not measured in this run.") == 10
    assert "It was not graded." in text
    assert "does not show whether hidden harms are detected" in text
    assert "The report names none." in text


def test_a_figure_that_is_not_defined_is_never_nought() -> None:
    report = planted.small()
    nothing = [
        each.model_copy(update={"auroc": None, "auprc": None, "over_seeds": None, "at": {}})
        for each in report.detection
    ]

    text = Read(render(report.model_copy(update={"detection": nothing}))).text

    assert "AUROC: not defined on any slice of own." in text
    assert text.count("not defined") > 20
    assert not re.search(r"\b(None|nan|inf)\b", text)


def test_missing_sets_are_named() -> None:
    report = planted.report(MIDDLING)
    gone = [
        each.model_copy(update={"used_unsafe": 0, "used_safe": 0, "digest": None})
        if each.name in ("xstest", "jade_zh")
        else each
        for each in report.datasets
    ]

    text = Read(render(report.model_copy(update={"datasets": gone}))).text

    assert "No copy was here of xstest and jade_zh" in text
    assert "of 2 sets there was no copy" in text


def test_a_judge_that_was_not_calibrated_is_said_to_be() -> None:
    report = planted.small()
    before = [each for each in report.calibration if each.stage == "before"]

    text = Read(render(report.model_copy(update={"calibration": before}))).text

    assert "It was not calibrated" in text


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        (GOOD, "This run is evidence that hidden harms are detected. 5 judges"),
        (BAD, "This run is no evidence that hidden harms are detected."),
        (MIDDLING, "some hidden harms are detected, and not others"),
    ],
)
def test_the_verdict_is_that_of_the_grades(quality: planted.Quality, words: str) -> None:
    told = verdict(planted.report(quality))

    assert words in told
    own = planted.figure(quality.auroc, quality.half)
    assert f"“{CONSCIENCE}” has an AUROC of {rounding.figure(own)}" in told
    assert "against “baseline, length”" in told


def test_the_same_report_makes_the_same_page() -> None:
    assert render(planted.report(MIDDLING)) == rendered(MIDDLING)
