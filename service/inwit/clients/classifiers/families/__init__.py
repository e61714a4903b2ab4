"""The families of guard models, by the name that settings use."""

from collections.abc import Mapping
from types import MappingProxyType

from inwit.clients.classifiers.families.family import Answer, Family, Position, Question, Reading
from inwit.clients.classifiers.families.gpt_oss_safeguard import gpt_oss_safeguard
from inwit.clients.classifiers.families.granite_guardian import (
    granite_guardian_3,
    granite_guardian_3_3,
    granite_guardian_4_1,
)
from inwit.clients.classifiers.families.llama_guard import LLAMA_GUARD_3, LLAMA_GUARD_4
from inwit.clients.classifiers.families.qwen3guard import QWEN3GUARD
from inwit.clients.classifiers.families.shieldgemma import SHIELDGEMMA
from inwit.clients.classifiers.families.wildguard import WILDGUARD

__all__ = [
    "FAMILIES",
    "Answer",
    "Family",
    "Position",
    "Question",
    "Reading",
    "gpt_oss_safeguard",
    "granite_guardian_3",
    "granite_guardian_3_3",
    "granite_guardian_4_1",
]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            LLAMA_GUARD_3,
            LLAMA_GUARD_4,
            granite_guardian_3(),
            granite_guardian_3_3(),
            granite_guardian_4_1(),
            granite_guardian_4_1(each_harm=True),
            SHIELDGEMMA,
            WILDGUARD,
            QWEN3GUARD,
            gpt_oss_safeguard(),
        )
    }
)
