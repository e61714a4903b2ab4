"""YAML's syntax errors in plain words. Pure."""

import re

_LONGEST = 40

# (what the parser says, and within what; whether to point to where that began; wrong; remedy)
_ERRORS: tuple[tuple[str, bool, str, str], ...] = (
    (
        r"end of stream.*quoted scalar|document separator.*quoted scalar",
        True,
        "The quote that opens here is not closed.",
        "Close it; inside single quotes, write '' for an apostrophe.",
    ),
    (
        r"expected ',' or '\]'",
        True,
        "The list that opens here with `[` is not closed, or lacks a comma.",
        "Write [one, two], and put a text with : , [ ] { } or # in quotes.",
    ),
    (
        r"expected ',' or '\}'",
        True,
        "The mapping that opens here with `{` is not closed, or lacks a comma.",
        "Write { key: value, key: value }, and put a text with : , [ ] { } or # in quotes.",
    ),
    (
        r"'\\t' that cannot start",
        False,
        "There is a tab here; YAML takes none before a word.",
        "Use spaces: two for each level.",
    ),
    (
        r"that cannot start any token",
        False,
        "No plain text can begin with this character.",
        "Put the text in quotes.",
    ),
    (
        r"could not find expected ':'",
        True,
        "This line has a text and no `key:`.",
        "Write `key: value` with a space after the colon; a longer text needs quotes or `>-`.",
    ),
    (
        r"mapping values are not allowed",
        False,
        "This colon cannot stand here: the line has one already, is indented too far, or follows "
        "a line without one.",
        "Put a text that has a colon in quotes, or mend the indentation or the line above.",
    ),
    (
        r"expected <block end>",
        False,
        "This does not go with the lines above it.",
        "Indent it as the other keys of its mapping, with spaces, and write nothing after quotes.",
    ),
    (
        r"sequence entries are not allowed",
        False,
        "A list item, `-`, cannot stand here.",
        "Put it on a line of its own below its key.",
    ),
    (
        r"another document|<document start>",
        False,
        "A second document begins here, or what comes before it ends.",
        "Keep one policy in a file, and remove `---` and `...`.",
    ),
    (
        r"expected alphabetic or numeric.*(alias|anchor)",
        False,
        "A text that begins with `*` or `&` has a meaning in YAML.",
        "Put it in quotes.",
    ),
    (
        r"node content|chomping|indentation indicator|comment or a line break|directive|tag",
        False,
        "YAML cannot read a value here.",
        "Put the text in quotes.",
    ),
    (
        r"(unknown escape|escape sequence)",
        False,
        "After a backslash in double quotes YAML expects one of its own codes.",
        "Use single quotes: in them a backslash is a backslash.",
    ),
)


def plainly(problem: str, context: str) -> tuple[bool, str, str]:
    """Whether to point to where the context began, what is wrong, and the remedy."""
    said = f"{problem} {context}"
    for pattern, began, wrong, remedy in _ERRORS:
        if re.search(pattern, said):
            return began, wrong, remedy
    return False, "This is not YAML.", "Look at the signs and the indentation here."


def safe_word(text: str) -> str:
    """A word of the file as messages may quote it: on one line, visible, and not too long."""
    shown = "".join(
        c if c.isprintable() and c != "`" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
