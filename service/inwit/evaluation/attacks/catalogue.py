"""All attacks by name, in the order in which they are reported."""

from collections.abc import Mapping
from types import MappingProxyType

from inwit.evaluation.attacks.attack import Attack
from inwit.evaluation.attacks.encoding import ENCODING
from inwit.evaluation.attacks.framing import FRAMING
from inwit.evaluation.attacks.language import LANGUAGE
from inwit.evaluation.attacks.persistence import PERSISTENCE
from inwit.evaluation.attacks.reviewer import REVIEWER
from inwit.evaluation.attacks.splitting import SPLITTING
from inwit.evaluation.attacks.tools import TOOLS

ATTACKS: Mapping[str, Attack] = MappingProxyType(
    {
        attack.name: attack
        for group in (ENCODING, FRAMING, LANGUAGE, SPLITTING, TOOLS, REVIEWER, PERSISTENCE)
        for attack in group
    }
)
