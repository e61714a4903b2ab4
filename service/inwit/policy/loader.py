"""Compiles policy files. Every error has file, line, column, what is wrong, and the remedy."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from pydantic import ValidationError

from inwit.errors import PolicyError, PolicyProblem
from inwit.policy.patterns import LinearPattern, validator
from inwit.policy.policy import (
    CategoryRule,
    ClassifierRule,
    EscalationRule,
    InputRule,
    JudgeThresholds,
    Policy,
    RedactRule,
    RetrievalRule,
    ReviewSpec,
    RewriteRule,
    StreamRule,
    Thresholds,
    ToolReview,
    ToolRule,
)
from inwit.policy.positions import Flaw, Place, Source, YamlProblem
from inwit.policy.schema import (
    ALWAYS_ASKED,
    ConscienceThresholds,
    PolicyFile,
    ThresholdsIn,
    ToolIn,
)
from inwit.policy.syntax import safe_word
from inwit.policy.taxonomy import TAXONOMY, question_words
from inwit.policy.wording import flaw_of, named
from inwit.types import Action, Category, Harm, PolicyRef

PACKAGED = Path(__file__).parent / "packaged"

_MOST_BYTES = 2**18
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
            wrong = f"The name `{policy.name}` is taken by {files[policy.name].name}."
            place = _source(file).place(("name",))
            problems.append(_problem(file, place, wrong, "Give each policy a name of its own."))
        policies.setdefault(policy.name, policy)
        files.setdefault(policy.name, file)
    if not policies and not problems:
        problems.append(_nothing_in(folder))
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
        raise _error(file, *(flaw_of(each, source) for each in error.errors())) from None
    path = parsed.needs_classifier()
    if path is not None:
        what = named(path, source.written(path))
        wrong = f"{what} needs an independent judge, and there is no `classifier`."
        remedy = "Add `classifier` with `use: [embedded]` and `thresholds`."
        raise _error(file, Flaw(source.place(path), wrong, remedy))
    return _compile(parsed, source.raw)


def json_schema() -> str:
    """The JSON Schema of a policy file, for editors, as indented JSON."""
    schema = PolicyFile.model_json_schema()
    _close(schema)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Inwit policy"}
    return json.dumps({**head, **schema, **head}, indent=2, ensure_ascii=False) + "\n"


def _close(schema: Any) -> None:
    """Let no keys stand beside those that fit a pattern: pydantic takes none, and does not say."""
    if isinstance(schema, list):
        for part in cast("list[Any]", schema):
            _close(part)
    elif isinstance(schema, dict):
        closed = cast("dict[str, Any]", schema)
        if "patternProperties" in closed:
            closed["additionalProperties"] = False
        for part in closed.values():
            _close(part)


class _FileSource(Source):
    """The parsed text of a file, with its exact bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw.decode("utf-8-sig"))
        self.raw = raw


def _source(file: Path) -> _FileSource:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise _error(
                file, _flaw("The file is larger than 256 KiB.", "A policy is a page or two.")
            )
        return _FileSource(raw)
    except OSError as error:
        raise _error(file, _flaw(f"{error.strerror}.", "Check the path and its rights.")) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        flaw = Flaw(Place(line, column), "This is not UTF-8.", "Save the file as UTF-8.")
        raise _error(file, flaw) from None
    except YamlProblem as error:
        raise _error(file, *error.flaws) from None


def _error(file: Path, *flaws: Flaw) -> PolicyError:
    found = (_problem(file, flaw.place, flaw.wrong, flaw.remedy) for flaw in flaws)
    return PolicyError(tuple(sorted(found, key=lambda each: (each.line, each.column))))


def _flaw(wrong: str, remedy: str) -> Flaw:
    return Flaw(Place(1, 1), wrong, remedy)


def _problem(file: Path, place: Place, wrong: str, remedy: str) -> PolicyProblem:
    return PolicyProblem(file, place.line, place.column, wrong, remedy)


def _nothing_in(folder: Path) -> PolicyProblem:
    wrong = "There is no policy in this folder." if folder.is_dir() else "This is not a folder."
    return _problem(folder, Place(1, 1), wrong, "Name a folder with at least one *.yaml file.")


def _missing_shadows(policies: dict[str, Policy], files: dict[str, Path]) -> list[PolicyProblem]:
    problems: list[PolicyProblem] = []
    for name, policy in policies.items():
        others = sorted(set(policies) - {name})
        if policy.shadow is None or policy.shadow in others:
            continue
        place = _source(files[name]).place(("shadow",))
        wrong = f"`shadow`: there is no policy `{safe_word(policy.shadow)}` in this folder."
        if policy.shadow == name:
            wrong = "`shadow`: a policy cannot be its own."
        remedy = f"Name one of these: {', '.join(others)}." if others else "Remove it."
        problems.append(_problem(files[name], place, wrong, remedy))
    return problems


def _compile(parsed: PolicyFile, raw: bytes) -> Policy:
    thresholds = _judge_thresholds(parsed.thresholds)
    categories = {
        category: _category_rule(parsed, category, thresholds) for category in parsed.categories
    }
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
        fallback_texts=_by_language(parsed.fallback_text),
        shadow=parsed.shadow,
        stream=StreamRule(parsed.stream.mode, parsed.stream.window, parsed.stream.overlap),
        escalation=_escalation_rule(parsed),
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
    return RetrievalRule(globs, tuple(map(_glob, globs)), parsed.retrieval.on_other)


def _glob(glob: str) -> re.Pattern[str]:
    """`*` as any run of characters; atomic groups keep many of them from backtracking."""
    first, *others = map(re.escape, glob.split("*"))
    if not others:
        return re.compile(first)
    middle = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(f"{first}{middle}.*{others[-1]}")


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
        patterns=MappingProxyType({n: LinearPattern(p) for n, p in given.patterns.items()}),
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


def _escalation_rule(parsed: PolicyFile) -> EscalationRule:
    given = parsed.escalation
    return EscalationRule(
        claim_within=timedelta(seconds=given.claim_within_s),
        rule_within=timedelta(seconds=given.rule_within_s),
        on_expiry=given.on_expiry,
        expired_texts=_by_language(given.expired_text or {}),
        second_from=given.second_review.from_severity,
        second_share=given.second_review.share,
        blocks_without_queue=given.on_queue_down == "block",
        reason_for=frozenset(given.reason_for),
        clause_for=frozenset(given.clause_for),
    )


def _by_language(texts: str | dict[str, str]) -> Mapping[str, str]:
    return MappingProxyType({"en": texts} if isinstance(texts, str) else texts)
