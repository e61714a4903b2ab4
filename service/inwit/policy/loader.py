"""Compiles policy files. Every error has file, line, column, what is wrong, and the remedy."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from inwit.errors import PolicyError, PolicyProblem
from inwit.policy.policy import (
    CategoryRule,
    ClassifierRule,
    InputRule,
    JudgeThresholds,
    Policy,
    RedactRule,
    RetrievalRule,
    ReviewSpec,
    RewriteRule,
    Thresholds,
    ToolReview,
    ToolRule,
)
from inwit.policy.positions import Place, Source, YamlProblem
from inwit.policy.schema import (
    ALWAYS_ASKED,
    ConscienceThresholds,
    PolicyFile,
    ThresholdsIn,
    ToolIn,
    linear,
    validator,
)
from inwit.policy.taxonomy import TAXONOMY, question_words
from inwit.types import Action, Category, Harm, PolicyRef

PACKAGED = Path(__file__).parent / "packaged"

_UNCALIBRATED = 0.8  # of the calibrated thresholds, where a policy does not say otherwise


def load_policies(folder: Path) -> dict[str, Policy]:
    """Compile every `*.yaml` and `*.yml` of a folder, by name.

    Raises:
        PolicyError: with every problem of every file: one does not compile, two have one name,
            a shadow is not there, or there is no policy at all.
    """
    policies: dict[str, Policy] = {}
    files: dict[str, Path] = {}
    problems: list[PolicyProblem] = []
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            policy = load_policy(file)
        except PolicyError as error:
            problems += error.problems
            continue
        if policy.name in policies:
            place = _source(file).place(("name",))
            wrong = f"the name {policy.name!r} is taken by {files[policy.name].name}."
            problems.append(_problem(file, place, wrong, "Give each policy a name of its own."))
        policies.setdefault(policy.name, policy)
        files.setdefault(policy.name, file)
    if not policies and not problems:
        wrong, remedy = "no policy here.", "Put at least one *.yaml file there."
        problems.append(_problem(folder, Place(1, 1), wrong, remedy))
    if not problems:
        problems += _missing_shadows(policies, files)
    if problems:
        raise PolicyError(tuple(problems))
    return policies


def load_policy(file: Path) -> Policy:
    """Compile one file.

    Raises:
        PolicyError: with every problem of the file.
    """
    source = _source(file)
    try:
        parsed = PolicyFile.model_validate(source.data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise PolicyError(tuple(_mapped(file, source, each) for each in found)) from error
    lacking = parsed.needs_classifier()
    if lacking is not None:
        wrong = f"{lacking} needs an independent judge, and there is no `classifier`."
        remedy = "Add `classifier` with `use: [embedded]` and `thresholds`."
        raise PolicyError((_problem(file, Place(1, 1), wrong, remedy),))
    return _compile(parsed, source.raw)


def json_schema() -> str:
    """The JSON Schema of a policy file, for editors, as indented JSON."""
    schema = PolicyFile.model_json_schema()
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Inwit policy"}
    return json.dumps({**schema, **head}, indent=2) + "\n"


class _FileSource(Source):
    """The parsed text of a file, with its exact bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw.decode())
        self.raw = raw


def _source(file: Path) -> _FileSource:
    try:
        return _FileSource(file.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "not UTF-8"
        problem = _problem(file, Place(1, 1), f"{words}.", "The file must be readable UTF-8.")
        raise PolicyError((problem,)) from error
    except YamlProblem as error:
        raise PolicyError(
            (_problem(file, error.place, f"{error.wrong}.", error.remedy),)
        ) from error


def _problem(file: Path, place: Place, wrong: str, remedy: str) -> PolicyProblem:
    return PolicyProblem(file, place.line, place.column, wrong, remedy)


def _missing_shadows(policies: dict[str, Policy], files: dict[str, Path]) -> list[PolicyProblem]:
    problems: list[PolicyProblem] = []
    for name, policy in policies.items():
        if policy.shadow is None or (policy.shadow in policies and policy.shadow != name):
            continue
        place = _source(files[name]).place(("shadow",))
        wrong = f"`shadow`: there is no other policy {policy.shadow!r}."
        remedy = f"There are: {', '.join(sorted(policies))}."
        problems.append(_problem(files[name], place, wrong, remedy))
    return problems


def _mapped(file: Path, source: Source, error: ErrorDetails) -> PolicyProblem:
    """One of pydantic's errors at its place in the file, in words that a policy owner knows."""
    loc = tuple(part for part in error["loc"] if not str(part).startswith(("(", "[")))
    wrong, remedy = _words(error, ".".join(str(part) for part in loc) or "the file")
    return _problem(file, source.place(loc), wrong, remedy)


def _words(error: ErrorDetails, path: str) -> tuple[str, str]:
    last = path.rpartition(".")[2]
    match error["type"]:
        case "missing":
            return f"`{path}` is missing.", "Add it."
        case "extra_forbidden":
            return f"`{path}`: there is no key `{last}` here.", _meant(last, _every_key())
        case "enum" | "literal_error":
            expected = str(error.get("ctx", {}).get("expected", "")).replace("'", "`")
            known = re.findall("`([^`]+)`", expected)
            what = "key" if "[key]" in error["loc"] else "value"
            meant = _meant(last, known) if what == "key" else ""
            return (
                f"`{path}`: no {what} that stands here.",
                f"Write one of {expected}. {meant}".strip(),
            )
        case "string_type":
            return f"`{path}`: must be text.", "Put it in quotes."
        case "value_error":
            wrong, _, remedy = error["msg"].removeprefix("Value error, ").partition("; ")
            return f"`{path}`: {wrong}.", f"{remedy[:1].upper()}{remedy[1:]}."
        case _:
            remedy = "`inwit policy schema` prints what may stand there."
            return f"`{path}`: {error['msg']}.", remedy


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), 1)
    return f"Did you mean `{close[0]}`?" if close else "Remove it, or mend its spelling."


