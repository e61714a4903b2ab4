"""LiteLLM as a client, unchanged, against the gateway; prints what it saw as one line of JSON."""

# It runs in another environment, whose packages are not here to be checked against:
# pyright: basic, reportMissingImports=false

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import litellm

MODEL = "openai/fake-model"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def ask(text: str, **more: Any) -> Any:
    return litellm.completion(model=MODEL, messages=said(text), num_retries=0, **more)


def streamed(text: str) -> dict[str, Any]:
    chunks = list(ask(text, stream=True, stream_options={"include_usage": True}))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usages = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    return {
        "text": "".join(choice.delta.content or "" for choice in choices),
        "finish_reason": [each.finish_reason for each in choices if each.finish_reason],
        "usage": [usage.model_dump() for usage in usages],
    }


def tools() -> dict[str, Any]:
    """The message goes back as LiteLLM's own object."""
    turns = said("What is the weather in Paris?")
    first = litellm.completion(model=MODEL, messages=turns, tools=[WEATHER])
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny."}
    again = [*turns, message, result]
    second = litellm.completion(model=MODEL, messages=again, tools=[WEATHER])
    dumped = [*turns, message.model_dump(), result]
    third = litellm.completion(model=MODEL, messages=dumped, tools=[WEATHER])
    return {
        "arguments": message.tool_calls[0].function.arguments,
        "told": second.choices[0].message.content,
        "told_again": third.choices[0].message.content,
    }


def after_a_refusal() -> str:
    """A refused turn goes back as LiteLLM's own object, and the talk goes on."""
    turns = said("HARM")
    refused = litellm.completion(model=MODEL, messages=turns).choices[0].message
    again = [*turns, refused, *said("Sorry. How do tides work?")]
    return litellm.completion(model=MODEL, messages=again).choices[0].message.content


def streamed_tools() -> dict[str, Any]:
    chunks = list(ask("What is the weather in Paris?", stream=True, tools=[WEATHER]))
    whole = litellm.stream_chunk_builder(chunks)
    (call,) = whole.choices[0].message.tool_calls
    return {"name": call.function.name, "arguments": call.function.arguments}


def failure(attempt: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001  # whatever the client raises is what is asked
        return {
            "kinds": [kind.__name__ for kind in type(error).__mro__],
            "status": getattr(error, "status_code", None),
            "words": str(error),
        }
    return None


async def asynchronous() -> str:
    answer = await litellm.acompletion(model=MODEL, messages=said("Whole."))
    return answer.choices[0].message.content


def main() -> None:
    plain = ask("How do tides work?", temperature=0, top_p=0.9, stop=["###"], user="u-1")
    blocked = ask("HARM")
    held = ask("HARM", extra_body={"inwit": {"policy": "held"}})
    seen = {
        "plain": plain.model_dump(),
        "streamed": streamed("How do tides work?"),
        "blocked": blocked.model_dump(),
        "held": held.model_dump(),
        "streamed_blocked": streamed("HARM"),
        "tools": tools(),
        "streamed_tools": streamed_tools(),
        "after_a_refusal": after_a_refusal(),
        "too_long": failure(lambda: ask("TOO LONG")),
        "key": failure(lambda: ask("Hi", api_key="inwit_0_wrong")),
        "n": failure(lambda: ask("Hi", n=2)),
        "model": failure(
            lambda: litellm.completion(model="openai/nowhere", messages=said("Hi"), num_retries=0)
        ),
        "async": asyncio.run(asynchronous()),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
