"""Which addresses may be called. A name is resolved once, and what was looked at is connected to.

The lists are the special-purpose registries of IANA, written out: what Python itself calls global
differs from one of its versions to the next.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from inwit.callbacks import LOOPBACK, Target

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a name, as text. Raises OSError where it has none."""

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers (CGNAT)
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the platform itself, on every virtual machine of Azure
            "169.254.0.0/16",  # link-local, and most clouds' metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")  # the only part of it that is given out
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address, is in it
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "3ffe::/16",  # the 6bone of old
            "3fff::/20",  # documentation
        ),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """The host leads to an address that may not be called."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the public internet, also where it holds another one."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in each for each in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    if address in _MAPPED or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_6 and not any(address in each for each in _NOT_PUBLIC_6)


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is this machine itself."""
    return address.is_loopback


async def addresses_of(where: Target, lookup: Lookup) -> list[str]:
    """The addresses that a target may be called at; one bad one among them spoils them all.

    Raises:
        AddressRefused: it leads elsewhere: a host that is literally loopback to anything else,
            and every other host to what is not public.
        OSError: the name cannot be resolved.
    """
    name = where.host.strip("[]")
    allowed = is_loopback if where.host in LOOPBACK else is_public
    found = [name] if _parsed(name) else await lookup(name, where.port)
    parsed = [_parsed(each) for each in found]
    if not parsed or not all(each is not None and allowed(each) for each in parsed):
        raise AddressRefused
    return [str(each) for each in parsed]


def system_lookup(threads: Executor) -> Lookup:
    """The system's own resolver, in threads of its own: a slow name server keeps nobody waiting."""

    def work(name: str, port: int) -> list[str]:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        return [str(each[4][0]) for each in found]

    async def lookup(name: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, work, name, port)

    return lookup


class Pinned(AbstractResolver):
    """Gives the addresses that were looked at, whatever is asked: nothing is resolved again."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All of them, of either family."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
