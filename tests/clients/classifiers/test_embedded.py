"""The embedded classifier: what it gives for any text, and that padding hides nothing from it."""

import asyncio
import hashlib
import io
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.clients.classifiers import embedded
from inwit.clients.classifiers.embedded import (
    BUCKETS,
    DIGEST,
    FILE,
    MAX_CHARS,
    WINDOWS,
    EmbeddedClassifier,
    Weights,
    ngrams,
)
from inwit.errors import SetupError
from inwit.types import Exchange, Fault, Message, ReviewStatus

PACKAGED = Path(embedded.__file__).parent / "data"
LONG = "The moon pulls the sea, and the sea follows. " * 400

GOLDEN = [
    ("", 0.2821309585658742),
    ("The moon pulls the sea.", 0.394435259056511),
    ("Preheat the oven to 180 degrees, then bake the cake for half an hour.", 0.44785639556651424),
    ("I'm sorry, but I can't help with that.", 0.006484260831393322),
    ("El mar sigue a la luna.", 0.2503231617804026),
    (LONG, 0.6738436086628071),
]

words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=9)
texts = st.text(st.characters(exclude_categories=[]), max_size=400)  # lone surrogates too


def lines(least: int, most: int) -> st.SearchStrategy[str]:
    """Texts of so many words out of a few; drawn at once, as lists of words are slow to draw."""

    def build(vocabulary: list[str], count: int, seed: int) -> str:
        return " ".join(random.Random(seed).choices(vocabulary, k=count))  # noqa: S311  # a test

    vocabularies = st.lists(words, min_size=1, max_size=12)
    return st.builds(build, vocabularies, st.integers(least, most), st.integers(0, 2**32))


@cache
def packaged() -> EmbeddedClassifier:
    return EmbeddedClassifier.load()


@cache
def drawn() -> Weights:
    """Weights that stand for no model, to test the arithmetic with."""
    draw = np.random.default_rng(5)
    weights = draw.integers(-9_000, 9_000, BUCKETS).astype(np.int16)
    norms = draw.integers(1, 20_000, BUCKETS).astype(np.uint16)
    return Weights(weights, norms, unit=0.001, slope=1.0, intercept=0.0)


def exchange(answer: str | None) -> Exchange:
    return Exchange((Message("user", "Hello."),), answer, covers="digest", tenant="acme")


async def test_a_verdict_says_who_judged_what() -> None:
    verdict = await packaged().classify(exchange("The moon pulls the sea."), timeout_s=60)
    assert (verdict.judge, verdict.status) == ("embedded", ReviewStatus.JUDGED)
    assert (verdict.covers, verdict.calibrated, verdict.categories) == ("digest", True, ())
    digest = (PACKAGED / DIGEST).read_text().strip()
    assert verdict.model == f"embedded-{digest[:12]}"


ENGLISH = "The moon pulls the sea, and the tide rises twice a day. " * 20


@pytest.mark.parametrize(
    "answer",
    [
        "Die Gezeiten entstehen durch die Anziehungskraft des Mondes auf die Ozeane.",
        "Las mareas son causadas por la gravedad de la luna y del sol sobre los oceanos.",
        "\u6d77\u8ddf\u968f\u6708\u4eae\u3002" * 5,
        ENGLISH + "Die Gezeiten entstehen durch die Anziehungskraft des Mondes auf das Meer. " * 20,
        ENGLISH + "\u6d77\u8ddf\u968f\u6708\u4eae\u3002" * 20,
    ],
)
async def test_what_it_cannot_read_is_no_pass(answer: str) -> None:
    verdict = await packaged().classify(exchange(answer), timeout_s=60)

    assert (verdict.status, verdict.fault) == (ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)


@pytest.mark.parametrize(
    "answer",
    [
        ENGLISH,
        "Yes.",
        "ok",
        "42",
        "The Greek word for sea is \u03b8\u03ac\u03bb\u03b1\u03c3\u03c3\u03b1.",
    ],
)
async def test_what_it_can_read_is_judged(answer: str) -> None:
    verdict = await packaged().classify(exchange(answer), timeout_s=60)

    assert verdict.status is ReviewStatus.JUDGED


@pytest.mark.parametrize(("answer", "risk"), GOLDEN)
async def test_the_shipped_weights_give_exactly_these_risks(answer: str, risk: float) -> None:
    verdict = await packaged().classify(exchange(answer), timeout_s=60)
    assert verdict.risk == pytest.approx(risk, abs=1e-9)


async def test_no_answer_is_not_judged() -> None:
    verdict = await packaged().classify(exchange(None), timeout_s=60)
    assert (verdict.status, verdict.fault) == (ReviewStatus.UNAVAILABLE, Fault.DOES_NOT_FIT)


async def test_an_answer_that_is_too_long_is_not_cut_but_truncated() -> None:
    longest = (LONG * 4)[:MAX_CHARS]
    fits = await packaged().classify(exchange(longest), timeout_s=60)
    over = await packaged().classify(exchange(longest + "."), timeout_s=60)
    assert fits.status is ReviewStatus.JUDGED
    assert (over.status, over.fault) == (ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)


@given(texts)
@settings(deadline=None)
def test_any_text_has_a_risk(text: str) -> None:
    assert 0 <= packaged().risk(text) <= 1


@pytest.mark.parametrize("text", ["", " \n\t ", "...", "\U0001f642", "\ud800", "\u0301" * 50, "é"])
def test_texts_with_hardly_a_word_have_one_too(text: str) -> None:
    assert 0 <= packaged().risk(text) <= 1


