"""Which of a chat's further parameters go through to the model server, and which are refused.

What is not named here goes through as it came: sampling, constraints on the form, and what a server
knows beside OpenAI's own. Refused is what would leave the review with less than the model read or
wrote, reach across tenants, or ask for what an answer cannot hold (docs/openai.md).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from inwit.errors import FieldError


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a parameter is refused, what to do, and the values that mean the same as none."""

    why: str
    means_none: tuple[Any, ...] = (False,)


_ONE = "one candidate is written and reviewed for each request; send the request again for another"
_ONLY_TEXT = "an answer holds reviewed text and tool calls, nothing else; leave it out"
_TEXT_IN = "Inwit takes and reviews text only; leave it out"
_PROMPT = "the model must read exactly the messages that are reviewed; leave it out"
_WHOLE = "the review must see all that the model wrote; leave it out"
_ISOLATION = "Inwit sets it, or keeps tenants apart by it, at the model server; leave it out"
_MISPLACED = "Inwit's own fields stand in the object `inwit`"
_OTHER_MODEL = "another model than the one that was asked for would write; leave it out"

REFUSED: Mapping[str, Refused] = {
    # Several candidates.
    "n": Refused(_ONE, (1,)),
    "best_of": Refused(_ONE, (1,)),
    "use_beam_search": Refused(_ONE),
    # What an answer cannot hold: tokens that nobody reviewed, ids of them, the prompt itself.
    "logprobs": Refused(_ONLY_TEXT),
    "top_logprobs": Refused(_ONLY_TEXT, (0,)),
    "prompt_logprobs": Refused(_ONLY_TEXT),
    "logprob_token_ids": Refused(_ONLY_TEXT, ([],)),
    "return_tokens_as_token_ids": Refused(_ONLY_TEXT),
    "return_token_ids": Refused(_ONLY_TEXT),
    "return_token_offsets": Refused(_ONLY_TEXT),
    "return_tokens": Refused(_ONLY_TEXT),
    "return_prompt_text": Refused(_ONLY_TEXT),
    "return_hidden_states": Refused(_ONLY_TEXT),
    "return_routed_experts": Refused(_ONLY_TEXT),
    "routed_experts_prompt_start": Refused(_ONLY_TEXT, (0,)),
    "n_probs": Refused(_ONLY_TEXT, (0,)),
    "post_sampling_probs": Refused(_ONLY_TEXT),
    "echo": Refused(_ONLY_TEXT),
    # Other kinds of content.
    "modalities": Refused(_TEXT_IN, (["text"],)),
    "audio": Refused(_TEXT_IN),
    "media_io_kwargs": Refused(_TEXT_IN, ({},)),
    "mm_processor_kwargs": Refused(_TEXT_IN, ({},)),
    "mm_payload": Refused(_TEXT_IN),
    "return_mm_kwargs": Refused(_TEXT_IN),
    # What would let the model read something else than is reviewed.
    "chat_template": Refused(_PROMPT),
    "documents": Refused("passages go into `inwit.context`, where the policy looks at them", ([],)),
    "plugins": Refused("put what you looked up into `inwit.context`", ([],)),
    "web_search_options": Refused("put what you looked up into `inwit.context`"),
    "add_generation_prompt": Refused(_PROMPT, (True,)),
    "continue_final_message": Refused(
        "an answer that goes on from a given start is not reviewed as a whole; leave it out"
    ),
    "add_special_tokens": Refused(_PROMPT),
    "truncate_prompt_tokens": Refused(_PROMPT),
    "truncation_side": Refused(_PROMPT),
    "transforms": Refused(_PROMPT, ([],)),
    "prompt": Refused(_PROMPT),
    # What would show the review less than was written, or as something else.
    "include_reasoning": Refused(_WHOLE, (True,)),
    "separate_reasoning": Refused(_WHOLE, (True,)),
    "reasoning_format": Refused(_WHOLE, ("auto",)),
    "skip_special_tokens": Refused(
        "control tokens do not belong in an answer; leave it out", (True,)
    ),
    "repetition_detection": Refused("an answer that is broken off is not released; leave it out"),
    # What reaches past the request: other tenants, other requests, the gateway's own settings.
    "cache_salt": Refused(_ISOLATION),
    "extra_key": Refused(_ISOLATION),
    "priority": Refused(_ISOLATION, (0,)),
    "request_id": Refused(_ISOLATION),
    "rid": Refused(_ISOLATION),
    "session_id": Refused(_ISOLATION),
    "session_params": Refused(_ISOLATION),
    "id_slot": Refused(_ISOLATION),
    "kv_transfer_params": Refused(_ISOLATION),
    "ec_transfer_params": Refused(_ISOLATION),
    "bootstrap_host": Refused(_ISOLATION),
    "bootstrap_port": Refused(_ISOLATION),
    "bootstrap_room": Refused(_ISOLATION),
    "data_parallel_rank": Refused(_ISOLATION),
    "vllm_xargs": Refused(_ISOLATION, ({},)),
    "custom_params": Refused(_ISOLATION),
    "custom_logit_processor": Refused("it is code that would run in the model server"),
    "logits_processors": Refused("they are code that would run in the model server", ([],)),
    "stream_interval": Refused(_ISOLATION),
    "n_predict": Refused("use `max_completion_tokens`"),
    "store": Refused("what was released is in Inwit's ledger; the model server stores nothing"),
    "extra_body": Refused("its fields stand in the body itself", ({},)),
    "lora": Refused(_OTHER_MODEL, ([],)),
    "lora_path": Refused(_OTHER_MODEL),
    "adapter_id": Refused(_OTHER_MODEL),
    "models": Refused(_OTHER_MODEL, ([],)),
    "fallbacks": Refused(_OTHER_MODEL, ([],)),
    "route": Refused(_OTHER_MODEL),
    # What belongs elsewhere: a policy that is not read would mean that another one decides.
    "policy": Refused(_MISPLACED),
    "context": Refused(_MISPLACED, ([],)),
    "conversation_id": Refused(_MISPLACED),
    "deadline_ms": Refused(_MISPLACED),
    "callback_url": Refused("a held answer is asked for at `inwit.escalation.poll`"),
    "end_user": Refused("use `user`"),
    # OpenAI's older names.
    "functions": Refused("use `tools`", ([],)),
    "function_call": Refused("use `tool_choice`", ("none", "auto")),
}

