"""Presidio itself, where it is installed; and what is said where it is not."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from inwit.bootstrap import open_gateway
from inwit.clients.presidio import Presidio, open_presidio
from inwit.config import load_settings
from inwit.errors import SetupError

TEXT = (
    "Mail ann.smith@example.com, card 4111 1111 1111 1111, IBAN DE89370400440532013000, "
    "phone +49 30 901820, at 10.1.2.3. Ann Smith has 12345 tides and 1234567890123."
)


class Refusing(socket.socket):
    """A machine without a network."""

    def connect(self, address: Any, /) -> None:
        raise AssertionError(f"asked the network: {address}")


@pytest.fixture
def presidio(monkeypatch: pytest.MonkeyPatch) -> Presidio:
    pytest.importorskip("presidio_analyzer", reason="Presidio is an extra: inwit[pii]")
    monkeypatch.setattr(socket, "socket", Refusing)
    return open_presidio(None)


def test_patterns_are_found_without_a_model_and_without_the_network(presidio: Presidio) -> None:
    found = {(each.kind, TEXT[each.start : each.end]) for each in presidio.find(TEXT)}

    assert found == {
        ("EMAIL_ADDRESS", "ann.smith@example.com"),
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("IBAN_CODE", "DE89370400440532013000"),
        ("PHONE_NUMBER", "+49 30 901820"),
        ("IP_ADDRESS", "10.1.2.3"),
    }
    assert presidio.find("") == []
    assert presidio.find("The moon pulls the sea.") == []


CONFIGS = {
    "is not there": (None, "cannot be read"),
    "is no YAML": ("{", "cannot be read"),
    "names no engine": ("supported_languages: [en]", "must be one of"),
    "names one that downloads": ("nlp_configuration: {nlp_engine_name: stanza}", "must be one of"),
    "names no model": ("nlp_configuration: {nlp_engine_name: spacy}", "is not installed here"),
    "names a model that is not here": (
        "nlp_configuration: {nlp_engine_name: spacy, models: "
        "[{lang_code: en, model_name: en_core_web_lg}]}",
        "'en_core_web_lg' is not installed here",
    ),
}


@pytest.mark.usefixtures("presidio")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_would_need_the_network_is_refused(tmp_path: Path, name: str) -> None:
    text, said = CONFIGS[name]
    file = tmp_path / "presidio.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SetupError, match=said):
        open_presidio(file)


@pytest.mark.usefixtures("presidio")
def test_a_configuration_of_ones_own_is_used(tmp_path: Path) -> None:
    file = tmp_path / "presidio.yaml"
    file.write_text(
        """
supported_languages: [de]
nlp_configuration:
  nlp_engine_name: no_op
  models: [{lang_code: de, model_name: none}]
recognizer_registry:
  supported_languages: [de]
  recognizers:
    - name: Tickets
      type: custom
      supported_entity: TICKET
      supported_languages: [{language: de}]
      patterns: [{name: ticket, regex: "T-[0-9]+", score: 0.9}]
"""
    )

    (found,) = open_presidio(file).find("Siehe T-4711.")

    assert (found.kind, found.start, found.end) == ("TICKET", 6, 12)


def test_where_it_is_not_installed_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    with pytest.raises(SetupError, match=r"pip install 'inwit\[pii\]'"):
        open_presidio(None)


async def test_a_bound_that_leaves_no_time_to_record_is_refused(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path, redact_stored="presidio", redact_stored_ms=10, record_ms=10
    )

    with pytest.raises(SetupError, match="INWIT_REDACT_STORED_MS"):
        async with open_gateway(settings):
            pass
