"""Values to find, by kind: published test numbers, and tokens put together at run time."""

from inwit.redaction.kinds import Kind

ALL = frozenset(Kind)

EMAILS = (
    "jane.doe@example.com",
    "jane+news@mail.example.co.uk",
    "o'neil@example.org",
    "info@m\u00fcller.example",
)
PHONES = ("+49 30 901820", "+1 (212) 555-0123", "+44 20 7946 0958", "+33 1 99 00 12 34")
CARDS = (
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4012888888881881",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3782 822463 10005",
    "6011111111111117",
    "30569309025904",
    "3530111333300000",
    "6200000000000005",
)
IBANS = (
    "GB82 WEST 1234 5698 7654 32",
    "GB82WEST12345698765432",
    "DE89 3704 0044 0532 0130 00",
    "FR14 2004 1010 0505 0001 3M02 606",
    "NO93 8601 1117 947",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
)
# Each with the words that stand near it, where its form needs any.
NATIONAL_IDS = (
    ("Social security number: ", "078-05-1120"),
    ("SSN ", "219-09-9999"),
    ("National insurance number ", "AB 12 34 56 C"),
    ("", "12345678Z"),
    ("", "X1234567L"),
    ("", "2 55 08 14 168 025 38"),
    ("NIR : ", "255081416802538"),
    ("", "RSSMRA85T10A562S"),
    ("Steuer-ID: ", "86 095 742 719"),
    ("Steuer-ID: ", "47036892816"),
    ("BSN ", "111222333"),
    ("PESEL ", "44051401359"),
    ("", "111.444.777-35"),
    ("CPF ", "52998224725"),
    ("Aadhaar ", "2341 2341 2346"),
    ("", "11010519491231002X"),
)
IPS = ("192.0.2.17", "198.51.100.255", "2001:db8::17", "2001:db8:85a3:0:0:8a2e:370:7334")

_LETTERS = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA"
_CAPITALS = "ABCDEFGH234567ABCDEF"
_JWT = ".".join(("eyJ" + "hbGciOiJub25lIn0", "eyJ" + "zdWIiOiIxIn0", "c2lnbmF0dXJl"))
_KEY_LINES = "\n".join((_LETTERS * 2, _LETTERS * 2, _LETTERS[:18] + "=="))
KEY_BLOCK = "\n".join(
    ("-----BEGIN " + "RSA PRIVATE KEY-----", _KEY_LINES, "-----END " + "RSA PRIVATE KEY-----")
)
TOKENS = (
    "AK" + "IA" + _CAPITALS[:16],
    "gh" + "p_" + _LETTERS + "abcd",
    "github" + "_pat_" + _LETTERS,
    "gl" + "pat-" + _LETTERS,
    "xo" + "xb-1234567890-" + _LETTERS,
    "sk" + "_live_" + _LETTERS,
    "sk" + "-proj-" + _LETTERS,
    "sk" + "-ant-api03-" + _LETTERS,
    "AI" + "za" + _LETTERS + "abc",
    "ab8" + "8Q" + "~" + _LETTERS,
    "np" + "m_" + _LETTERS + "abcd",
    "py" + "pi-" + _LETTERS * 2,
    "h" + "f_" + _LETTERS + "ab",
    _JWT,
    KEY_BLOCK,
)
# Each with what stands before and after it.
ASSIGNED = (
    ("pass" + "word=", "Tr0ub4dor&3", "\n"),
    ('"client_' + 'secret": "', "a1B2-c3D4-e5F6", '"'),
    ("The api " + "key is ", _LETTERS, "."),
    ("Authorization: " + "Bearer ", _LETTERS, ""),
    ("postgres:" + "//", "app:" + "s3cret", "@db.example/x"),
    ("https:" + "//", "user:" + "pw", "@example.org/"),
)

