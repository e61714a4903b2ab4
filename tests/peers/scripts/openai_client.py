"""OpenAI's own client, unchanged, against the gateway; prints what it saw as one line of JSON."""

# It runs in another environment, whose packages are not here to be checked against:
# pyright: basic, reportMissingImports=false

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import openai
import pydantic

LONG = "The moon pulls the sea, and so the water rises and falls twice a day. " * 2
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def deciding_by(policy: str) -> dict[str, Any]:
    return {"inwit": {"policy": policy}}


def plain(client: openai.OpenAI) -> dict[str, Any]:
    answer = client.chat.completions.create(
        model="fake-model",
        messages=[{"role": "system", "content": "Be brief."}, *said("How do tides work?")],
        temperature=0,
        top_p=0.9,
        stop=["<end of openai>"],
        presence_penalty=0.1,
        user="u-1",
        seed=7,
        max_tokens=50,
        response_format={"type": "text"},
    )
    return {**answer.model_dump(), "request_id": answer._request_id}


def streamed(
    client: openai.OpenAI, text: str = "How do tides work?", policy: str = "plain"
) -> list[Any]:
    stream = client.chat.completions.create(
        model="fake-model",
        messages=said(text),
        stream=True,
        stream_options={"include_usage": True},
        extra_body=deciding_by(policy),
    )
    return [chunk.model_dump() for chunk in stream]


def blocked(client: openai.OpenAI, policy: str = "plain") -> dict[str, Any]:
    answer = client.chat.completions.create(
        model="fake-model", messages=said("HARM"), extra_body=deciding_by(policy)
    )
    return answer.model_dump()


def tools(client: openai.OpenAI) -> dict[str, Any]:
    """A tool is called, its result goes back with the message object as it came, and is told."""
    turns = said("What is the weather in Paris?")
    first = client.chat.completions.create(model="fake-model", messages=turns, tools=[WEATHER])
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Sunny."}
    second = client.chat.completions.create(
        model="fake-model", messages=[*turns, message, result], tools=[WEATHER]
    )
    return {"call": first.model_dump(), "told": second.choices[0].message.content}


def streamed_tools(client: openai.OpenAI) -> dict[str, Any]:
    """By the client's own helper, which puts deltas together."""
    asked = client.chat.completions.stream(
        model="fake-model", messages=said("What is the weather in Paris?"), tools=[WEATHER]
    )
    with asked as stream:
        kinds = [event.type for event in stream]
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    return {"kinds": kinds, "name": call.function.name, "parsed": call.function.parsed_arguments}


def after_a_refusal(client: openai.OpenAI) -> str | None:
    """A refused turn goes back as the message object that came, and the talk goes on."""
    turns = said("HARM")
    refused = client.chat.completions.create(model="fake-model", messages=turns)
    again = [*turns, refused.choices[0].message, *said("Sorry. How do tides work?")]
    answer = client.chat.completions.create(model="fake-model", messages=again)
    return answer.choices[0].message.content


def parsed(client: openai.OpenAI) -> str:
    class Answer(pydantic.BaseModel):
        colour: str

    answer = client.chat.completions.parse(
        model="fake-model", messages=said('{"colour": "blue"}'), response_format=Answer
    )
    return answer.choices[0].message.parsed.colour


def parsed_but_blocked(client: openai.OpenAI) -> str | None:
    class Answer(pydantic.BaseModel):
        colour: str

    try:
        client.chat.completions.parse(
            model="fake-model", messages=said('{"colour": "HARM"}'), response_format=Answer
        )
    except openai.ContentFilterFinishReasonError as error:
        return type(error).__name__
    return None


def broken_off(client: openai.OpenAI) -> dict[str, Any]:
    """The model's server hangs up after some text has left."""
    seen = []
    try:
        for chunk in client.chat.completions.create(
            model="fake-model",
            messages=said(LONG + "BREAK"),
            stream=True,
            extra_body=deciding_by("audited"),
        ):
            seen.append(chunk.choices[0].delta.content)  # noqa: PERF401  # it breaks off
    except openai.APIError as error:
        return {"text": "".join(seen), "error": type(error).__name__, "body": error.body}
    return {"text": "".join(seen), "error": None}


