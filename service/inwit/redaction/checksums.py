"""Check digits and fixed forms of identifiers. Each takes the characters without separators."""

from datetime import date
from functools import cache

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# Dihedral group D5: J. Verhoeff, Error Detecting Decimal Codes, 1969.
_D5 = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
_VERHOEFF = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)

# SWIFT, IBAN Registry (ISO 13616): the length for each country.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

# Leading digits and lengths: ISO/IEC 7812-1 and the networks' published number ranges.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),
    (6011, 6011, frozenset(range(16, 20))),  # Discover
    (644, 659, frozenset(range(16, 20))),
    (300, 305, frozenset(range(14, 20))),  # Diners Club
    (3095, 3095, frozenset(range(14, 20))),
    (36, 36, frozenset(range(14, 20))),
    (38, 39, frozenset(range(14, 20))),
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (62, 62, frozenset(range(16, 20))),  # UnionPay
    (81, 82, frozenset(range(16, 20))),  # UnionPay, RuPay
    (2200, 2204, frozenset(range(16, 20))),  # Mir
    (60, 60, frozenset({16})),  # RuPay
    (5018, 5018, frozenset(range(12, 20))),  # Maestro
    (5020, 5020, frozenset(range(12, 20))),
    (5038, 5038, frozenset(range(12, 20))),
    (5893, 5893, frozenset(range(12, 20))),
    (6304, 6304, frozenset(range(12, 20))),
    (6759, 6763, frozenset(range(12, 20))),
)

_ODD_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_ODD_LETTERS = (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (*_ODD_DIGITS, *_ODD_DIGITS, *_ODD_LETTERS),
        strict=True,
    )
)
_SUBSTITUTED = str.maketrans("LMNPQRSTUV", "0123456789")


def is_luhn(digits: str) -> bool:
    """Luhn's formula (ISO/IEC 7812-1, annex B)."""
    plain = sum(map(int, digits[-1::-2]))
    return (plain + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def card_lengths(number: str) -> frozenset[int]:
    """The lengths that an issuer gives numbers with these leading digits; at least four are given.

    Empty where no issuer is known.
    """
    return _card_lengths(number[:4])


@cache
def _card_lengths(leading: str) -> frozenset[int]:
    return frozenset[int]().union(
        *(
            lengths
            for low, high, lengths in _ISSUERS
            if low <= int(leading[: len(str(low))]) <= high
        )
    )


def iban_length(country: str) -> int | None:
    """How many characters an IBAN of this country has (two capital letters)."""
    return _IBAN_LENGTHS.get(country)


def is_iban(value: str) -> bool:
    """ISO 13616: the country's length, and ISO 7064 mod 97-10 equal to 1 over capitals."""
    if len(value) != _IBAN_LENGTHS.get(value[:2]):
        return False
    turned = value[4:] + value[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """US social security number: the areas, groups and serials never issued (SSA, 2011)."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def is_nino(value: str) -> bool:
    """UK national insurance number: its form (HMRC manual NIM39110); it has no check digit."""
    first, second = value[0], value[1]
    letters = first not in "DFIQUV" and second not in "DFIQUVO" and value[-1] in "ABCD"
    return letters and value[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def is_dni(value: str) -> bool:
    """Spanish DNI or NIE: the letter is the number mod 23 (Real Decreto 1553/2005, art. 11)."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def is_nir(value: str) -> bool:
    """French NIR: 97 less the number mod 97 (INSEE); Corsica's 2A and 2B count as 19 and 18."""
    number = value[:-2].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(value[-2:])


def is_codice_fiscale(value: str) -> bool:
    """Italian codice fiscale: the check character (DM 23 December 1976, n. 13813)."""
    total = sum(_ODD[character] for character in value[0:15:2])
    total += sum(
        int(character) if character.isdigit() else ord(character) - ord("A")
        for character in value[1:15:2]
    )
    day = int(value[9:11].translate(_SUBSTITUTED))
    return chr(65 + total % 26) == value[15] and (1 <= day <= 31 or 41 <= day <= 71)


def is_steuer_id(digits: str) -> bool:
    """German tax identifier: ISO 7064 mod 11,10, and one digit that repeats (BZSt)."""
    repeats = [digits[:10].count(digit) for digit in set(digits[:10])]
    repeats = [count for count in repeats if count > 1]
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return repeats in ([2], [3]) and (11 - product) % 10 == int(digits[10])


def is_bsn(digits: str) -> bool:
    """Dutch BSN: the test by eleven with the weights 9 to 2 and -1 (RvIG)."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True))
    return total % 11 == 0 and int(digits) > 0


def is_pesel(digits: str) -> bool:
    """Polish PESEL: weights 1, 3, 7, 9 mod 10 and a date (Ustawa o ewidencji ludności)."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits[:10], strict=True))
    month = int(digits[2:4]) % 20
    dated = 1 <= month <= 12 and 1 <= int(digits[4:6]) <= 31
    return dated and (10 - total % 10) % 10 == int(digits[10])


def is_cpf(digits: str) -> bool:
    """Brazilian CPF: two check digits mod 11 (Receita Federal)."""
    for length in (9, 10):
        total = sum(
            (length + 1 - place) * int(digit) for place, digit in enumerate(digits[:length])
        )
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return len(set(digits)) > 1


def is_aadhaar(digits: str) -> bool:
    """Indian Aadhaar: Verhoeff's scheme (UIDAI); it never starts with 0 or 1."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_D5[check][int(_VERHOEFF[place % 8][int(digit)])])
    return check == 0 and digits[0] not in "01"


def is_resident_id(value: str) -> bool:
    """Chinese resident identity number: a date and ISO 7064 mod 11-2 (GB 11643-1999)."""
    try:
        date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(value[:17]))
    return "10X98765432"[total % 11] == value[17].upper()
