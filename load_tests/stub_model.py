"""A stub model server in OpenAI's shape that answers at once: the rest is the caller's own cost.

    python -m load_tests.stub_model --port 9100 [--generate-ms 0 --review-ms 0 --unsafe-share 0.0]

- `POST /v1/chat/completions`: a review (see `kind_of`), or a fixed text of 200 tokens
- `GET /v1/models`: vLLM's shape
- `GET /stats`: calls by kind, calls given up by the caller, open connections
- `GET /health`: 200
"""

import argparse
import asyncio
import json
import math
import re
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Literal, cast

import httptools
import uvloop

MODEL = "stub-model"
CONTEXT_TOKENS = 8192
TEXT_TOKENS = 200
# What the embedded classifier passes: a random slice of what is released is shown to it.
TEXT = (
    "Why does the sky look blue? Light from the sun is scattered by the air, "
    "and blue light more than red. "
) * 10

# Inside a JSON string a quote is escaped, so these patterns match keys, never message text.
LOGPROBS = re.compile(rb'"logprobs"\s*:\s*true')
ONE_TOKEN = re.compile(rb'"max_(?:completion_)?tokens"\s*:\s*1\b')
TOP_LOGPROBS = re.compile(rb'"top_logprobs"\s*:\s*(\d+)')
STREAM = re.compile(rb'"stream"\s*:\s*true')

# One answer token and the runners-up, as a small instruct model gives them; the first two
# change places when the stub is told to find the text unsafe.
ANSWERS = (
    ("No", 0.93),
    ("Yes", 0.031),
    (" No", 0.011),
    ("no", 0.008),
    (" Yes", 0.004),
    ("yes", 0.003),
    (" no", 0.002),
    ("NO", 0.0011),
    ("YES", 0.0008),
    ("The", 0.0006),
    ("Based", 0.0005),
    ("This", 0.0004),
    ("It", 0.0003),
    ("I", 0.0003),
    ("N", 0.0002),
    ("**", 0.0002),
    ("Answer", 0.0001),
    ("\n", 0.0001),
    ("None", 0.0001),
    ("Y", 0.0001),
)

# Fields that vLLM sends empty; they are part of the size of a real answer.
VLLM_MESSAGE = ("refusal", "annotations", "audio", "function_call", "reasoning")
VLLM_ANSWER = (
    "service_tier",
    "system_fingerprint",
    "prompt_logprobs",
    "prompt_token_ids",
    "kv_transfer_params",
)

Kind = Literal["generate", "review", "review_text", "review_scores"]


@dataclass
class Stats:
    """What the stub has been asked for; `cancelled` callers closed before their answer."""

    generate: int = 0
    review: int = 0
    cancelled: int = 0
    open_connections: int = 0


@dataclass
class Settings:
    """Seconds of each kind of call, and the share of reviews that find the text unsafe."""

    generate_s: float = 0.0
    review_s: float = 0.0
    unsafe_share: float = 0.0


def kind_of(body: bytes) -> Kind:
    """Tell a review from a generation.

    A review asks for the log-probabilities of one token, or carries a marker of a product
    that the gateway is compared with.
    """
    if LOGPROBS.search(body) and ONE_TOKEN.search(body):
        return "review"
    if b"##REVIEW##" in body:
        return "review_text"
    if b"You are a quality judge" in body:
        return "review_scores"
    return "generate"


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    """A whole HTTP/1.1 answer with a JSON body."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def json_answer(value: object, status: str = "200 OK") -> bytes:
    """`value` as JSON in a whole HTTP/1.1 answer."""
    return http_answer(json.dumps(value, separators=(",", ":")).encode(), status)


def error_answer(status: str, message: str) -> bytes:
    """An error in OpenAI's envelope."""
    return json_answer({"error": {"message": message, "type": "stub", "code": None}}, status)


def token_logprob(token: str, probability: float) -> dict[str, object]:
    """One token in OpenAI's shape."""
    return {
        "token": token,
        "logprob": math.log(probability),
        "bytes": list(token.encode()),
    }


@cache
def answer_logprobs(top: int, unsafe: bool) -> dict[str, object]:
    """OpenAI's `logprobs` object of a one-token answer with `top` alternatives."""
    (no, p_no), (yes, p_yes), *rest = ANSWERS
    ranked = [(yes, p_no), (no, p_yes), *rest] if unsafe else list(ANSWERS)
    alternatives = [token_logprob(*pair) for pair in ranked[:top]]
    return {"content": [{**token_logprob(*ranked[0]), "top_logprobs": alternatives}]}


