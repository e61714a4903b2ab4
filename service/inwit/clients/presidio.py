"""Presidio as a finder of private data: in this process, without the network.

The package is an extra. As it comes it works by patterns alone, since no package index has a model
of language for it; who has one names it in a configuration, as Presidio documents that.
"""

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import yaml

from inwit.errors import SetupError
from inwit.redaction.stored import Found

_LANGUAGE = "en"  # most patterns are for any language, and registered for this one
_SUREST_ONLY = 0.4  # below, patterns of Presidio's match any number of some length
_KINDS = (
    *("CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS"),
    *("PHONE_NUMBER", "UK_NHS", "US_BANK_NUMBER", "US_ITIN", "US_PASSPORT", "US_SSN"),
)
_LOCAL = ("spacy", "no_op")


class Presidio:
    """Finds private data by an analyzer of Presidio's. For one thread at a time."""

    def __init__(self, engine: Any, language: str, kinds: Sequence[str] | None) -> None:
        self._engine, self._language = engine, language
        known = engine.get_supported_entities(language)
        self._kinds = None if kinds is None else [kind for kind in kinds if kind in known]

    def find(self, text: str) -> list[Found]:
        """All that is found; spans may overlap."""
        results = self._engine.analyze(text, self._language, entities=self._kinds)
        return [Found(each.start, each.end, each.entity_type, each.score) for each in results]


def open_presidio(config: Path | None) -> Presidio:
    """Load it; some seconds, and 100 MB of memory or more.

    `config` is an analyzer configuration of Presidio's (YAML); None is patterns alone.

    Raises:
        SetupError: it is not installed; or the configuration is wrong, or would download a model.
    """
    try:
        analyzer = import_module("presidio_analyzer")
        suffixes: Any = import_module("tldextract.tldextract")
    except ModuleNotFoundError as error:
        raise SetupError(
            "INWIT_REDACT_STORED needs Presidio, which is not installed: pip install 'inwit[pii]'."
        ) from error
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    # It asks the network for a list of domains where it is not told otherwise; one comes with it.
    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    if config is None:
        return Presidio(_by_patterns(analyzer), _LANGUAGE, _KINDS)
    facts = _checked(config)
    provider = import_module("presidio_analyzer.analyzer_engine_provider")
    try:
        engine = provider.AnalyzerEngineProvider(analyzer_engine_conf_file=config).create_engine()
    except Exception as error:
        raise _wrong(
            config, f"Presidio does not take it ({type(error).__name__}: {error})"
        ) from error
    return Presidio(engine, str((facts.get("supported_languages") or [_LANGUAGE])[0]), None)


def _by_patterns(analyzer: Any) -> Any:
    engines = import_module("presidio_analyzer.nlp_engine")
    nothing = engines.NoOpNlpEngine([{"lang_code": _LANGUAGE, "model_name": ""}])
    nothing.load()
    registry = analyzer.RecognizerRegistry(supported_languages=[_LANGUAGE])
    registry.load_predefined_recognizers(languages=[_LANGUAGE], nlp_engine=nothing)
    return analyzer.AnalyzerEngine(
        registry=registry,
        nlp_engine=nothing,
        supported_languages=[_LANGUAGE],
        default_score_threshold=_SUREST_ONLY,
    )


def _checked(config: Path) -> dict[str, Any]:
    """The configuration, where all that it needs is here: Presidio would download the rest."""
    try:
        facts: Any = yaml.safe_load(config.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(config, "it cannot be read") from error
    engine = _object(_object(facts).get("nlp_configuration"))
    name = engine.get("nlp_engine_name")
    if name not in _LOCAL:
        raise _wrong(config, f"nlp_configuration.nlp_engine_name must be one of {_LOCAL}")
    if name == "spacy":
        for model in _models(engine):
            if not (import_module("spacy").util.is_package(model) or Path(model).is_dir()):
                raise _wrong(config, f"spaCy's model {model!r} is not installed here")
    return facts


def _models(engine: dict[str, Any]) -> list[str]:
    listed: Any = engine.get("models")
    models = cast("list[Any]", listed) if isinstance(listed, list) else []
    return [str(_object(each).get("model_name")) for each in models] or ["(none is named)"]


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _wrong(config: Path, what: str) -> SetupError:
    return SetupError(f"INWIT_REDACT_STORED_CONFIG: {config}: {what}.")
