"""Addresses and account numbers in text. Each function gives the start and end of what it finds.

Forms are ASCII (see `folding`); a letter, digit or underscore beside a value makes it part of
something else. Letters of other scripts do not: Chinese is written without spaces.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from inwit.redaction import checksums
from inwit.redaction.national import is_near

_LONGEST_LOCAL = 64  # RFC 5321, 4.5.3.1.1
_LONGEST_DOMAIN = 64  # less than the 255 allowed: a stream holds back the longest form
# Of what RFC 5322 allows, what people use: the rest would make `key=a@b.org` one address.
_LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.%'+_-"
_LOCAL_EDGES = ".'%+-"
_DOMAIN = re.compile(
    r"(?:[^\W_](?:[^\W_]|-(?=[^\W_]|-)){0,61}\.){1,6}"
    r"(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,48}|[^\W\d_A-Za-z]{2,24})(?![A-Za-z0-9_])"
)
# `logo@2x.png`: the name of a file, not of a domain.
_FILES = frozenset(("png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "json", "py"))

_COUNTRY = re.compile(r"[A-Z](?<![A-Za-z0-9_].)[A-Z][0-9]{2}(?=[ -]?[A-Z0-9])")
_GROUP = re.compile(r"[0-9](?<![A-Za-z0-9_].)(?<![0-9][.,-].)[0-9]{3,18}(?![A-Za-z0-9_])")
_NEXT_GROUP = re.compile(r"([ -])([0-9]{2,7})(?![A-Za-z0-9_])")
_CARD_WORDS = re.compile(r"card|visa|credit|debit|karte|tarjeta|carte|卡")

_IPV4 = re.compile(
    r"[0-9](?<![A-Za-z0-9_].)(?<![0-9][.,-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}"
    r"(?![A-Za-z0-9_])(?![.-][0-9])"
)
_IPV6 = re.compile(
    r"[0-9A-Fa-f](?<![A-Za-z0-9_:.].)[0-9A-Fa-f]{1,3}:[0-9A-Fa-f:]{2,34}"
    r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?![A-Za-z0-9_:])"
)
_VERSION = re.compile(r"(?:\bv|version|release|build|firmware|chapter|section)\.? ?\Z", re.ASCII)


def find_emails(text: str) -> Iterator[tuple[int, int]]:
    """Addresses `local@domain.tld`, internationalised domains too."""
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        if domain is not None:
            before = text[max(0, at - _LONGEST_LOCAL - 1) : at]
            local = before[len(before.rstrip(_LOCAL)) :].lstrip(_LOCAL_EDGES)
            if _is_address(local, domain[0], text[domain.end() : domain.end() + 1]):
                yield at - len(local), domain.end()
        at = text.find("@", at + 1)


def _is_address(local: str, domain: str, following: str) -> bool:
    if not 0 < len(local) <= _LONGEST_LOCAL or local[-1] == "." or len(domain) > _LONGEST_DOMAIN:
        return False
    if domain.rpartition(".")[2].lower() in _FILES:
        return False
    return not (local == "git" and following == ":")


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """IBANs, with or without single spaces or dashes between their characters."""
    for found in _COUNTRY.finditer(text):
        length = checksums.iban_length(found[0][:2])
        end = _end_of(text, found.start(), length) if length else None
        if end is not None:
            value = re.sub(r"[ -]", "", text[found.start() : end])
            if checksums.is_iban(value):
                yield found.start(), end


def _end_of(text: str, start: int, length: int) -> int | None:
    """Where `length` capitals and digits end, over single separators; None if they do not."""
    position = start
    while length:
        if text[position : position + 1] in (" ", "-"):
            position += 1
        character = text[position : position + 1]
        if not ("0" <= character <= "9" or "A" <= character <= "Z"):
            return None
        position, length = position + 1, length - 1
    following = text[position : position + 1]
    return None if following.isascii() and (following.isalnum() or following == "_") else position


def find_cards(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """Payment cards, in one run or in groups. A Visa of 13 digits needs a word near it.

    Article numbers (EAN) have 13 digits too, and every tenth number passes Luhn's formula.
    """
    for first in _GROUP.finditer(text):
        lengths = checksums.card_lengths(first[0])
        if not lengths:
            continue
        ends = [(first[0], first.end())]
        if len(first[0]) <= 7:
            ends += _groups(text, first)
        for digits, end in reversed(ends):
            known = len(digits) in lengths and len(set(digits)) > 1
            if not known or not checksums.is_luhn(digits):
                continue
            if len(digits) != 13 or is_near(_CARD_WORDS, lowered, first.start(), end):
                yield first.start(), end
                break


def _groups(text: str, first: re.Match[str]) -> Iterator[tuple[str, int]]:
    digits, end, separator = first[0], first.end(), ""
    while following := _NEXT_GROUP.match(text, end):
        digits += following[2]
        if len(digits) > 19 or separator not in ("", following[1]):
            return
        end, separator = following.end(), following[1]
        yield digits, end


def find_ips(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """IPv4 and IPv6 addresses that are some host's: no loopback, no 0.0.0.0, no version number."""
    if "." in text:
        for found in _IPV4.finditer(text):
            numbered = _VERSION.search(lowered[max(0, found.start() - 10) : found.start()])
            if numbered is None and _is_host(found[0]):
                yield found.span()
    if ":" in text:
        for found in _IPV6.finditer(text):
            if any(character.isdigit() for character in found[0]) and _is_host(found[0]):
                yield found.span()


def _is_host(address: str) -> bool:
    try:
        parsed = IPv6Address(address) if ":" in address else IPv4Address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified or address == "255.255.255.255")