_SHOWN_NAME = 120
_TEMPLATE = "chat_template_kwargs"
# Switches of chat templates. Others could carry text into the prompt past the review.
TEMPLATE_SWITCHES = ("enable_thinking", "thinking")


def refused(parameters: Mapping[str, Any]) -> tuple[FieldError, ...]:
    """What is wrong with the parameters that are not read here."""
    errors = [
        FieldError(name, f"not served here: {REFUSED[name].why}")
        for name, value in parameters.items()
        if name in REFUSED and value not in REFUSED[name].means_none
    ]
    if not _only_switches(parameters.get(_TEMPLATE, {})):
        names = " and ".join(f"`{name}`" for name in TEMPLATE_SWITCHES)
        errors.append(FieldError(_TEMPLATE, f"may hold {names}, each true or false, nothing else"))
    errors += [
        FieldError(name[:_SHOWN_NAME], "NaN and infinity are not JSON")
        for name, value in parameters.items()
        if not _is_json(value)
    ]
    return tuple(errors)


def passed_on(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What goes through to the model server, of parameters of which none is refused."""
    return {name: value for name, value in parameters.items() if name not in REFUSED}


def _only_switches(template: Any) -> bool:
    return isinstance(template, dict) and all(
        name in TEMPLATE_SWITCHES and isinstance(value, bool)
        for name, value in cast(dict[str, Any], template).items()
    )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