VALUES: tuple[tuple[Kind, str, str], ...] = (
    *((Kind.EMAIL, "", value) for value in EMAILS),
    *((Kind.PHONE, "", value) for value in PHONES),
    *((Kind.PAYMENT_CARD, "", value) for value in CARDS),
    *((Kind.IBAN, "", value) for value in IBANS),
    *((Kind.NATIONAL_ID, before, value) for before, value in NATIONAL_IDS),
    *((Kind.IP_ADDRESS, "", value) for value in IPS),
    *((Kind.CREDENTIAL, "", value) for value in TOKENS),
)

# Kind, and a text in which nothing of that kind stands.
NEAR_MISSES: tuple[tuple[Kind, str], ...] = (
    (Kind.EMAIL, "git@github.com:org/repo.git"),
    (Kind.EMAIL, "logo@2x.png"),
    (Kind.EMAIL, "user@localhost"),
    (Kind.EMAIL, "npm install react@18.2.0"),
    (Kind.EMAIL, "@app.route('/') and jane at example.com"),
    (Kind.PAYMENT_CARD, "4111 1111 1111 1112"),
    (Kind.PAYMENT_CARD, "1234 5678 9012 3452"),  # passes Luhn, no issuer
    (Kind.PAYMENT_CARD, "0.4111111111111111"),
    (Kind.PAYMENT_CARD, "a4111111111111111"),
    (Kind.PAYMENT_CARD, "41111111111111111111111"),
    (Kind.PAYMENT_CARD, "EAN 4006381333931"),
    (Kind.IBAN, "GB82 WEST 1234 5698 7654 33"),
    (Kind.IBAN, "GB82 WEST 1234 5698 7654 3"),
    (Kind.IBAN, "ZZ82 WEST 1234 5698 7654 32"),
    (Kind.NATIONAL_ID, "Order 078-05-1120"),
    (Kind.NATIONAL_ID, "SSN 666-05-1120 or 078-00-1120"),
    (Kind.NATIONAL_ID, "NINO BG123456C"),
    (Kind.NATIONAL_ID, "12345678A"),
    (Kind.NATIONAL_ID, "order 255081416802538"),
    (Kind.NATIONAL_ID, "RSSMRA85T10A562T"),
    (Kind.NATIONAL_ID, "Steuer-ID: 86 095 742 718"),
    (Kind.NATIONAL_ID, "BSN 111222334"),
    (Kind.NATIONAL_ID, "order 111222333"),
    (Kind.NATIONAL_ID, "PESEL 44051401358"),
    (Kind.NATIONAL_ID, "111.444.777-36"),
    (Kind.NATIONAL_ID, "Aadhaar 2341 2341 2347"),
    (Kind.NATIONAL_ID, "110105194912310021"),
    (Kind.NATIONAL_ID, "SSN" + " of the person named above," * 3 + " 078-05-1120"),
    (Kind.IP_ADDRESS, "version 1.2.3.4, v10.0.0.1"),
    (Kind.IP_ADDRESS, "127.0.0.1 and ::1 and 0.0.0.0"),
    (Kind.IP_ADDRESS, "256.1.1.1 and 1.2.3 and 1.2.3.4.5"),
    (Kind.IP_ADDRESS, "12:30:45, std::abs, a::b, 00:1a:2b:3c:4d:5e"),
    (Kind.PHONE, "+49 123"),
    (Kind.PHONE, "2024-01-02 12:30, 3.14159265, 030 901820"),
    (Kind.CREDENTIAL, "password: ${DB_PASSWORD}"),
    (Kind.CREDENTIAL, "token = settings.API_TOKEN_2"),
    (Kind.CREDENTIAL, "The password must have eight characters."),
    (Kind.CREDENTIAL, "secret: https://docs.example.com/Secrets1"),
    (Kind.CREDENTIAL, "-----BEGIN " + "PRIVATE KEY----- is the first line."),
    (Kind.CREDENTIAL, "-----BEGIN " + "PUBLIC KEY-----\n" + _KEY_LINES),
    (Kind.CREDENTIAL, "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"),
    (Kind.CREDENTIAL, "id 550e8400-e29b-41d4-a716-446655440000, task-force, desk-bound"),
)
