"""The client reads what this gateway really says."""

import pickle

from inwit.api.check_request import CheckRequest
from inwit.api.respond_answer import RespondResponse
from inwit.api.respond_request import RespondRequest
from inwit.api.schemas import example
from inwit.client import NotReleased
from inwit.client.calls import CheckOptions, RespondOptions
from inwit.client.reading import read_answer
from tests.conftest import MakeCaller
from tests.fakes import FakeModel, distribution


def test_the_gateways_documented_example() -> None:
    documented = RespondResponse.model_validate(example(RespondResponse))

    answer = read_answer(documented.model_dump(mode="json"))

    assert answer.released
    assert answer.content == "The moon pulls the sea."
    assert answer.receipt.sequence == 17


async def test_what_the_gateway_answers(make_caller: MakeCaller) -> None:
    for risk, released in ((0.05, True), (0.9, False)):
        caller = await make_caller(FakeModel("The sea.", answer=distribution(risk, 0.95 - risk)))
        body = (await caller.respond()).json()

        answer = read_answer(body)

        assert answer.released is released
        assert (answer.content == "The sea.") is released
        assert answer.content == body["output"]["content"]
        assert answer.review.reasons == tuple(body["review"]["reasons"])
        assert answer.receipt.hash == body["receipt"]["hash"]
        assert answer.raw == body


def test_the_options_are_the_fields_that_the_gateway_takes() -> None:
    respond, check = RespondRequest.model_fields.keys(), CheckRequest.model_fields.keys()

    assert RespondOptions.__annotations__.keys() == respond - {"messages", "stream"}
    assert CheckOptions.__annotations__.keys() == check - {"messages", "candidate", "candidates"}


def test_answers_and_errors_can_be_pickled() -> None:
    documented = RespondResponse.model_validate(example(RespondResponse)).model_dump(mode="json")
    answer = read_answer(documented)
    error = NotReleased("No.", answer)

    again = pickle.loads(pickle.dumps((answer, error)))  # noqa: S301  # our own bytes

    assert again[0] == answer
    assert (str(again[1]), again[1].answer) == (str(error), answer)
