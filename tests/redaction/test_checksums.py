"""Check digits against published examples; a wrong character is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inwit.redaction import checksums

# Published examples: national offices, ISO documents and Wikipedia's articles on each.
VALID = [
    (checksums.is_luhn, "79927398713"),
    (checksums.is_iban, "GB82WEST12345698765432"),
    (checksums.is_iban, "CH9300762011623852957"),
    (checksums.is_iban, "BR1800360305000010009795493C1"),
    (checksums.is_iban, "YE15CBYE0001018861234567891234"),
    (checksums.is_dni, "12345678Z"),
    (checksums.is_dni, "Y1234567X"),
    (checksums.is_nir, "255081416802538"),
    (checksums.is_codice_fiscale, "RSSMRA85T10A562S"),
    (checksums.is_codice_fiscale, "MRTMTT91D08F205J"),
    (checksums.is_steuer_id, "86095742719"),
    (checksums.is_steuer_id, "57549285017"),
    (checksums.is_bsn, "123456782"),
    (checksums.is_pesel, "02070803628"),
    (checksums.is_cpf, "11144477735"),
    (checksums.is_aadhaar, "999941057058"),
    (checksums.is_resident_id, "440524188001010014"),
]


@pytest.mark.parametrize(("check", "value"), VALID)
def test_published_examples_are_valid(check: object, value: str) -> None:
    assert callable(check)
    assert check(value)


@pytest.mark.parametrize(("check", "value"), VALID)
def test_a_wrong_last_character_is_noticed(check: object, value: str) -> None:
    assert callable(check)
    last = value[-1]
    wrong = str((int(last) + 1) % 10) if last.isdigit() else chr(65 + (ord(last) - 64) % 26)

    assert not check(value[:-1] + wrong)


@given(st.text("0123456789", min_size=12, max_size=12), st.integers(0, 10))
def test_verhoeff_notices_each_swap_of_neighbours(digits: str, place: int) -> None:
    valid = next(
        digits[:-1] + str(check)
        for check in range(10)
        if checksums.is_aadhaar("2" + digits[1:-1] + str(check))
    )
    valid = "2" + valid[1:]
    swapped = valid[:place] + valid[place + 1] + valid[place] + valid[place + 2 :]

    assert swapped == valid or not checksums.is_aadhaar(swapped)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("078051120", True),
        ("000121234", False),
        ("666121234", False),
        ("900121234", False),
        ("123001234", False),
        ("123120000", False),
    ],
)
def test_numbers_never_issued_are_no_ssn(value: str, valid: bool) -> None:
    assert checksums.is_ssn(value) is valid


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("AB123456C", True),
        ("QQ123456C", False),
        ("GB123456A", False),
        ("AO123456A", False),
        ("AB123456E", False),
    ],
)
def test_the_form_of_a_nino(value: str, valid: bool) -> None:
    assert checksums.is_nino(value) is valid
