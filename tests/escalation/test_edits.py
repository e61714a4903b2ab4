"""Who judges an edit: the case's own model, or the one that is served by now."""

import pytest

from inwit.cases import RulingKind
from tests.conftest import MakeCaller
from tests.escalation.desk_world import ANA, FINE, FLAGGED, office
from tests.fakes import MODEL, FakeClassifiers, FakeModel


@pytest.mark.parametrize(
    ("gone", "model", "instead_of"), [(False, "elder", None), (True, MODEL, "elder")]
)
async def test_an_edit_is_judged_by_the_cases_own_model_or_else_by_the_one_served_now(
    make_caller: MakeCaller, gone: bool, model: str, instead_of: str | None
) -> None:
    served, classifiers = FakeModel(answers=[FLAGGED, FINE]), FakeClassifiers(0.9)
    here = await office(make_caller, served, classifiers=classifiers)
    case = await here.held(model="elder")
    opened = await here.claim(case)
    served.gone = frozenset({"elder"} if gone else ())
    classifiers.risk = 0.05

    review = await here.desk.check_edit(ANA, case, ANA.id, "Quite fine.")
    await here.rule(opened, RulingKind.EDIT, digest=review["digest"])

    assert (review["passed"], review["model"], review["instead_of"]) == (True, model, instead_of)
    (checked,) = await here.acts(case, "edit_checked")
    said = checked.facts["facts"]["review"]
    assert (said["model"], said["instead_of"]) == (
        model,
        instead_of,
    )
