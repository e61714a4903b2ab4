"""Policies, the model with its calibrations, and classifiers."""

import asyncio
import importlib.util

from inwit.bootstrap import check_classifiers, known_calibrations
from inwit.clients.classifiers.configured import configured_panel
from inwit.clients.classifiers.panel import Panel
from inwit.clients.embedded.model import adapter_file, packaged_model
from inwit.clients.openai_compatible import Capabilities
from inwit.clients.served import served_client
from inwit.config import Settings
from inwit.doctor.finding import Finding, ok, warning, wrong
from inwit.errors import SetupError, UpstreamError
from inwit.policy.calibration import fits_all
from inwit.policy.loader import PACKAGED, load_policies
from inwit.types import Exchange, Message, ReviewStatus

_CLASSIFY_S = 4.0
_HARMLESS = Exchange(
    conversation=(Message("user", "How do tides work?"),),
    answer="The moon pulls the sea.",
    covers="",
    tenant="inwit-doctor",
)


async def policies_of(settings: Settings) -> list[Finding]:
    """Whether they compile, and name classifiers that are there."""
    name, folder = "policies", settings.policy_dir or PACKAGED
    try:
        policies = await asyncio.to_thread(load_policies, folder)
        check_classifiers(configured_panel(settings.classifiers), policies)
    except SetupError as error:
        return [wrong(name, str(error), "Mend it, then run `inwit policy check`.")]
    return [ok(name, f"{', '.join(sorted(policies))} compile.")]


async def model_and_calibrations(settings: Settings) -> list[Finding]:
    """What the model server can do, and whether calibrations fit what reviews."""
    if settings.model_url is None:
        return _embedded_model(settings)
    try:
        async with served_client(settings, settings.model) as client:
            found = await client.probe()
    except UpstreamError as error:
        remedy = "See that it runs; INWIT_MODEL_URL ends in /v1 for most servers."
        return [wrong("model", error.detail, remedy), *_calibrations(settings, None)]
    except SetupError as error:
        return [wrong("model", str(error), "Mend INWIT_MODEL_URL.")]
    return [*_served(found), *_calibrations(settings, found)]


def _served(found: Capabilities) -> list[Finding]:
    name, reviewers = "model", ", ".join(found.reviewers)
    if not found.logprobs:
        words = f"{', '.join(found.models)}: answers carry no log-probabilities: no review works."
        remedy = "Use a server that gives `top_logprobs`, such as vLLM (deploy/vllm)."
        return [wrong(name, words, remedy)]
    context = f"; {found.context} tokens of context" if found.context else ""
    words = f"{', '.join(found.models)} answers in chat; {reviewers} reviews{context}."
    findings = [ok(name, words)]
    if not found.cache_salt:
        words = "The server takes no `cache_salt`: tenants share its prefix cache."
        findings.append(warning(name, words, "Use a vLLM that takes it, or one server a tenant."))
    return findings


def _embedded_model(settings: Settings) -> list[Finding]:
    name = "model"
    if not settings.embedded_model:
        remedy = "Set INWIT_MODEL_URL, or INWIT_EMBEDDED_MODEL=1 for one of its own."
        return [wrong(name, "No model server is named.", remedy)]
    try:
        file = settings.embedded_model_file or packaged_model()
    except SetupError as error:
        return [wrong(name, str(error), "See the README.")]
    if not file.is_file():
        remedy = "Mend INWIT_EMBEDDED_MODEL_FILE."
        return [wrong(name, f"{file} is not a file.", remedy)]
    try:
        adapter_file(
            settings.embedded_conscience, packaged_model=settings.embedded_model_file is None
        )
    except SetupError as error:
        return [wrong(name, str(error), "Mend INWIT_EMBEDDED_CONSCIENCE.")]
    if importlib.util.find_spec("xllamacpp") is None:
        return [wrong(name, "The wheel xllamacpp is not installed.", "Run `make up`.")]
    words = f"Embedded: {file.name} starts with the gateway. It is for trying Inwit out."
    return [warning(name, words, "For a product name a model server by INWIT_MODEL_URL.")]


def _calibrations(settings: Settings, found: Capabilities | None) -> list[Finding]:
    name = "calibrations"
    try:
        known = known_calibrations(settings)
        policies = load_policies(settings.policy_dir or PACKAGED)
    except SetupError as error:
        return [wrong(name, str(error), "Mend it, or fit it anew: `inwit calibrate`.")]
    if found is None:
        words = f"{len(known)} are here; which of them fit is not known without the model."
        return [warning(name, words, "Mend the model first.")]
    raw = sorted(
        policy.name
        for policy in policies.values()
        if not fits_all(known, policy.review, found.reviewers)
    )
    if raw:
        words = f"None for {', '.join(raw)} with what reviews here: the stricter thresholds hold."
        return [warning(name, words, "Fit one (`inwit calibrate`), and set INWIT_CALIBRATION_DIR.")]
    return [ok(name, "Each policy has one that fits what reviews.")]


async def classifiers_of(settings: Settings) -> list[Finding]:
    """Whether each gives a judgement on a harmless answer."""
    name = "classifiers"
    try:
        panel = configured_panel(settings.classifiers)
    except SetupError as error:
        return [wrong(name, str(error), "Mend INWIT_CLASSIFIERS (docs/classifiers.md).")]
    await panel.open()
    try:
        return await asyncio.gather(*(_classifier(panel, each) for each in panel.names))
    finally:
        await panel.close()


async def _classifier(panel: Panel, name: str) -> Finding:
    verdict = await panel.classify((name,), _HARMLESS, _CLASSIFY_S)
    check = f"classifier {name}"
    if verdict.status is ReviewStatus.JUDGED:
        return ok(check, "It judges.")
    words = f"It gives no judgement ({verdict.outcome})."
    return wrong(check, words, "Check its entry in INWIT_CLASSIFIERS, and its server.")
