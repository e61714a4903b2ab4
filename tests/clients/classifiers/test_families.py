"""What each family of guard models is sent, and what is made of its answers, well formed or not."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.clients.classifiers.families import (
    FAMILIES,
    Answer,
    Position,
    Question,
    Reading,
    gpt_oss_safeguard,
    granite_guardian_3,
    granite_guardian_3_3,
)
from inwit.types import Category, Exchange, Fault, Message, TokenScore
from tests.fakes_guard import ANSWERED, ASKED, spread, templated

GOLDEN = Path(__file__).parent / "golden"
MODES = {"answer": ANSWERED, "input": ASKED}
EVERY = [(name, mode) for name in FAMILIES for mode in MODES]

ANSWERS = json.loads((GOLDEN / "answers.json").read_text())
# Families that answer in the form of another.
FORMS = {name: name for name in ANSWERS["safe"]} | {
    "llama_guard_4": "llama_guard_3",
    "granite_guardian_4_1": "granite_guardian_3_3",
    "granite_guardian_4_1_each_harm": "granite_guardian_3_3",
}
MEGABYTES = (
    "safe " * 400_000,
    "[" * 2_000_000,
    "\n" * 2_000_000,
    "Yes" * 700_000,
    " " * 10**6 + "x",
)
QWEN = "Safety: {}\nCategories: {}\nRefusal: No"


def question(name: str, mode: str = "answer") -> Question:
    return FAMILIES[name].ask(MODES[mode])[0]


def read(name: str, text: str, mode: str = "answer") -> Reading | Fault:
    return FAMILIES[name].read(question(name, mode), Answer(text))


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_the_requests_are_as_written_down(name: str, mode: str) -> None:
    written = json.loads((GOLDEN / "requests" / f"{name}.{mode}.json").read_text())
    asked = FAMILIES[name].ask(MODES[mode])

    assert [{"path": q.path, "label": q.label, "body": dict(q.body)} for q in asked] == written


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["llama_guard_3", "granite_guardian_3", "qwen3guard"])
def test_the_chat_template_makes_the_models_own_prompt_of_the_messages(
    name: str, mode: str
) -> None:
    prompt = (GOLDEN / "rendered" / f"{name}.{mode}.txt").read_text()
    start, end = {
        "llama_guard_3": ("<BEGIN CONVERSATION>\n\n", "<END CONVERSATION>"),
        "granite_guardian_3": ("<start_of_turn>\n", "\n<end_of_turn>"),
        "qwen3guard": ("<BEGIN CONVERSATION>\n\n", "\n\n<END CONVERSATION>"),
    }[name]
    shown = prompt.split(start)[1].split(end)[0]

    assert templated(name, question(name, mode).body["messages"]) == shown


def test_every_family_has_a_form() -> None:
    assert FORMS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_safe_answer(name: str) -> None:
    for text in ANSWERS["safe"][FORMS[name]]:
        assert read(name, text) == Reading(0.0), text


@pytest.mark.parametrize("name", ANSWERS["harmful"])
def test_a_harmful_answer_with_its_labels(name: str) -> None:
    for text, labels, categories in ANSWERS["harmful"][name]:
        found = tuple(map(Category, categories))
        assert read(name, text) == Reading(1.0, None, tuple(labels), found), text


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_ill_formed_is_never_read(name: str) -> None:
    for text in [*ANSWERS["ill_formed"], *MEGABYTES]:
        assert read(name, text) is Fault.MALFORMED_ANSWER, text[:80]


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"shieldgemma"}))
def test_an_answer_that_was_cut_is_not_read(name: str) -> None:
    for text in ANSWERS["safe"][FORMS[name]]:
        cut = Answer(text, finished=False)
        assert FAMILIES[name].read(question(name), cut) is Fault.MALFORMED_ANSWER


@pytest.mark.parametrize("name", FAMILIES)
@given(
    text=st.text() | st.sampled_from([text for form in ANSWERS["safe"].values() for text in form])
)
def test_no_text_is_a_pass_but_the_safe_forms(name: str, text: str) -> None:
    reading = read(name, text)

    if isinstance(reading, Reading) and reading.risk < 0.5:
        safe = {"".join(form.split()) for form in ANSWERS["safe"][FORMS[name]]}
        assert "".join(text.split()) in safe


def test_wildguard_judges_the_request_where_there_is_no_answer() -> None:
    asked = "Harmful request: {}\nResponse refusal: n/a\nHarmful response: n/a"

    assert read("wildguard", asked.format("no"), "input") == Reading(0.0)
    assert read("wildguard", asked.format("yes"), "input") == Reading(
        1.0, None, ("Harmful request",)
    )
    assert read("wildguard", asked.format("n/a"), "input") is Fault.MALFORMED_ANSWER


def test_qwen3guard_says_nothing_of_refusal_where_there_is_no_answer() -> None:
    assert read("qwen3guard", "Safety: Safe\nCategories: None", "input") == Reading(0.0)
    assert read("qwen3guard", QWEN.format("Safe", "None"), "input") is Fault.MALFORMED_ANSWER


def test_controversial_is_half_a_risk() -> None:
    reading = read("qwen3guard", QWEN.format("Controversial", "Violent"))

    assert reading == Reading(0.5, None, ("Violent",), (Category.VIOLENT_CRIMES,))


def test_a_guideline_or_criterion_that_was_asked_about_names_what_was_found() -> None:
    family = FAMILIES["shieldgemma"]
    found = [family.read(each, Answer("Yes")) for each in family.ask(ANSWERED)]
    assert [each.categories for each in found if isinstance(each, Reading)] == [
        (), (), (Category.HATE,), (Category.SEXUAL_CONTENT,),
    ]  # fmt: skip

    family = FAMILIES["granite_guardian_4_1_each_harm"]
    found = [family.read(each, Answer("<score>yes</score>")) for each in family.ask(ANSWERED)]
    assert [each.categories for each in found if isinstance(each, Reading)] == [
        (Category.HATE,), (Category.WEAPONS,),
    ]  # fmt: skip


def test_granite_is_asked_once_for_each_criterion_that_is_set() -> None:
    for family in (granite_guardian_3, granite_guardian_3_3):
        asked = family(("harm", "violence")).ask(ANSWERED)
        assert [each.label for each in asked] == ["harm", "violence"]
        for wrong in ((), ("weather",)):
            with pytest.raises(ValueError, match="criteria must be some of: harm, "):
                family(wrong)


def test_the_effort_of_reasoning_is_set_in_the_request_and_in_the_policy() -> None:
    (asked,) = gpt_oss_safeguard("high").ask(ANSWERED)

    assert asked.body["reasoning_effort"] == "high"
    assert "Reasoning: high" in asked.body["messages"][0]["content"]


def test_without_harms_safeguard_is_asked_about_any_harm() -> None:
    (asked,) = FAMILIES["gpt_oss_safeguard"].ask(replace(ANSWERED, harms=()))

    assert "- harm: Harms a person" in asked.body["messages"][0]["content"]


def weighed(text: str, *positions: Position, name: str = "granite_guardian_3") -> Reading | Fault:
    return FAMILIES[name].read(question(name), Answer(text, positions=positions))


def test_log_probabilities_make_the_risk() -> None:
    verdict = {" Unsafe": 0.6, " Contro": 0.2, " Safe": 0.1, "Safe": 0.05, " I": 0.05}
    before = (spread("Safety"), spread(":"))
    text = QWEN.format("Unsafe", "PII")

    reading = weighed(text, *before, spread(" Unsafe", verdict), name="qwen3guard")

    assert isinstance(reading, Reading)
    assert reading.risk == pytest.approx((0.6 + 0.2 / 2) / 0.95)
    assert reading.label_mass == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("text", "positions", "risk"),
    [
        ("No", (spread("No", {"No": 0.6, " no": 0.2, "Yes": 0.1, "yes": 0.1}),), 0.2),
        ("No", (spread("\u2581No", {"\u2581No": 0.6, "\u0120Yes": 0.2}),), 0.25),
        ("No", (spread("\u010a"), spread("No", {"No": 0.75, "Yes": 0.25})), 0.25),
        ("No", (spread("<|start|>"), spread("No", {"No": 0.75, "Yes": 0.25})), 0.25),
        # The first half of a word is the word, where no other begins so.
        ("Yes", (spread("Ye", {"Ye": 0.75, "No": 0.25}), spread("s")), 0.75),
        # What the server left out of the likeliest, though it wrote it.
        ("No", (replace(spread("No", {"Yes": 0.4}), logprob=math.log(0.6)),), 0.4),
        # The words decide where the server tells nothing else.
        ("No", (replace(spread("No"), top=()),), 0.0),
        # The stricter of the two counts.
        ("No", (spread("No", {"No": 0.4, "Yes": 0.35, " yes": 0.25}),), 0.6),
    ],
)
def test_every_spelling_in_the_place_of_the_verdict_counts(
    text: str, positions: tuple[Position, ...], risk: float
) -> None:
    reading = weighed(text, *positions)

    assert isinstance(reading, Reading)
    assert reading.risk == pytest.approx(risk)


def test_a_token_may_hold_more_than_the_verdict() -> None:
    verdict = {">no": 0.75, ">yes": 0.2, "no": 0.05}
    positions = (spread("<score"), spread(">no", verdict), spread("</score>"))

    reading = weighed("<score>no</score>", *positions, name="granite_guardian_3_3")

    assert isinstance(reading, Reading)
    assert reading.risk == pytest.approx(0.2 / 0.95)


@pytest.mark.parametrize(
    ("text", "positions", "fault"),
    [
        ("No", (), Fault.MALFORMED),
        ("No", (spread("Yes"),), Fault.MALFORMED),
        ("No", (spread("Well"), spread("No")), Fault.MALFORMED),
        ("No", (spread("No", {"No": 0.9, "Yes": 0.9}),), Fault.MALFORMED),
        ("No", (spread("No", {"No": 1.5}),), Fault.MALFORMED),
        ("No", (replace(spread("No"), top=(TokenScore("No", math.nan),)),), Fault.MALFORMED),
        ("No", (spread("No", {"No": 0.3, "The": 0.6}),), Fault.LOW_LABEL_MASS),
        # A word that its own log-probabilities deny.
        ("Yes", (spread("Yes", {"Yes": 0.01, "No": 0.98}),), Fault.MALFORMED),
    ],
)
def test_log_probabilities_that_cannot_be_read_are_no_pass(
    text: str, positions: tuple[Position, ...], fault: Fault
) -> None:
    assert weighed(text, *positions) is fault


# What sets apart the parts of each family's prompt, as a reader of lines finds it.
STRUCTURE = {
    "llama_guard_3": ("User:", "Agent:", "<END CONVERSATION>", "Provide your safety assessment"),
    "qwen3guard": ("USER:", "ASSISTANT:", "<END CONVERSATION>", "Safety:", "</think>"),
    "granite_guardian_3": ("<end_of_turn>", "Assistant Message:", "<start_of_risk_definition>"),
    "granite_guardian_4_1": ("<guardian>", "### Criteria:", "### Scoring Schema:", "<score>"),
    "shieldgemma": ("<start_of_turn>", "<end_of_turn>", "Chatbot Response:", "==="),
    "wildguard": ("[/INST]", "AI assistant:", "Human user:", "Answers:", "Harmful response:"),
}
BLANKS = ("\n", "\r", "\u2028", " ", "\t", "x", "")


def parts(name: str, text: str) -> list[int]:
    """How often each mark of the structure stands in the prompt, with `text` from both sides."""
    talk = (Message("user", text), Message("assistant", text), Message("user", text))
    body = FAMILIES[name].ask(Exchange(talk, text, "c0ffee", "acme"))[0].body
    prompt = body.get("prompt") or templated(name, body["messages"])
    return [len(re.findall(mark_of(mark), prompt)) for mark in STRUCTURE[name]]


def mark_of(mark: str) -> str:
    loosely = r"\s+".join(map(re.escape, mark.split(" ")))
    return rf"(?i){loosely}" if mark[0] in "<[" else rf"(?i)(?:\A|[\n\r\u2028])\s*{loosely}"


@pytest.mark.parametrize("name", STRUCTURE)
@given(data=st.data())
def test_no_text_can_add_a_part_to_the_prompt(name: str, data: st.DataObject) -> None:
    pieces = st.sampled_from([*STRUCTURE[name], *map(str.lower, STRUCTURE[name]), *BLANKS])
    text = "".join(data.draw(st.lists(pieces, min_size=1, max_size=12)))

    assert parts(name, "x" + text) == parts(name, "x"), text


def test_text_without_such_marks_is_shown_as_it_is() -> None:
    text = "A user: said <this>.\n\n# Title\n> quoted\n```\ncode ==\n```\nThe answer is 1 < 2."
    for family in FAMILIES.values():
        body = family.ask(Exchange((Message("user", "x"),), text, "c0ffee", "acme"))[0].body
        shown = body.get("prompt") or "\n".join(each["content"] for each in body["messages"])
        assert text in shown or json.dumps(text, ensure_ascii=False) in shown, family.name


def conversation(*turns: tuple[str, str]) -> Exchange:
    said = tuple(Message(role, text) for role, text in turns)  # pyright: ignore[reportArgumentType] # roles as plain text
    return Exchange(said, "Fine.", "c0ffee", "acme")


@pytest.mark.parametrize(
    ("exchange", "roles"),
    [
        (conversation(("user", "a")), "ua"),
        (conversation(("system", "s"), ("user", "a"), ("user", "b")), "ua"),
        (conversation(("assistant", "a"), ("user", "b")), "uaua"),
        (conversation(("user", "a"), ("assistant", ""), ("tool", "t")), "uaua"),
        (conversation(("user", "a"), ("assistant", "begun")), "ua"),
        (conversation(("system", "s")), "ua"),
        (conversation(), "ua"),
        (replace(conversation(("user", "a"), ("assistant", "b")), answer=None), "u"),
        (replace(conversation(), answer=None), "u"),
    ],
)
def test_user_and_assistant_speak_in_turn_whatever_was_said(exchange: Exchange, roles: str) -> None:
    (asked,) = FAMILIES["llama_guard_3"].ask(exchange)

    assert "".join(each["role"][0] for each in asked.body["messages"]) == roles


def test_nothing_that_a_user_side_said_is_left_out() -> None:
    calls = ({"id": "1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},)
    said = (Message("user", "a"), Message("assistant", "", tool_calls=calls), Message("tool", "t"))
    (asked,) = FAMILIES["llama_guard_3"].ask(Exchange(said, "Fine.", "c0ffee", "acme"))

    assert '"lookup"' in asked.body["messages"][1]["content"]
    assert asked.body["messages"][2]["content"] == "t"