def errors(client: openai.OpenAI) -> dict[str, Any]:
    """What each mistake becomes."""
    other = client.with_options(api_key="inwit_0_wrong")
    ask = {"model": "fake-model", "messages": said("Hi")}
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    tries = {
        "key": lambda: other.chat.completions.create(**ask),
        "n": lambda: client.chat.completions.create(**ask, n=2),
        "logprobs": lambda: client.chat.completions.create(**ask, logprobs=True),
        "temperature": lambda: client.chat.completions.create(**ask, temperature=3),
        "image": lambda: client.chat.completions.create(model="fake-model", messages=image),
        "cache_salt": lambda: client.chat.completions.create(**ask, extra_body={"cache_salt": "x"}),
        "model": lambda: client.chat.completions.create(model="nowhere", messages=said("Hi")),
        "policy": lambda: client.chat.completions.create(**ask, extra_body=deciding_by("nowhere")),
        "streamed": lambda: client.chat.completions.create(**ask, stream=True, n=2),
        "too long": lambda: client.chat.completions.create(
            model="fake-model", messages=said("TOO LONG"), stream=True
        ),
        "unknown upstream": lambda: client.chat.completions.create(
            **ask, extra_body={"flavour": "mint"}
        ),
        "no such model": lambda: client.models.retrieve("nowhere"),
        "responses": lambda: client.responses.create(model="fake-model", input="Hi"),
        "embeddings": lambda: client.embeddings.create(model="fake-model", input="Hi"),
    }
    return {name: failure(attempt) for name, attempt in tries.items()}


def failure(attempt: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        attempt()
    except openai.APIStatusError as error:
        kept = ("message", "type", "param", "code")
        return {
            "error": type(error).__name__,
            "status": error.status_code,
            "request_id": error.request_id,
            "retry_after": error.response.headers.get("retry-after"),
            **{name: (error.body or {}).get(name) for name in kept},
        }
    return None


def limited(client: openai.OpenAI) -> dict[str, Any] | None:
    """A key that may ask once a minute asks until it is refused.

    That is the second time, or the third: where Redis is late, a gateway counts by itself.
    """
    once = client.with_options(api_key=os.environ["LIMITED_API_KEY"])
    ask = {"model": "fake-model", "messages": said("Hi")}
    for _ in range(4):
        if (seen := failure(lambda: once.chat.completions.create(**ask))) is not None:
            return seen
    return None


def repeated(client: openai.OpenAI) -> list[str]:
    """The client's own retries carry the same header, so they are answered once."""
    key = {"Idempotency-Key": f"order-{openai.__version__}"}
    ask = {"model": "fake-model", "messages": said("Once."), "extra_headers": key}
    return [client.chat.completions.create(**ask).id for _ in range(2)]


def models(client: openai.OpenAI) -> dict[str, Any]:
    listed = [model.model_dump() for model in client.models.list()]
    return {"listed": listed, "one": client.models.retrieve("fake-model").id}


async def asynchronous() -> dict[str, Any]:
    async with openai.AsyncOpenAI(max_retries=0) as client:
        whole = await client.chat.completions.create(model="fake-model", messages=said("Whole."))
        stream = await client.chat.completions.create(
            model="fake-model", messages=said("In parts."), stream=True
        )
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return {"whole": whole.choices[0].message.content, "parts": "".join(parts)}


def main() -> None:
    with openai.OpenAI(max_retries=0) as client:
        seen = {
            "version": openai.__version__,
            "plain": plain(client),
            "streamed": streamed(client),
            "blocked": blocked(client),
            "held": blocked(client, "held"),
            "streamed_blocked": streamed(client, "HARM"),
            "retracted": streamed(client, LONG + "HARM", "audited"),
            "tools": tools(client),
            "streamed_tools": streamed_tools(client),
            "after_a_refusal": after_a_refusal(client),
            "parsed": parsed(client),
            "parsed_but_blocked": parsed_but_blocked(client),
            "broken_off": broken_off(client),
            "errors": errors(client),
            "limited": limited(client),
            "repeated": repeated(client),
            "models": models(client),
            "async": asyncio.run(asynchronous()),
        }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
