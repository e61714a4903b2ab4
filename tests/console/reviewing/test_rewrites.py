"""What the page says of a rewrite, where later attempts brought no text."""

import pytest

from inwit.errors import UpstreamError
from tests.console.reviewing.world import FLAGGED, KINDS, MakeWorld, words_of
from tests.fakes import FakeModel
from tests.fakes_policies import compiled


@pytest.mark.parametrize(
    ("rewrites", "errors"),
    [
        (["Please leave them alone.", "I cannot help with that."], []),
        (["Please leave them alone."], [None, UpstreamError("failed")]),
    ],
    ids=["refused", "failed"],
)
async def test_a_rewrite_has_the_outcome_of_its_own_attempt(
    make_world: MakeWorld, rewrites: list[str], errors: list[BaseException | None]
) -> None:
    model = FakeModel("Mix both.", answer=FLAGGED, rewrites=rewrites, rewrite_errors=errors)
    rule = {"max_rounds": 2, "on_failure": "escalate"}
    policy = compiled(on_harm="rewrite", categories=KINDS, rewrite=rule)
    here = await make_world(model=model, policy=policy)
    case_id = await here.hold()
    ada = await here.reviewer()

    words = words_of(await ada.claim(case_id))

    assert "Please leave them alone." in words
    assert "this rewrite: flagged" in words
    assert "this rewrite: failed" not in words
    assert "this rewrite: refusal" not in words
