"""Settings: from the environment (`INWIT_…`), over an optional TOML file named by INWIT_CONFIG."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from inwit.cases import Role
from inwit.config_ledger import LedgerSettings
from inwit.errors import SetupError
from inwit.origins import is_origin, is_safe
from inwit.types import Severity

_Ms = Annotated[int, Field(ge=1, le=600_000)]
_Count = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, le=1)]

PACKAGED_ADAPTER, NO_ADAPTER = "packaged", "none"
REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "redis+cluster")


class ClassifierSettings(BaseModel):
    """One entry of INWIT_CLASSIFIERS: where a classifier answers (docs/classifiers.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["guard_llm", "openai_moderation", "http"]
    url: AnyHttpUrl
    family: str | None = None
    model: str | None = None
    api_key: SecretStr | None = None
    judges_input: bool = False
    timeout_ms: _Ms = 2_000
    max_in_flight: _Count = 64

    @model_validator(mode="after")
    def _family_where_it_belongs(self) -> Self:
        if (self.family is not None) != (self.kind == "guard_llm"):
            raise ValueError("`family` belongs to kind guard_llm, and must be there")
        if self.judges_input and self.kind != "http":
            raise ValueError("`judges_input` belongs to kind http; the others know it themselves")
        return self


_Rate = Annotated[int, Field(strict=True, ge=1, le=10**12)]
_Name = Annotated[str, Field(min_length=1)]


class Rates(BaseModel):
    """What may be used in a minute; no limit where None."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: _Rate | None = None
    tokens: _Rate | None = None

    def overridden_by(self, other: "Rates | None") -> "Rates":
        """These, but for what the other one says, an explicit null included."""
        if other is None:
            return self
        return self.model_copy(
            update={name: getattr(other, name) for name in other.model_fields_set}
        )


class RateRules(BaseModel):
    """INWIT_RATE_LIMITS: what each API key and each tenant may use (docs/rate-limits.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Rates = Rates()
    tenant: Rates = Rates()
    keys: dict[_Name, Rates] = Field(default_factory=dict[str, Rates])
    tenants: dict[_Name, Rates] = Field(default_factory=dict[str, Rates])

    @model_validator(mode="before")
    @classmethod
    def _is_an_object(cls, value: object) -> object:
        if isinstance(value, str | int | float | list):
            raise ValueError("it must be a JSON object")
        return value

    def of_key(self, key_id: str) -> Rates:
        """What the key with this id may use."""
        return self.key.overridden_by(self.keys.get(key_id))

    def of_tenant(self, tenant: str) -> Rates:
        """What all keys of this tenant may use together."""
        return self.tenant.overridden_by(self.tenants.get(tenant))

    @property
    def any(self) -> bool:
        """Whether there is a limit for anyone at all."""
        everyone = (self.key, self.tenant, *self.keys.values(), *self.tenants.values())
        return any(rates.requests or rates.tokens for rates in everyone)


class Settings(LedgerSettings):
    """Every setting, read once at start. docs/settings.md lists them; a test keeps it equal."""

    model_config = SettingsConfigDict(env_prefix="INWIT_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    operate_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of its own for /healthz, /startupz, /readyz and /metrics, which are then "
        "not on the other one; 0 takes a free one (docs/life-cycle.md).",
    )
    data_dir: Path = Field(Path("var"), description="Where the ledger and embedded parts live.")
    database_url: SecretStr | None = Field(
        None, description="postgresql://… for the ledger; SQLite in data_dir when unset."
    )
    migrate: bool = Field(
        True,
        description="Bring the database to this version's schema at the start; when off, the start "
        "is refused where `inwit ledger migrate` has not (docs/life-cycle.md).",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="redis://, rediss://, redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB "
        "or redis+cluster://HOST:PORT,HOST:PORT.",
    )
    embedded_redis: bool = Field(False, description="Run Valkey inside the process tree instead.")
    model_url: AnyHttpUrl | None = Field(
        None,
        description="Base address of an OpenAI-compatible server, such as http://vllm:8000/v1.",
    )
    model: str | None = Field(None, description="Model to use; the first served one when unset.")
    conscience_model: str | None = Field(
        None,
        description="Conscience adapter that reviews, as the model server calls it "
        "(docs/conscience.md); the model itself reviews when unset.",
    )
    model_api_key: SecretStr | None = Field(None, description="Key for the model server.")
    cache_secret: SecretStr | None = Field(
        None,
        description="Keeps tenants apart in the model server's prefix cache; drawn at start when "
        "unset. Set the same on every replica to share a cache between them.",
    )
    embedded_model: bool = Field(False, description="Run llama.cpp inside the process tree.")
    embedded_model_file: Path | None = Field(
        None, description="GGUF file for the embedded model; SmolLM2-135M-Instruct when unset."
    )
    embedded_conscience: str = Field(
        PACKAGED_ADAPTER,
        description="Conscience adapter of the embedded model: `packaged` (for the model that is "
        "used when embedded_model_file is unset), `none`, or a GGUF file of your own.",
    )
    policy_dir: Path | None = Field(
        None, description="Folder of policies; the packaged ones when unset."
    )
    classifiers: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ClassifierSettings
    ] = Field(
        default_factory=dict[str, ClassifierSettings],
        description="Independent classifiers by name, as JSON; policies name them. `embedded` is "
        "always there. docs/classifiers.md has the keys.",
    )
    calibration_dir: Path | None = Field(
        None,
        description="Folder of calibrations (`inwit calibrate`), before those that Inwit brings "
        "for its own conscience adapter.",
    )
    rate_limits: RateRules | None = Field(
        None,
        description="Requests and tokens a minute by API key and by tenant, as JSON; no limits "
        "when unset. docs/rate-limits.md has the keys.",
    )
    max_in_flight: _Count = Field(256, description="Requests worked on at once; 503 past that.")
    max_body_bytes: _Count = Field(2**20, description="Largest request body; 413 past that.")
    max_tokens: _Count = Field(
        512, description="Largest and default length of an answer, in tokens."
    )
    deadline_ms: _Ms = Field(
        60_000, description="Longest time for generation and review together, in milliseconds."
    )
    generate_ms: _Ms = Field(50_000, description="Longest time for the stage generate.")
    judge_ms: _Ms = Field(10_000, description="Longest time for the stage judge.")
    explain_ms: _Ms = Field(
        15_000, description="Longest time for the call that names categories past the threshold."
    )
    classify_ms: _Ms = Field(
        5_000, description="Longest time for the stage classify or input, all fallbacks together."
    )
    record_ms: _Ms = Field(5_000, description="Longest time for the stage record.")
    heartbeat_ms: _Ms = Field(
        5_000, description="Time after which a silent stream of events gets a heartbeat."
    )
    send_ms: _Ms = Field(
        30_000, description="Longest time that the reader of a stream may take nothing."
    )
    key_cache_ms: _Ms = Field(5_000, description="How long a revoked API key may still work.")
    health_interval_ms: _Ms = Field(5_000, description="Time between looks at each dependency.")
    shutdown_s: _Count = Field(
        80,
        description="Time that open requests get at shutdown, in seconds; not below "
        "INWIT_DEADLINE_MS, twice INWIT_RECORD_MS and 5 seconds together (docs/life-cycle.md).",
    )
    lease_s: _Count = Field(
        120, description="Seconds that a reviewer's lease on a case lasts without a heartbeat."
    )
    undo_s: Annotated[int, Field(ge=0, le=600)] = Field(
        10, description="Seconds in which a ruling can be taken back where no caller waits in line."
    )
    blind_share: _Share = Field(
        0.0,
        description="Share of cases that are first shown without scores and rewrite, until the "
        "reviewer has given a first verdict.",
    )
    golden_share: _Share = Field(
        0.0, description="Share of cases given out that are golden: their answer is known."
    )
    exposure_budget: dict[Severity, _Count] | None = Field(
        None,
        description="Most cases of each severity of which a reviewer is shown a text in a day, as "
        "JSON; past that they are given milder ones.",
    )
    evaluation_report: Path | None = Field(
        None,
        description="report.json of `inwit evaluate run`, of which /metrics shows the catch rate "
        "under attack.",
    )
    trace_content: bool = Field(
        False,
        description="Put the texts of conversations and candidates into spans, those that were "
        "blocked too. For development only (docs/telemetry.md).",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level logged."
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses and networks of the proxies in front, with commas between: what "
        "they say of the caller's address (X-Forwarded-For) counts, and nobody else's.",
    )
    console_url: str | None = Field(
        None,
        description="Public address of the review console's host, such as "
        "https://inwit.example.com; sign-in through an identity provider needs it.",
    )
    session_s: _Count = Field(
        12 * 3600, description="How long a sign-in to the console lasts, in seconds."
    )
    session_idle_s: _Count = Field(
        3600, description="How long it lasts without any action of the person, in seconds."
    )
    oidc_issuer: str | None = Field(
        None,
        description="Identity provider (OpenID Connect) to sign in to the console by, as it "
        "writes its own address. docs/console.md has the steps.",
    )
    oidc_client_id: str | None = Field(None, description="What the provider knows Inwit as.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret that goes with it; none for a public client."
    )
    oidc_role_claim: str = Field(
        "groups", description="Claim that says who gets which role; dots lead into objects."
    )
    oidc_roles: dict[_Name, Role] = Field(
        default_factory=dict[str, Role],
        description="Values of that claim with the role each one gives, as JSON. The first that "
        "fits counts; who has none is refused.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        file = os.environ.get("INWIT_CONFIG")
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(file))

    @model_validator(mode="after")
    def _model_address(self) -> Self:
        if self.model_url is not None and self.model_url.username is not None:
            raise ValueError("model_url must hold no credentials; INWIT_MODEL_API_KEY is for them")
        return self

    @model_validator(mode="after")
    def _embedded_is_taken(self) -> Self:
        if "embedded" in self.classifiers:
            raise ValueError("classifiers: `embedded` is the name of the one that is always there")
        return self

    @model_validator(mode="after")
    def _console_addresses(self) -> Self:
        if self.console_url is not None and not is_origin(self.console_url):
            raise ValueError(
                "console_url must be https://HOST[:PORT] and nothing after it "
                "(http:// is for this machine alone)"
            )
        if self.oidc_issuer is not None and not is_safe(self.oidc_issuer):
            raise ValueError("oidc_issuer must begin with https:// (http:// is for this machine)")
        if self.oidc_issuer is None and self.oidc_client_id is None:
            return self
        for name in ("oidc_issuer", "oidc_client_id", "oidc_roles", "console_url"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be set too: sign-in by a provider needs it")
        return self

    @model_validator(mode="after")
    def _proxies_are_addresses(self) -> Self:
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"trusted_proxies: {proxy!r} is no address, such as 10.0.0.5, and no network, "
                    "such as 10.0.0.0/24"
                ) from error
        return self

    @property
    def proxies(self) -> list[str]:
        """`trusted_proxies`, one by one."""
        given = (self.trusted_proxies or "").split(",")
        return [each.strip() for each in given if each.strip()]

    @model_validator(mode="after")
    def _redis_scheme(self) -> Self:
        if self.redis_url is None:
            return self
        if urlsplit(self.redis_url.get_secret_value()).scheme not in REDIS_SCHEMES:
            raise ValueError(f"redis_url must begin with one of {', '.join(REDIS_SCHEMES)}")
        return self


# Read elsewhere: where the settings are, where labelled sets are, a caller's own key.
_NO_SETTINGS = ("INWIT_CONFIG", "INWIT_DATA", "INWIT_API_KEY")


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A misspelt setting would otherwise be a setting left at its default, in silence."""
    known = {*_NO_SETTINGS, *(f"INWIT_{name.upper()}" for name in Settings.model_fields)}
    for name in sorted(environment):
        if name.startswith("INWIT_") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise SetupError(f"{name} is not a setting.{meant} docs/settings.md lists them.")


def load_settings(**overrides: object) -> Settings:
    """Read the settings.

    Raises:
        SetupError: naming the setting that is wrong, as its environment variable.
    """
    file = os.environ.get("INWIT_CONFIG")
    if file is not None and not Path(file).is_file():
        raise SetupError(f"INWIT_CONFIG names {file}, which is not a file.")
    _refuse_unknown(os.environ)
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]  # checked by pydantic
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        setting, *path = [str(part) for part in first["loc"]] or [""]
        key = f"INWIT_{setting.upper()}" if setting else "The settings"
        place = f"{'.'.join(path)}: " if path else ""
        raise SetupError(f"{key}: {place}{first['msg']}.") from None
    except SettingsError as error:  # it names the field, and what is in it may be a secret
        named = re.search(r'field "(\w+)" from source "Env', str(error))
        key = f"INWIT_{named[1].upper()}" if named else "A setting"
        raise SetupError(f"{key}: it must be JSON.") from None
    except ValueError as error:  # the TOML file
        raise SetupError(f"INWIT_CONFIG: {error}.") from error