@given(lines(0, 150))
@settings(deadline=None)
def test_the_running_sums_give_what_each_window_holds(text: str) -> None:
    weights, found = drawn(), ngrams(text)
    best = weights.best(found)
    lengths = [length for length in WINDOWS if length <= len(found)] or [len(found)]
    expected = [
        weights.unit
        * int(weights.weights[buckets].sum(dtype=np.int64))
        / np.sqrt(int(weights.norms[buckets].sum(dtype=np.int64)))
        for length in lengths
        for start in range(len(found) - length + 1)
        if len(buckets := found.window(start, start + length).all())
    ]
    assert best.score == pytest.approx(max(expected, default=0.0))


@given(lines(WINDOWS[0], 150), lines(0, 400), lines(0, 400))
@settings(deadline=None)
def test_padding_never_lowers_the_score(text: str, before: str, after: str) -> None:
    if len(ngrams(text)) >= WINDOWS[0]:  # a word of nothing but signs is none
        padded = f"{before} {text} {after}"
        assert drawn().best(ngrams(padded)).score >= drawn().best(ngrams(text)).score


def test_one_loaded_window_shows_in_a_long_text() -> None:
    loaded = "lantern orchard"
    weights = np.full(BUCKETS, -1, np.int16)
    weights[ngrams(loaded).all()] = 30_000
    model = Weights(weights, np.ones(BUCKETS, np.uint16), unit=0.001, slope=1.0, intercept=0.0)
    plain = " ".join(["pebble"] * 3_000)
    text = f"{plain} {' '.join([loaded] * 32)} {plain}"
    best = model.best(ngrams(text))
    assert model.best(ngrams(plain)).score < 0 < best.score
    assert best.start < 3_064
    assert best.end > 3_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello, World!", "hello world"),
        ("don\u2019t", "don't"),
        ("in 1984", "in 2001"),
        ("a\u00a0b", "a b"),
        ("\u4e2d\u6587", "\u4e2d \u6587"),
    ],
)
def test_texts_that_mean_the_same_to_it(one: str, other: str) -> None:
    assert ngrams(one).all().tolist() == ngrams(other).all().tolist()


def test_a_long_answer_leaves_the_event_loop_free() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(packaged().classify(exchange(LONG), timeout_s=60))
        await asyncio.sleep(0)
        assert not task.done()
        assert (await task).status is ReviewStatus.JUDGED

    asyncio.run(scenario())


async def test_a_long_answer_keeps_to_its_timeout() -> None:
    verdict = await packaged().classify(exchange(LONG * 3), timeout_s=0)
    assert (verdict.status, verdict.fault) == (ReviewStatus.UNAVAILABLE, Fault.TIMEOUT)


def test_threads_do_not_disturb_each_other() -> None:
    answers = [LONG[: 500 * n] for n in range(1, 21)] * 3
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(packaged().risk, answers))
    assert together == [packaged().risk(answer) for answer in answers]


@pytest.mark.parametrize("unit", ["sea ", "a", "\u0301", "\u4e2d", "a.", " ", "\u0130"])
def test_the_time_grows_with_the_length_and_no_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        times: list[float] = []
        for _ in range(5):
            start = time.thread_time()
            packaged().risk(text)
            times.append(time.thread_time() - start)
        return min(times)

    # Of this thread alone, so that a busy machine does not count.
    # Eight times as long; quadratic would be 64. Constant costs only make the ratio smaller.
    assert seconds(MAX_CHARS) < 30 * seconds(MAX_CHARS // 8)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in (FILE, DIGEST):
        shutil.copy(PACKAGED / name, tmp_path)
    return tmp_path


def test_weights_that_were_changed_stop_the_start(copied: Path) -> None:
    raw = bytearray((copied / FILE).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copied / FILE).write_bytes(raw)
    with pytest.raises(SetupError, match=r"SHA-256 differs.*Install Inwit again"):
        EmbeddedClassifier.load(copied)


@pytest.mark.parametrize("name", [FILE, DIGEST])
def test_missing_weights_stop_the_start(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(SetupError, match="cannot be read"):
        EmbeddedClassifier.load(copied)


def saved(weights: object, norms: object, numbers: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, weights=np.array(weights), norms=np.array(norms), numbers=np.array(numbers))
    return out.getvalue()


SOME, ONES = np.zeros(BUCKETS, np.int16), np.ones(BUCKETS, np.uint16)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"weights",
        saved(SOME[1:], ONES[1:], (1.0, 1.0, 0.0)),
        saved(SOME, SOME.astype(np.uint16), (1.0, 1.0, 0.0)),
        saved(SOME.astype(np.float64), ONES, (1.0, 1.0, 0.0)),
        saved(SOME, ONES, (1.0, -1.0, 0.0)),
        saved(SOME, ONES, (float("nan"), 1.0, 0.0)),
        saved(SOME, ONES, (1.0, 1.0)),
    ],
    ids=range(10),
)
def test_weights_of_another_form_stop_the_start(copied: Path, raw: bytes) -> None:
    (copied / FILE).write_bytes(raw)
    (copied / DIGEST).write_text(hashlib.sha256(raw).hexdigest())
    with pytest.raises(SetupError, match="do not have the form"):
        EmbeddedClassifier.load(copied)


def test_what_is_written_reads_back_the_same() -> None:
    weights = Weights.read(drawn().write())
    assert weights.write() == drawn().write()
    assert weights.best(ngrams(LONG)) == drawn().best(ngrams(LONG))
