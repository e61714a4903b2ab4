"""What counts as private data, and where in a text it stands."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of private data, or a secret (`credential`)."""

    EMAIL = "email"
    PHONE = "phone"
    PAYMENT_CARD = "payment_card"
    IBAN = "iban"
    NATIONAL_ID = "national_id"
    IP_ADDRESS = "ip_address"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands: `text[start:end]`, counted in code points.

    Raises:
        ValueError: an empty span, or one before the start.
    """

    kind: Kind
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError("a span starts at 0 or later, and ends after its start")
