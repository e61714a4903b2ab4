"""The verifier's own signatures and notes: RFC 8032, Go's example, keys that take over."""

import base64
import hashlib
import random
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inwit.ledger import notes, verify
from inwit.ledger.verify import Key, Malformed, Named, Trust

# Public key, message, signature: RFC 8032, 7.1, tests 1 to 3 and "SHA(abc)".
RFC_8032 = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
)

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19

# The example of golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_SIGNATURE = (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)

CHECKPOINT = notes.Checkpoint("log.example", 5, bytes(range(32)))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_signatures_of_rfc_8032(public: str, message: str, signature: str, bits: int) -> None:
    key, text, right = (bytes.fromhex(each) for each in (public, message, signature))

    assert verify.signed(key, text, right, bits)
    assert not verify.signed(key, text + b"x", right, bits)
    for at in (0, 31, 32, 63):
        wrong = bytearray(right)
        wrong[at] ^= 1
        assert not verify.signed(key, text, bytes(wrong), bits)


@pytest.mark.parametrize("bits", [4, 8])
def test_it_agrees_with_cryptography(bits: int) -> None:
    draw = random.Random(9)  # noqa: S311  # the same in every run
    for _ in range(25):
        private = Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        public, text = private.public_key().public_bytes_raw(), draw.randbytes(draw.randrange(200))
        signature = private.sign(text)

        assert verify.signed(public, text, signature, bits)
        broken = bytearray(signature)
        broken[draw.randrange(64)] ^= 1 << draw.randrange(8)
        assert not verify.signed(public, text, bytes(broken), bits)


def test_one_signature_has_one_form() -> None:
    public, text, right = (bytes.fromhex(each) for each in RFC_8032[1])
    scalar = int.from_bytes(right[32:], "little") + ORDER

    assert not verify.signed(public, text, right[:32] + scalar.to_bytes(32, "little"))
    assert not verify.signed(public, text, right + b"\x00")
    assert not verify.signed(public, text, right[:63])


@pytest.mark.parametrize(
    "public",
    [
        (1).to_bytes(32, "little"),  # the neutral element: it would fit every message
        (0).to_bytes(32, "little"),  # of order 4
        (PRIME - 1).to_bytes(32, "little"),  # of order 2
        (PRIME + 1).to_bytes(32, "little"),  # 1 in a form that is not its own
        (1 | 1 << 255).to_bytes(32, "little"),  # minus 0
        (2).to_bytes(32, "little"),  # no point
        b"",
        b"\xff" * 33,
    ],
)
def test_no_weak_or_odd_key_has_a_signature(public: bytes) -> None:
    neutral = (1).to_bytes(32, "little") + bytes(32)

    assert not verify.signed(public, b"anything", neutral)


def test_the_example_of_gos_notes() -> None:
    key = verify.key_of(GO_KEY)
    signature = base64.b64decode(GO_SIGNATURE)

    assert (key.name, key.id) == ("PeterNeumann", "c74f20a3")
    assert signature[:4].hex() == key.id
    assert verify.signed(key.public, GO_TEXT.encode(), signature[4:])


@pytest.mark.parametrize("at", range(0, len(GO_KEY), 3))
def test_no_piece_of_a_key_is_a_key(at: int) -> None:
    for broken in (GO_KEY[:at], GO_KEY[at + 1 :], f"{GO_KEY[:at]}x{GO_KEY[at + 1 :]}"):
        if broken != GO_KEY:
            with pytest.raises(Malformed):
                verify.key_of(broken)


def test_what_the_gateway_signs_the_verifier_reads() -> None:
    ours, other = (notes.new_key("log.example") for _ in range(2))
    note = verify.note_of(notes.signed_note(CHECKPOINT, [ours, other]))
    known = [verify.key_of(each.vkey) for each in (ours, other, notes.new_key("log.example"))]

    assert (note.origin, note.size, note.root) == ("log.example", 5, CHECKPOINT.root)
    assert verify.signers(note, known) == frozenset(known[:2])


WRONG_NOTES = {
    "empty": "",
    "no signature": CHECKPOINT.text,
    "nothing under the blank line": f"{CHECKPOINT.text}\n",
    "a size with a zero in front": "log\n05\n{root}\n\n{signature}\n",
    "a size that is none": "log\n-5\n{root}\n\n{signature}\n",
    "a huge size": "log\n" + "9" * 5_000 + "\n{root}\n\n{signature}\n",
    "a short root": "log\n5\nAAAA\n\n{signature}\n",
    "no base64": "log\n5\n!{root}\n\n{signature}\n",
    "an origin with a space": "lo g\n5\n{root}\n\n{signature}\n",
    "a hyphen for the dash": "log\n5\n{root}\n\n- log AAAAAAAA\n",
    "a signature of no length": "log\n5\n{root}\n\n\u2014 log AAAA\n",
    "a lone surrogate": "log\n5\n{root}\n\ud800\n\n{signature}\n",
    "many signatures": "log\n5\n{root}\n\n" + "{signature}\n" * 17,
}


@pytest.mark.parametrize("wrong", WRONG_NOTES)
def test_what_is_no_checkpoint_is_told(wrong: str) -> None:
    fields = {"root": base64.b64encode(bytes(32)).decode(), "signature": "\u2014 log AAAAAAAAAAAA"}

    with pytest.raises(Malformed):
        verify.note_of(WRONG_NOTES[wrong].format(**fields))


A, B, C = (verify.key_of(notes.new_key("log").vkey) for _ in range(3))


def walk(given: Iterable[Key], named: Iterable[Named], *steps: tuple[int, set[Key]]) -> list[bool]:
    trust = Trust(given, named)
    return [trust.holds(size, frozenset(by)) for size, by in steps]


def test_a_key_takes_over_once_both_have_signed() -> None:
    named = [Named(3, (A, B), ()), Named(7, (B,), (A,))]

    assert walk([A], named, (2, {A}), (4, {A, B}), (8, {B}), (9, {B})) == [True] * 4


def test_a_key_does_not_take_over_by_itself() -> None:
    named = [Named(3, (A, B), ())]

    assert walk([A], named, (2, {A}), (4, {B})) == [True, False]  # the old one did not sign
    assert walk([A], [], (2, {A}), (4, {A, B}), (5, {B})) == [True, True, False]  # no entry
    assert walk([A], named, (2, {A, B}), (4, {A}), (5, {B})) == [True, True, False]  # too early
    assert walk([C], named, (2, {A}), (4, {A, B})) == [False, False]


def test_a_key_that_was_taken_off_signs_no_more() -> None:
    named = [Named(3, (A, B), ()), Named(7, (B,), (A,))]

    assert walk([A], named, (4, {A, B}), (8, {B}), (9, {A})) == [True, True, False]


def test_a_log_cannot_take_off_its_only_key() -> None:
    assert walk([A], [Named(3, (), (A,))], (2, {A}), (4, {A}), (5, {A})) == [True] * 3
