"""Addresses of web origins in settings: which ones are safe to name."""

from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address is this machine, as seen from itself."""
    return host in ("localhost", "127.0.0.1", "::1")


def is_safe(address: str) -> bool:
    """https, or http that never leaves the machine; without credentials."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    return safe and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment


def is_origin(address: str) -> bool:
    """The same, and nothing after the host and its port."""
    return is_safe(address) and address == "{0.scheme}://{0.netloc}".format(urlsplit(address))
