"""The JSON Schema for editors, and docs/policies.md, say what the compiler takes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inwit.decisions import AskReason
from inwit.policy import loader
from inwit.policy.loader import PACKAGED, json_schema
from tests.policy.sources import CLASSIFIER, LEAST, compiled, plain_data, problems, with_changes
from tests.policy.test_messages import GOLDEN, with_another_value

COMMITTED = Path(loader.__file__).with_name("policy.schema.json")
PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
SCHEMA: dict[str, Any] = json.loads(json_schema())
CHECKER = jsonschema_rs.validator_for(SCHEMA)
FILES = sorted(PACKAGED.glob("*.yaml"))


def test_the_committed_schema_is_the_rendered_one() -> None:
    assert COMMITTED.read_text() == json_schema(), "run `make docs`"


def test_it_is_a_json_schema() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_packaged_policies_fit_it(file: Path) -> None:
    CHECKER.validate(plain_data(file.read_text()))


@pytest.mark.parametrize(
    "changes",
    [
        {"name: mine": "name: mine\non_dout: block"},
        {"lower: 0.4": "lower: 0.4\n  middle: 0.5"},
        {"  hate:": "  hat:"},
        {"{ severity: critical }": "{ severity: critical, owner: me }"},
        {'version: "1"': "version: 1"},
        {"upper: 0.7": "upper: 1.7"},
        {"upper: 0.7": "upper: '0.7'"},
        {"upper: 0.7": "upper: yes"},
        {"framing: quoted": "framing: loud"},
        {"  framing: quoted\n": ""},
        {"fallback_text:": "tools: { delete file: }\nfallback_text:"},
        {"fallback_text: I cannot answer that.": "fallback_text: { english: No. }"},
        {"fallback_text:": "input: { on_flag: block, patterns: { A: a } }\nfallback_text:"},
        {"fallback_text:": "on_harm: allow\nfallback_text:"},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_an_editor_sees_what_the_compiler_refuses(tmp_path: Path, changes: dict[str, str]) -> None:
    text = with_changes(LEAST, changes)

    assert CHECKER.is_valid(plain_data(LEAST))
    assert problems(tmp_path, text)
    assert not CHECKER.is_valid(plain_data(text))


def test_an_editor_does_not_offer_the_slice_as_a_reason_to_ask(tmp_path: Path) -> None:
    for reason in AskReason:
        text = f"{LEAST}{CLASSIFIER}  ask: [{reason.value}]\n"
        assert CHECKER.is_valid(plain_data(text)) == (reason is not AskReason.SAMPLE)
        assert bool(problems(tmp_path, text)) == (reason is AskReason.SAMPLE)


@given(with_another_value() | st.sampled_from([file.read_text() for file in FILES]))
@settings(max_examples=80, deadline=None)
def test_what_compiles_fits_the_schema(scratch: Path, text: str) -> None:
    if not problems(scratch, text):
        CHECKER.validate(plain_data(text))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all within it."""
    within: Any = schema
    if isinstance(schema, dict):
        found = cast("dict[str, Any]", schema)
        yield found
        within = found.values()
    for below in within:
        if isinstance(below, dict | list):
            yield from parts(below)


def test_every_key_has_a_description_for_editors() -> None:
    for part in parts(SCHEMA):
        for key, below in part.get("properties", {}).items():
            described = below.get("description") or SCHEMA["$defs"].get(
                below.get("$ref", "").rpartition("/")[2], {}
            ).get("description")
            assert described, key


def test_the_page_names_every_key_and_every_value() -> None:
    page = PAGE.read_text()
    words = {key for part in parts(SCHEMA) for key in part.get("properties", {})}
    names = set(SCHEMA["$defs"]["Category"]["enum"])  # the page on the taxonomy has these
    words |= {word for part in parts(SCHEMA) for word in part.get("enum", [])} - names
    quoted = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`\n]+)`", page))))

    assert words - quoted == set()


def test_the_policies_on_the_page_compile(tmp_path: Path) -> None:
    written = re.findall(r"```yaml\n(name: .*?)```", PAGE.read_text(), re.DOTALL)

    assert written
    for text in written:
        assert problems(tmp_path, text) == ()


def test_the_pieces_on_the_page_compile_together(tmp_path: Path) -> None:
    """Each yaml block that is not a whole policy goes with the first whole one."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (whole, *_), pieces = blocks, [each for each in blocks if not each.startswith("name:")]
    assert pieces

    for piece in pieces:
        keys = set(re.findall(r"^([a-z_]+):", piece, re.MULTILINE))
        kept = re.split(r"^(?=[a-z_]+:)", whole, flags=re.MULTILINE)
        others = [part for part in kept if part.partition(":")[0] not in keys]
        assert problems(tmp_path, "".join([*others, piece])) == (), piece


def test_every_message_on_the_page_is_one_that_the_compiler_gives(tmp_path: Path) -> None:
    said = re.findall(r"^mine\.yaml:(\d+:\d+: .*)$", PAGE.read_text(), re.MULTILINE)
    known = {
        line.partition(":")[2].partition(" ")[2]
        for file in GOLDEN.glob("*.txt")
        for line in file.read_text().splitlines()
    }

    assert said
    for line in said:
        assert line.partition(" ")[2] in known, line
    assert compiled(tmp_path, LEAST).name == "mine"
