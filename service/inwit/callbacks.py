"""Which URLs may be called back for an API key. Pure: nothing is resolved or called here.

A callback URL comes from a caller. It is read by one narrow pattern, so that no other reader of it
can find another host in it; where its host leads to is looked at when it is called.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from inwit.errors import FieldError, InvalidField

FIELD = "callback_url"
LONGEST_URL = 2048
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

_DEFAULT_PORTS = {"https": 443, "http": 80}
_AUTHORITY = (
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_URL = re.compile(
    rf"(?P<scheme>https?)://{_AUTHORITY}(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*)?"
)
_RULE = re.compile(rf"(?P<below>\*\.)?{_AUTHORITY}")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a last label it makes an IPv4 address of a name


@dataclass(frozen=True, slots=True)
class CallbackRule:
    """Where the answers for an API key may be sent, and what signs them (`whsec_` and base64)."""

    hosts: tuple[str, ...]
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """The part of a URL that is connected to. `host` is lower case; an IPv6 one in brackets."""

    scheme: str
    host: str
    port: int


def target(url: str) -> Target:
    """Read a callback URL.

    Raises:
        ValueError: it is not one. The message says what one looks like, and does not quote it.
    """
    found = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if found is None:
        raise ValueError(
            f"must be https://HOST[:PORT]/… in at most {LONGEST_URL} characters of ASCII, without "
            "user, password or fragment"
        )
    scheme, host = found["scheme"], _host(found["host"])
    if scheme == "http" and host not in LOOPBACK:
        raise ValueError("must begin with https://; http:// is for localhost alone")
    return Target(scheme, host, _port(found["port"]) or _DEFAULT_PORTS[scheme])


def check_callback(url: str, rule: CallbackRule | None) -> None:
    """Refuse a URL that may not be called for an API key with this rule.

    Raises:
        InvalidField: for `callback_url`; it says why, and does not quote it.
    """
    try:
        where = target(url)
    except ValueError as error:
        raise _refused(str(error)) from error
    if rule is None:
        raise _refused("this API key has no hosts that may be called (inwit keys callbacks)")
    if not any(_allows(host, where) for host in rule.hosts):
        raise _refused(
            "its host and port are not among those that this API key may call "
            "(inwit keys list shows them)"
        )


def allowed_host(text: str) -> str:
    """Read `HOST`, `HOST:PORT` or `*.HOST` as a rule has it, in one spelling.

    Raises:
        ValueError: it is none of these.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError("a callback host is HOST, HOST:PORT or *.HOST")
    host, port = _host(found["host"]), _port(found["port"])
    below = found["below"] or ""
    if below and ("." not in host or _address(host) is not None):
        raise ValueError("*.HOST needs a name with a dot in it, as *.example.com")
    return f"{below}{host}" + (f":{port}" if port else "")


def _allows(rule: str, where: Target) -> bool:
    found = _RULE.fullmatch(rule)
    if found is None:
        return False
    if int(found["port"] or _DEFAULT_PORTS[where.scheme]) != where.port:
        return False
    if found["below"]:
        return where.host.endswith(f".{found['host']}")
    return where.host == found["host"]


def _host(text: str) -> str:
    """A host name in lower case, or an address as it is commonly written."""
    host = text.lower()
    labels = host.split(".")
    if host.startswith("[") or _NUMBER.fullmatch(labels[-1]):
        address = _address(host)
        if address is None:
            raise ValueError("its host looks like an IP address and is none")
        return f"[{address}]" if address.version == 6 else str(address)
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("its host is not a host name")
    return host


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _port(text: str | None) -> int | None:
    port = int(text) if text else None
    if port is not None and port > 0xFFFF:
        raise ValueError("its port is above 65535")
    return port


def _refused(problem: str) -> InvalidField:
    return InvalidField("The callback URL cannot be used.", (FieldError(FIELD, problem),))