def _every_key() -> set[str]:
    """Every key that stands anywhere in the schema, for guesses at what was meant."""
    schema = PolicyFile.model_json_schema()
    return {
        key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", ())
    }


def _compile(parsed: PolicyFile, raw: bytes) -> Policy:
    thresholds = _judge_thresholds(parsed.thresholds)
    categories = {
        category: _category_rule(parsed, category, thresholds) for category in parsed.categories
    }
    fallback = parsed.fallback_text
    return Policy(
        ref=PolicyRef(parsed.name, parsed.version, hashlib.sha256(raw).hexdigest()),
        description=parsed.description,
        thresholds=thresholds,
        categories=MappingProxyType(categories),
        on_harm=Action(parsed.on_harm),
        on_doubt=Action(parsed.on_doubt),
        on_disagreement=parsed.on_disagreement,
        on_review_failure=Action(parsed.on_review_failure),
        on_truncated=Action(parsed.on_truncated),
        review=ReviewSpec(
            parsed.conscience.framing,
            parsed.conscience.question.replace("{harms}", question_words(tuple(categories))),
            parsed.conscience.label_mass_floor,
        ),
        classifier=_classifier_rule(parsed),
        rewrite=RewriteRule(parsed.rewrite.max_rounds, Action(parsed.rewrite.on_failure))
        if parsed.rewrite
        else RewriteRule(1, Action.BLOCK),
        retrieval=_retrieval_rule(parsed),
        tools=MappingProxyType({n: _tool_rule(n, tool) for n, tool in parsed.tools.items()}),
        input=_input_rule(parsed),
        redact=_redact_rule(parsed),
        fallback_texts=MappingProxyType(
            {"en": fallback} if isinstance(fallback, str) else fallback
        ),
        shadow=parsed.shadow,
    )


def _thresholds(given: ThresholdsIn) -> Thresholds:
    return Thresholds(given.lower, given.upper)


def _judge_thresholds(given: ConscienceThresholds) -> JudgeThresholds:
    raw = given.uncalibrated
    stricter = (
        Thresholds(given.lower * _UNCALIBRATED, given.upper * _UNCALIBRATED)
        if raw is None
        else _thresholds(raw)
    )
    return JudgeThresholds(_thresholds(given), stricter)


def _category_rule(
    parsed: PolicyFile, category: Category, thresholds: JudgeThresholds
) -> CategoryRule:
    given, harm = parsed.categories[category], TAXONOMY[category]
    if given is None:
        return CategoryRule(harm, Action(parsed.on_harm), thresholds)
    severity = given.severity or harm.severity
    return CategoryRule(
        Harm(category, harm.title, harm.description, harm.words, severity),
        Action(given.action or parsed.on_harm),
        _judge_thresholds(given.thresholds) if given.thresholds else thresholds,
    )


def _classifier_rule(parsed: PolicyFile) -> ClassifierRule | None:
    given = parsed.classifier
    if given is None:
        return None
    return ClassifierRule(
        use=tuple(given.use),
        thresholds=_thresholds(given.thresholds),
        ask=frozenset(given.ask) | ALWAYS_ASKED,
        severe_from=given.severe_from,
        sample_rate=given.sample_rate,
        on_failure=Action(given.on_failure),
        clears=frozenset(given.clears),
    )


def _retrieval_rule(parsed: PolicyFile) -> RetrievalRule | None:
    if parsed.retrieval is None:
        return None
    globs = tuple(parsed.retrieval.sources)
    parts = (map(re.escape, glob.split("*")) for glob in globs)
    compiled = tuple(re.compile(".*".join(each)) for each in parts)
    return RetrievalRule(globs, compiled, parsed.retrieval.on_other)


def _tool_rule(name: str, given: ToolIn | None) -> ToolRule:
    schema = given.arguments if given else {}
    checker = validator(schema)

    def wrong(arguments: Any) -> str | None:
        found = next(checker.iter_errors(arguments), None)
        # The place and the rule only: the engine's own message quotes the value.
        return None if found is None else "/".join(map(str, found.schema_path))

    return ToolRule(name, schema, wrong, given.review if given else ToolReview.CLASSIFIER)


def _input_rule(parsed: PolicyFile) -> InputRule | None:
    given = parsed.input
    if given is None:
        return None
    return InputRule(
        use=tuple(given.use),
        patterns=MappingProxyType({n: linear(p).is_valid for n, p in given.patterns.items()}),
        instructions=given.instructions,
        thresholds=_thresholds(given.thresholds),
        on_flag=given.on_flag,
    )


def _redact_rule(parsed: PolicyFile) -> RedactRule | None:
    given = parsed.redact
    if given is None:
        return None
    return RedactRule(
        frozenset(given.mask), frozenset(given.pass_if_sent_first), tuple(given.phone_regions)
    )