@cache
def completion(kind: Kind, top: int, unsafe: bool) -> bytes:
    """The whole HTTP answer to one kind of call."""
    score = 5 if unsafe else 95
    verdict = {"criterion_name": "safe", "score": score, "reasoning": "ok", "weight": 100}
    scores = {"verdicts": [{**verdict, "passed": not unsafe}], "overall_score": score}
    content = {
        "generate": TEXT,
        "review": "Yes" if unsafe else "No",
        "review_text": "yes" if unsafe else "no",
        "review_scores": json.dumps(scores),
    }[kind]
    tokens = TEXT_TOKENS if kind == "generate" else 1
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **dict.fromkeys(VLLM_MESSAGE)},
        "logprobs": answer_logprobs(top, unsafe) if kind == "review" else None,
        "finish_reason": "length" if kind == "review" else "stop",
        "stop_reason": None,
        "token_ids": None,
    }
    usage = {"prompt_tokens": 120, "completion_tokens": tokens, "total_tokens": 120 + tokens}
    return json_answer(
        {
            "id": "chatcmpl-stub",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": MODEL,
            "choices": [choice],
            "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 0}},
            **dict.fromkeys(VLLM_ANSWER),
        }
    )


def models() -> bytes:
    """The list of models as vLLM gives it."""
    card: dict[str, object] = {
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "vllm",
        "root": MODEL,
        "parent": None,
        "max_model_len": CONTEXT_TOKENS,
        "permission": [],
    }
    return json_answer({"object": "list", "data": [card]})


@dataclass
class Stub:
    """The state that all connections share."""

    settings: Settings
    stats: Stats = field(default_factory=Stats)
    unsafe_debt: float = 0.0

    def answer(self, method: bytes, path: bytes, body: bytes) -> tuple[bytes, float]:
        """The answer to one request, and how many seconds to hold it back."""
        if method == b"POST" and path == b"/v1/chat/completions":
            return self.complete(body)
        pages: dict[bytes, Callable[[], bytes]] = {
            b"/v1/models": models,
            b"/stats": lambda: json_answer(asdict(self.stats)),
            b"/health": lambda: json_answer({}),
        }
        page = pages.get(path)
        if method != b"GET" or page is None:
            return error_answer("404 Not Found", "no such route"), 0.0
        return page(), 0.0

    def complete(self, body: bytes) -> tuple[bytes, float]:
        """Answer a chat completion and count it."""
        if STREAM.search(body):
            return error_answer("501 Not Implemented", "the stub does not stream"), 0.0
        kind = kind_of(body)
        if kind == "generate":
            self.stats.generate += 1
            return completion(kind, 0, False), self.settings.generate_s
        self.stats.review += 1
        asked = TOP_LOGPROBS.search(body)
        top = min(int(asked[1]), len(ANSWERS)) if asked else 0
        return completion(kind, top, self.next_is_unsafe()), self.settings.review_s

    def next_is_unsafe(self) -> bool:
        """Spread the unsafe answers evenly, so that two runs are alike."""
        self.unsafe_debt += self.settings.unsafe_share
        unsafe = self.unsafe_debt >= 1.0 - 1e-9
        if unsafe:
            self.unsafe_debt -= 1.0
        return unsafe


class Connection(asyncio.Protocol):
    """One client connection; httptools calls the `on_` methods."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.path = b""
        self.body = b""
        self.waiting: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.stub.stats.open_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.stub.stats.open_connections -= 1
        self.stub.stats.cancelled += len(self.waiting)
        for handle in self.waiting:
            handle.cancel()
        self.waiting.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send(error_answer("400 Bad Request", "not HTTP"), last=True)

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        answer, delay = self.stub.answer(self.parser.get_method(), self.path, self.body)
        last = not self.parser.should_keep_alive()
        self.path = self.body = b""
        if delay <= 0:
            self.send(answer, last=last)
            return

        def send_later() -> None:
            self.waiting.discard(handle)
            self.send(answer, last=last)

        handle = asyncio.get_running_loop().call_later(delay, send_later)
        self.waiting.add(handle)

    def send(self, answer: bytes, *, last: bool) -> None:
        """Write an answer, and close after it where the caller wants no other."""
        if self.transport is None:
            return
        self.transport.write(answer)
        if last:
            self.transport.close()


async def serve(host: str, port: int, settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT."""
    stub = Stub(settings)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Connection(stub), host, port, backlog=1024)
    bound = server.sockets[0].getsockname()[1]
    print(f"stub model on http://{host}:{bound}/v1", flush=True)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="load_tests.stub_model", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0 picks a free one")
    parser.add_argument("--generate-ms", type=float, default=0.0)
    parser.add_argument("--review-ms", type=float, default=0.0)
    parser.add_argument("--unsafe-share", type=float, default=0.0, help="0.1: every tenth review")
    given = parser.parse_args()
    settings = Settings(given.generate_ms / 1000, given.review_ms / 1000, given.unsafe_share)
    uvloop.run(serve(given.host, given.port, settings))


if __name__ == "__main__":
    main()
