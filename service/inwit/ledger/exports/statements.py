"""Statements of reasons, as the DSA Transparency Database takes them (its API, version 2).

A profile for those who must file them: one for each response that was withheld. What the ledger
does not have (the ground in words, the territory) comes from the operator, who also has to read
them before they are filed. There is no personal data in them, and no content.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from inwit.cases import ActKind
from inwit.errors import SetupError
from inwit.ledger.exports.columns import flat
from inwit.ledger.exports.leaves import Leaf, Standing
from inwit.ledger.exports.withheld import facts_of
from inwit.ledger.outcomes import FORGOTTEN
from inwit.types import Category

_SHORT, _LONG = 500, 2000
_SPEECH = "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH"
_SECURITY = "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY"
_FRAUD = "STATEMENT_CATEGORY_SCAMS_AND_FRAUD"
_TERMS = "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
_PRIVACY = "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS"
_PROPERTY = "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS"

# The statement's category for each of ours. Where none fits, it is a breach of terms.
STATEMENT_CATEGORIES: Mapping[Category, str] = {
    Category.VIOLENT_CRIMES: "STATEMENT_CATEGORY_VIOLENCE",
    Category.SEX_CRIMES: "STATEMENT_CATEGORY_VIOLENCE",
    Category.CHILD_EXPLOITATION: "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
    Category.SELF_HARM: "STATEMENT_CATEGORY_SELF_HARM",
    Category.WEAPONS: _SECURITY,
    Category.NONVIOLENT_CRIMES: _TERMS,
    Category.INTELLECTUAL_PROPERTY: _PROPERTY,
    Category.DEFAMATION: _SPEECH,
    Category.HATE: _SPEECH,
    Category.SEXUAL_CONTENT: _TERMS,
    Category.PRIVACY_LEAK: _PRIVACY,
    Category.PROFESSIONAL_ADVICE: _TERMS,
    Category.DECEPTION: _FRAUD,
    Category.COERCION: _TERMS,
    Category.OMISSION: _TERMS,
    Category.POWER_SEEKING: _TERMS,
    Category.UNSAFE_TOOL_USE: _TERMS,
}

_INCOMPATIBLE, _ILLEGAL = "incompatible", "illegal"


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the operator says once for all statements.

    `ground` is `incompatible` (with the terms) or `illegal`; `reference` names the clause or the
    law (500 characters at most), and `explanation` says why it applies (2,000 at most).
    `territory` are countries as the database names them (`DE`, `FR`, …).
    """

    ground: str
    reference: str
    explanation: str
    territory: tuple[str, ...] = ()
    url: str | None = None

    def as_fields(self) -> dict[str, Any]:
        """Its fields of a statement."""
        if self.ground == _ILLEGAL:
            fields: dict[str, Any] = {
                "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT",
                "illegal_content_legal_ground": self.reference,
                "illegal_content_explanation": self.explanation,
            }
        else:
            fields = {
                "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
                "incompatible_content_ground": self.reference,
                "incompatible_content_explanation": self.explanation,
            }
        if self.url:
            fields["decision_ground_reference_url"] = self.url
        return fields | {"territorial_scope": list(self.territory)}


def read_grounds(file: Path) -> Grounds:
    """The operator's part, from a TOML file.

    Raises:
        SetupError: it cannot be read, or a field is missing or wrong.
    """
    try:
        told = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SetupError(f"{file} cannot be read as TOML: {error}") from error
    known = {"ground", "reference", "explanation", "territory", "url"}
    if unknown := sorted(told.keys() - known):
        raise SetupError(f"{file}: no field is named {unknown[0]!r}; {', '.join(sorted(known))}.")
    if told.get("ground") not in (_INCOMPATIBLE, _ILLEGAL):
        raise SetupError(f"{file}: `ground` is {_INCOMPATIBLE!r} or {_ILLEGAL!r}.")
    territory: Any = told.get("territory", [])
    listed = isinstance(territory, list)
    if not listed or not all(isinstance(each, str) for each in cast("list[Any]", territory)):
        raise SetupError(f"{file}: `territory` is a list of countries: ['DE', 'FR'].")
    return Grounds(
        told["ground"],
        _words(file, told, "reference", _SHORT),
        _words(file, told, "explanation", _LONG),
        tuple(cast("list[str]", territory)),
        _words(file, told, "url", _SHORT) if "url" in told else None,
    )


def _words(file: Path, told: Mapping[str, Any], name: str, most: int) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise SetupError(f"{file}: `{name}` is a text of 1 to {most} characters.")
    return value


def lines_of(grounds: Grounds) -> Callable[[Leaf], bytes | None]:
    """What makes a line of each leaf that says that a response was withheld for good."""

    def line_of(leaf: Leaf) -> bytes | None:
        statement = statement_of(leaf, grounds)
        return None if statement is None else json.dumps(statement, separators=(",", ":")).encode()

    return line_of


def statement_of(leaf: Leaf, grounds: Grounds) -> dict[str, Any] | None:
    """The statement, with the leaf it leans on apart from it; None where none is owed."""
    if leaf.standing is not Standing.INTACT:
        return None
    row = flat(leaf)
    settled = row["type"] == ActKind.OUTCOME.value
    blocked = row["type"] == "decision" and row["outcome"] == "blocked"
    forgotten = settled and row["why"] == FORGOTTEN
    withheld = settled and row["released"] is False and not row["golden"] and not forgotten
    if not row["response_id"] or row["time"] is None or not (blocked or withheld):
        return None
    by_person = settled and row["ending"] == "ruled"
    decided = _decision(leaf) if settled else leaf
    found = flat(decided)
    written = found["time"] or row["time"]
    statement = {
        "puid": puid(row["response_id"]),
        "decision_visibility": ["DECISION_VISIBILITY_CONTENT_DISABLED"],
        **grounds.as_fields(),
        "content_type": ["CONTENT_TYPE_SYNTHETIC_MEDIA", "CONTENT_TYPE_TEXT"],
        **_categories(found["categories"] or []),
        "content_date": written.date().isoformat(),
        "application_date": row["time"].date().isoformat(),
        "decision_facts": facts_of(found, decided.facts.get("rounds"), row["ending"]),
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        # A judge withheld it, and a person said so too; or nobody but judges and clocks did.
        "automated_decision": f"AUTOMATED_DECISION_{'PARTIALLY' if by_person else 'FULLY'}",
    }
    proof = {name: row[name] for name in ("sequence", "leaf_index", "leaf_hash")}
    return {**proof, "statement": statement}


def puid(response_id: str) -> str:
    """A name for the statement that says nothing of its response, and is always the same."""
    return hashlib.sha256(f"inwit statement of reasons {response_id}".encode()).hexdigest()


def _decision(leaf: Leaf) -> Leaf:
    return Leaf(leaf.sequence, leaf.hash, leaf.standing, facts=leaf.decided)


def _categories(found: list[str]) -> dict[str, Any]:
    known = [Category(each) for each in found if each in set(Category)]
    mapped = list(dict.fromkeys(STATEMENT_CATEGORIES[each] for each in known)) or [_TERMS]
    told: dict[str, Any] = {"category": mapped[0]}
    return told | ({"category_addition": mapped[1:]} if mapped[1:] else {})
