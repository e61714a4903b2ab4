"""Which URLs and addresses may be called: over everything that a caller could write."""

import os
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from yarl import URL

from inwit.callbacks import CallbackRule, Target, allowed_host, check_callback, target
from inwit.errors import InvalidField
from inwit.escalation.addresses import AddressRefused, Lookup, Pinned, addresses_of, is_public

EXAMPLES = int(os.environ.get("INWIT_TEST_ADDRESSES", "200"))
RULE = CallbackRule(
    ("hooks.example.com", "*.acme.example", "api.example.com:8443", "localhost:9000", "[::1]:9000"),
    "whsec_c2VjcmV0",
)

NOT_PUBLIC = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("224.0.0.0/4", "240.0.0.0/4"),
)
private = st.sampled_from(NOT_PUBLIC).flatmap(
    lambda each: st.ip_addresses(v=4, network=IPv4Network(each))
)


def holding(address: IPv4Address) -> dict[str, IPv6Address]:
    """The forms in which an IPv6 address holds an IPv4 one."""
    number = int(address)
    return {
        "mapped": IPv6Address((0xFFFF << 32) | number),
        "compatible": IPv6Address(number),
        "nat64": IPv6Address((0x64FF9B << 96) | number),
        "local nat64": IPv6Address((0x64FF9B0001 << 80) | number),
        "6to4": IPv6Address((0x2002 << 112) | (number << 80) | 1),
        "teredo": IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
        "translated": IPv6Address((0xFFFF << 48) | number),
    }


# Most addresses of six are given to nobody.
likely_public = st.one_of(
    st.ip_addresses(v=4),
    *(st.ip_addresses(network=each) for each in ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96")),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(private)
def test_what_is_not_public_stays_so_in_every_form(address: IPv4Address) -> None:
    assert not is_public(address)
    for form, other in holding(address).items():
        assert not is_public(other), form


@settings(max_examples=EXAMPLES, deadline=None)
@given(likely_public)
def test_what_is_public_is_nothing_else(address: IPv4Address | IPv6Address) -> None:
    assume(is_public(address))
    seen = address
    if isinstance(address, IPv6Address):
        seen = address.ipv4_mapped or address
        if int(address) >> 32 == 0x64FF9B << 64:
            seen = IPv4Address(int(address) & 0xFFFFFFFF)

    assert seen.is_global
    assert not seen.is_private
    assert not seen.is_multicast
    assert not seen.is_reserved
    assert not seen.is_link_local
    assert not seen.is_loopback
    assert not seen.is_unspecified


@pytest.mark.parametrize(
    "text",
    [
        "::",
        "::1",
        "fe80::1",
        "fe80::1%1",
        "2606:4700::1111%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "100::1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "2001::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "::8.8.8.8",
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "192.88.99.1",
        "255.255.255.255",
    ],
)
def test_special_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_addresses_of_the_internet_are_public(text: str) -> None:
    assert is_public(ip_address(text))


def looking_up(*found: str) -> tuple[list[str], Lookup]:
    asked: list[str] = []

    async def lookup(name: str, port: int) -> Sequence[str]:
        asked.append(f"{name}:{port}")
        return found

    return asked, lookup


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://hooks.example.com/", ("8.8.8.8", "2606:4700::1111")),
        ("https://8.8.8.8/", ()),
        ("https://[2606:4700::1111]/", ()),
        ("http://localhost:9000/", ("127.0.0.1", "::1")),
        ("http://[::1]:9000/", ()),
    ],
)
async def test_an_address_that_may_be_called(url: str, found: tuple[str, ...]) -> None:
    asked, lookup = looking_up(*found)
    where = target(url)

    addresses = await addresses_of(where, lookup)

    assert addresses == list(found or [where.host.strip("[]")])
    assert len(asked) == bool(found)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://hooks.example.com/", ("127.0.0.1",)),
        ("https://hooks.example.com/", ("8.8.8.8", "10.0.0.1")),
        ("https://hooks.example.com/", ("2606:4700::1111", "::ffff:127.0.0.1")),
        ("https://hooks.example.com/", ("not an address",)),
        ("https://hooks.example.com/", ()),
        ("https://10.0.0.1/", ("8.8.8.8",)),
        ("https://127.0.0.2/", ("8.8.8.8",)),
        ("https://[::ffff:127.0.0.1]/", ("8.8.8.8",)),
        ("http://localhost:9000/", ("8.8.8.8",)),
        ("http://localhost:9000/", ("127.0.0.1", "10.0.0.1")),
    ],
)
async def test_an_address_that_may_not_be_called(url: str, found: tuple[str, ...]) -> None:
    _, lookup = looking_up(*found)

    with pytest.raises(AddressRefused):
        await addresses_of(target(url), lookup)


