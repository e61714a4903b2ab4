"""Keys, tokens and passwords in text, by the forms that their issuers publish.

A form that goes on for as long as its characters do counts from its shortest length; nothing that
follows can undo a find.
"""

import re
from collections.abc import Iterator

_LONGEST_JUDGED = 128  # characters of an assigned value that are looked at
_START = r"(?<![A-Za-z0-9_])"


def _form(sign: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    """`sign` stands in every text that the pattern can match, and is quick to look for."""
    return sign, re.compile(_START + pattern)


def _mark(sign: str) -> str:
    return next((mark for mark in "_-" if mark in sign), "")


_FORMS = (
    # AWS, access key identifiers (IAM user guide, unique identifiers)
    *(_form(sign, rf"{sign}[A-Z2-7]{{16}}(?![A-Za-z0-9_])") for sign in ("AKIA", "ASIA", "ABIA")),
    # GitHub (docs: about authentication, token formats)
    *(_form(f"gh{kind}_", rf"gh{kind}_[A-Za-z0-9]{{36,}}") for kind in "pousr"),
    _form("github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
    # GitLab (docs: token overview, prefixes)
    *(
        _form(f"{kind}-", rf"{kind}-[A-Za-z0-9_-]{{20,}}(?:\.[A-Za-z0-9_-]+)*")
        for kind in ("glpat", "gldt", "glrt", "glrtr", "glcbt", "glptt", "glft", "gloas", "glsoat")
    ),
    # Slack (docs: token types; incoming webhooks)
    _form("xox", r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}"),
    _form("xapp-", r"xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    _form(
        "hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9]{6,16}/[A-Za-z0-9/]{10,}",
    ),
    # Stripe (docs: API keys; webhook signing secrets)
    *(
        _form(f"{kind}_{mode}_", rf"{kind}_{mode}_[A-Za-z0-9]{{16,}}")
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    _form("whsec_", r"whsec_[A-Za-z0-9+/=]{24,}"),
    # Anthropic, OpenAI
    _form("sk-ant-", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    _form("sk-", r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}"),
    _form("sk-", r"sk-[A-Za-z0-9]{32,}"),
    # Google (API keys; OAuth clients and access tokens)
    _form("AIza", r"AIza[A-Za-z0-9_-]{35,}"),
    _form("GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    _form("ya29.", r"ya29\.[A-Za-z0-9_-]{20,}"),
    # Azure (Entra client secrets; storage and service bus keys; shared access signatures)
    _form("Q~", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,}"),
    _form("Key=", r"(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{40,}={0,2}"),
    _form("sig=", r"sig=[A-Za-z0-9%+/]{40,}(?:=|%3[Dd])*"),
    # Package registries, model hubs, mail and chat services
    _form("npm_", r"npm_[A-Za-z0-9]{36,}"),
    _form("pypi-", r"pypi-[A-Za-z0-9_-]{50,}"),
    _form("hf_", r"hf_[A-Za-z0-9]{34,}"),
    _form("SG.", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}"),
    _form("dop_v1_", r"dop_v1_[0-9a-f]{64}"),
    _form("dapi", r"dapi[0-9a-f]{32}(?![A-Za-z0-9_])"),
    _form("hvs.", r"hvs\.[A-Za-z0-9_-]{24,}"),
    _form(":AA", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33,}"),
    # JSON Web Tokens (RFC 7519): base64url of `{"alg"`, `{"typ"`, `{"kid"`, `{"enc"` and so on
    _form(
        "eyJ",
        r"eyJ(?:hbGci|0eXAi|raWQi|lbmMi|jdHki|4NXQi)[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}",
    ),
)

# Most signs hold a dash or an underscore, and most texts of people hold none of the latter.
_FORMS_BY_MARK = {
    mark: tuple((sign, form) for sign, form in _FORMS if _mark(sign) == mark)
    for mark in ("_", "-", "")
}

# PEM (RFC 7468), OpenSSH and OpenPGP. Line ends may be escaped, as in JSON. What follows the first
# line, headers or a body, makes it a key and not the name of one.
_LINE = r"(?:\s|\\[nr]){1,8}"
_HEADERS = rf"(?:{_LINE}[A-Z][A-Za-z-]{{2,20}}: [^\r\n\\]{{0,80}}){{1,4}}"
_BODY = rf"(?:{_LINE}[A-Za-z0-9+/=]{{20,}}+)"
_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_HEADERS}{_BODY}*+|{_BODY}++)"
    rf"(?:{_LINE}[A-Za-z0-9+/=]{{1,19}}(?![A-Za-z0-9+/=])){{0,2}}"
    rf"(?:{_LINE}-----END [A-Z0-9 ]{{0,32}}PRIVATE KEY(?: BLOCK)?-----)?"
)

_USERINFO = re.compile(r"://([^\s/@:\"'<>\[\]\x00]{0,64}:[^\s/@\"'<>\[\]\x00]{1,64})@")

# Looked ahead at, so that an assignment within a value that is none is still seen.
_IN_VALUE = r"[^\s\"'`<>\[\](){},;\x00]"
_VALUE = rf"(?=({_IN_VALUE}{{8,{_LONGEST_JUDGED}}}))"
_WHOLE_VALUE = re.compile(rf"{_IN_VALUE}*")
# In lower case; a key may be quoted, and the value too.
_ASSIGNED = re.compile(
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|credentials?|api[ _-]?key|access[ _-]?key"
    r"|private[ _-]?key|secret[ _-]?key|account[ _-]?key|auth[ _-]?key|encryption[ _-]?key)"
    r"s?[\"'`*]{0,3}\s{0,3}(?:=>|:=|==?|:| is:?)[ \t]{0,4}[\"'`*]{0,3}" + _VALUE
)
ASSIGNING = ("pass", "pwd", "secret", "token", "credential", "key", "bearer", "authorization")
"""What stands, in lower case, in every text in which a value counts for the word before it."""
_BEARER = re.compile(
    r"(?:bearer|authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:basic|token|apikey))[ \t]{1,4}"
    + _VALUE
)
# What stands without quotes where a secret would: the name of a variable or an attribute.
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_]*(?:(?:\.|->|::)[A-Za-z_][A-Za-z0-9_]*)+|[A-Z_0-9]+")
_DIGIT, _CAPITAL, _SMALL = re.compile("[0-9]"), re.compile("[A-Z]"), re.compile("[a-z]")
_CONSTANT = re.compile(r"[A-Z_0-9]*")


def find_credentials(text: str, lowered: str) -> Iterator[tuple[int, int]]:
    """Start and end of each secret; `lowered` is `text` in lower case, as long as it."""
    yield from _issued(text)
    if "PRIVATE KEY" in text:
        yield from (found.span() for found in _KEY_BLOCK.finditer(text))
    if "://" in text and "@" in text:
        yield from (found.span(1) for found in _USERINFO.finditer(text))
    if any(word in lowered for word in ASSIGNING):
        yield from _assigned(_ASSIGNED, text, lowered)
    if "bearer" in lowered or "authorization" in lowered:
        yield from _assigned(_BEARER, text, lowered)


def _issued(text: str) -> Iterator[tuple[int, int]]:
    for mark, forms in _FORMS_BY_MARK.items():
        for sign, pattern in forms if mark in text else ():
            if sign in text:
                yield from (found.span() for found in pattern.finditer(text))


def _assigned(pattern: re.Pattern[str], text: str, lowered: str) -> Iterator[tuple[int, int]]:
    done = 0
    for found in pattern.finditer(lowered):
        start, end = found.span(1)
        value = text[start:end].removesuffix(".")
        named = pattern is _ASSIGNED and text[start - 1] not in "\"'`" and _is_name(value)
        if start < done or named or not _is_secret(value):
            continue
        whole = _WHOLE_VALUE.match(text, start)
        done = whole.end() if whole else end
        yield start, done - (text[done - 1] == ".")


def _is_name(value: str) -> bool:
    """Whether this is a name such as `settings.API_KEY`, with no part that is itself a secret."""
    return _NAME.fullmatch(value) is not None and not any(
        _is_secret(part) and not _CONSTANT.fullmatch(part) for part in re.split(r"[.:>-]+", value)
    )


def _is_secret(value: str) -> bool:
    """Whether a value was drawn rather than written, and no address or path.

    Eight characters with a digit and two more classes, or sixteen of which ten differ, letters and
    digits both. A longer value never counts for less than its beginning.
    """
    if not _DIGIT.search(value) or "://" in value or value.startswith(("/", "./", "$", "%")):
        return False
    capital, small = _CAPITAL.search(value) is not None, _SMALL.search(value) is not None
    if len(value) >= 8 and capital + small + (not value.isalnum()) >= 2:
        return True
    return len(value) >= 16 and len(set(value)) >= 10 and (capital or small)
