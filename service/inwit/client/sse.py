"""Server-sent events out of bytes, as in the HTML standard, in bounded memory. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from inwit.client.errors import BadAnswer

LARGEST = 8 * 2**20  # bytes: of a line, and of an event
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it was sent; `id` is empty where it has none of its own."""

    name: str
    data: str
    id: str


class Decoder:
    """Takes bytes as they come, cut anywhere, and gives the events that they complete.

    Lines end with LF, CR or CRLF. An event counts once its empty line came, so that what a broken
    connection cut off counts as not sent.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_cr = False
        self._first = True
        self._name, self._id = "", ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The events that are complete now.

        Raises:
            BadAnswer: a line or an event is too large, or not UTF-8.
        """
        for line in self._lines(chunk):
            message = self._take(_decoded(line))
            if message is not None:
                yield message

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        for piece in chunk.splitlines(keepends=True):  # of bytes: at LF, CR and CRLF, no others
            self._line += piece
            if len(self._line) > LARGEST:
                raise BadAnswer("The gateway's stream has a line that is too long.")
            if piece.endswith((b"\n", b"\r")):
                line = bytes(self._line).rstrip(b"\r\n")
                self._line.clear()
                self._after_cr = piece.endswith(b"\r")
                yield line.removeprefix(_BOM) if self._first else line
                self._first = False

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._size += len(line)
            case "event":
                self._name = value
            case "id":
                self._id = value
            case _:  # a comment (no name), `retry`, and what the standard may yet add
                pass
        if self._size > LARGEST:
            raise BadAnswer("The gateway's stream has an event that is too large.")
        return None

    def _complete(self) -> Message | None:
        message = Message(self._name or "message", "\n".join(self._data), self._id)
        sent = bool(self._data)
        self._name, self._id, self._size = "", "", 0
        self._data = []
        return message if sent else None


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        pass
    raise BadAnswer("The gateway's stream is not UTF-8.")  # outside: the error above quotes it