async def test_what_is_connected_to_is_what_was_looked_at() -> None:
    found = await Pinned(["8.8.8.8", "2606:4700::1111"]).resolve("anything.example", 443)

    assert [(each["hostname"], each["host"], each["port"]) for each in found] == [
        ("anything.example", "8.8.8.8", 443),
        ("anything.example", "2606:4700::1111", 443),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://HOOKS.Example.COM:443/a/b?c=d&e=%20",
        "https://hooks.example.com?x",
        "https://a.acme.example/",
        "https://a.b.acme.example/@x",
        "https://api.example.com:8443/",
        "http://localhost:9000/hook",
        "https://localhost:9000/hook",
        "http://[::1]:9000/",
        "http://[0:0:0:0:0:0:0:1]:9000/",
    ],
)
def test_a_url_that_a_key_may_name(url: str) -> None:
    check_callback(url, RULE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https:///",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com./",
        "https://evilhooks.example.com/",
        "https://hooks.example.com.evil.example/",
        "https://acme.example/",
        "https://evil-acme.example/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com@evil.example/",
        "https://hooks.example.com:443@evil.example/",
        "https://evil.example\\@hooks.example.com/",
        "https://hooks.example.com\\@evil.example/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/\n",
        "https://hooks.example.com/ x",
        "https://hooks.example.com/a\\b",
        " https://hooks.example.com/",
        "https://hooks.example.com/\u00e9",
        "https://hook\u017f.example.com/",
        "https://hooks%2eexample.com/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://localhost/",
        "http://localhost:9001/",
        "http://[::1%25lo]:9000/",
        "http://[::1]:9000@evil.example/",
        "https://hooks.example.com/" + "x" * 2048,
    ],
)
def test_a_url_that_no_key_may_name(url: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_callback(url, RULE)

    (problem,) = caught.value.errors
    assert problem.field == "callback_url"
    assert "evil" not in problem.problem + caught.value.detail


def test_a_key_without_hosts_names_none() -> None:
    with pytest.raises(InvalidField, match="cannot be used") as caught:
        check_callback("https://hooks.example.com/", None)

    assert "inwit keys callbacks" in caught.value.errors[0].problem


hosts = st.sampled_from(
    ["hooks.example.com", "a.acme.example", "evil.example", "127.0.0.1", "localhost", "[::1]", ""]
)
marks = [*"@:/?#\\.%[]; \t\n\x00\u017f\uff0f", "//", "%2f", ":443", ":80", "%00", "user"]
glue = st.lists(st.sampled_from(marks), max_size=3).map("".join)
schemes = st.sampled_from(["https:", "http:", "HTTPS:", ""])
hostile = st.tuples(schemes, glue, hosts, glue, hosts, glue)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(hostile.map("".join) | hostile.map(lambda parts: "".join([parts[0], "//", *parts[2:]])))
def test_every_reader_of_a_url_finds_the_host_that_was_allowed(url: str) -> None:
    try:
        check_callback(url, RULE)
    except InvalidField:
        return

    where, split, other = target(url), urlsplit(url), URL(url)
    plain = where.host.strip("[]")
    named = plain in {"hooks.example.com", "localhost", "::1"}
    assert named or plain.endswith(".acme.example")
    assert plain == split.hostname == other.raw_host
    assert split.username is None
    assert other.raw_user is None
    assert split.port in (where.port, None)
    assert other.port == where.port
    assert not split.fragment


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("Hooks.Example.COM", "hooks.example.com"),
        ("hooks.example.com:8443", "hooks.example.com:8443"),
        ("*.Example.com", "*.example.com"),
        ("*.example.com:8443", "*.example.com:8443"),
        ("[0:0::1]:80", "[::1]:80"),
        ("127.0.0.1", "127.0.0.1"),
        ("xn--caf-dma.example", "xn--caf-dma.example"),
    ],
)
def test_a_host_of_a_key_is_kept_in_one_spelling(given_: str, kept: str) -> None:
    assert allowed_host(given_) == kept


NO_HOSTS = """
    * *.com *.127.0.0.1 *.[::1] a,b https://a.b a.b/ a.b: a.b:0 a.b:70000 a..b -a.b a.b. 127.1
    1.2.3.256 [::g] [127.0.0.1:80 caf\u00e9.example u@a.b *.*.a.b
"""


@pytest.mark.parametrize("text", ["", "a b", "a.b\n", *NO_HOSTS.split()])
def test_what_is_no_host_of_a_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port|HOST"):
        allowed_host(text)


def test_a_rule_does_not_show_its_secret() -> None:
    assert "whsec_" not in repr(RULE)


def test_a_rule_that_someone_broke_allows_nothing() -> None:
    with pytest.raises(InvalidField):
        check_callback(
            "https://hooks.example.com/", CallbackRule(("a.b:99999", "*.", "", "*"), "s")
        )


def test_a_target_is_what_is_connected_to() -> None:
    assert target("https://HOOKS.example.com/x") == Target("https", "hooks.example.com", 443)
    assert target("http://[0::1]/") == Target("http", "[::1]", 80)
