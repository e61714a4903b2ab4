"""LangChain's ChatOpenAI, unchanged, against the gateway; prints what it saw as one JSON line."""

# It runs in another environment, whose packages are not here to be checked against:
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}."


class Answer(BaseModel):
    """An answer with a colour."""

    colour: str


def told(message: Any) -> dict[str, Any]:
    return {
        "content": message.content,
        "refusal": message.additional_kwargs.get("refusal"),
        "finish_reason": message.response_metadata.get("finish_reason"),
        "usage": message.usage_metadata,
        "id": message.response_metadata.get("id"),
    }


def streamed(model: ChatOpenAI, text: str) -> dict[str, Any]:
    whole = None
    for chunk in model.stream(text):
        whole = chunk if whole is None else whole + chunk
    return told(whole)


def headers(text: str) -> str | None:
    """The response's id, which LangChain leaves out of streams: from the headers."""
    model = ChatOpenAI(model="fake-model", include_response_headers=True)
    found = [chunk.response_metadata.get("headers", {}) for chunk in model.stream(text)]
    return next((each["x-inwit-response"] for each in found if each), None)


def tools(model: ChatOpenAI) -> dict[str, Any]:
    bound = model.bind_tools([weather], tool_choice="auto", strict=True)
    asked = HumanMessage("What is the weather in Paris?")
    called = bound.invoke([asked])
    (call,) = called.tool_calls
    result = ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
    return {"call": call, "told": bound.invoke([asked, called, result]).content}


def streamed_tools(model: ChatOpenAI) -> list[Any]:
    whole = None
    for chunk in model.bind_tools([weather]).stream("What is the weather in Paris?"):
        whole = chunk if whole is None else whole + chunk
    return whole.tool_calls if whole is not None else []


def after_a_refusal(model: ChatOpenAI) -> Any:
    turns: list[Any] = [HumanMessage("HARM")]
    refused = model.invoke(turns)
    return model.invoke([*turns, refused, HumanMessage("Sorry. How do tides work?")]).content


def failure(attempt: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  # whatever the client raises is what is asked
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "words": str(error)}
    return None


async def asynchronous(model: ChatOpenAI) -> dict[str, Any]:
    whole = await model.ainvoke("Whole.")
    parts = [chunk.content async for chunk in model.astream("In parts.")]
    return {"whole": whole.content, "parts": "".join(parts)}


def main() -> None:
    model = ChatOpenAI(model="fake-model", max_retries=0, temperature=0, stream_usage=True)
    held = ChatOpenAI(model="fake-model", max_retries=0, extra_body={"inwit": {"policy": "held"}})
    responses = ChatOpenAI(model="fake-model", max_retries=0, use_responses_api=True)
    structured = model.with_structured_output(Answer)
    seen = {
        "invoked": told(model.invoke("How do tides work?")),
        "streamed": streamed(model, "How do tides work?"),
        "header": headers("How do tides work?"),
        "blocked": told(model.invoke("HARM")),
        "held": told(held.invoke("HARM")),
        "streamed_blocked": streamed(model, "HARM"),
        "tools": tools(model),
        "streamed_tools": streamed_tools(model),
        "structured": structured.invoke('{"colour": "blue"}').colour,
        "structured_blocked": failure(lambda: structured.invoke('{"colour": "HARM"}')),
        "responses": failure(lambda: responses.invoke("Hi")),
        "too_long": failure(lambda: model.invoke("TOO LONG")),
        "after_a_refusal": after_a_refusal(model),
        "n": failure(lambda: model.bind(n=2).invoke("Hi")),
        "async": asyncio.run(asynchronous(model)),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
