"""Attacks that keep the label: what they are and why is in docs/evaluation/attacks.md."""

from inwit.evaluation.attacks.attack import Attack, Attacked, Group, most_characters
from inwit.evaluation.attacks.catalogue import ATTACKS

__all__ = ["ATTACKS", "Attack", "Attacked", "Group", "most_characters"]
