"""What hostile callers send in place of an ordinary value, by what it tries. Data."""

from dataclasses import dataclass

PRODUCT = "8827"  # 91 * 97: in an answer only when something has worked it out
CANARY = "sandgate-canary-5f2b8c"  # a secret that no answer and no log may hold


@dataclass(frozen=True, slots=True)
class Value:
    """One text. `path` tells whether it also makes sense as a part of a path."""

    attempt: str
    text: str
    path: bool = True


TEXTS = (
    Value("sql injection", "' OR '1'='1' --"),
    Value("sql union", "1) UNION SELECT name FROM sqlite_master--", path=False),
    Value("template injection", "{{91*97}}${91*97}<%= 91*97 %>"),
    Value("format string", "{0.__class__.__init__.__globals__}%s%n"),
    Value("command injection", "; echo $((91*97)) & $(expr 91 \\* 97) | cat /etc/passwd"),
    Value("traversal", "../../../../../../etc/passwd"),
    Value("absolute path", "/etc/passwd"),
    Value("script", '"><script>alert(1)<!--'),  # without a slash, which would part a path
    Value("NUL", "a\x00b"),
    Value("line breaks", "a\r\nSet-Cookie: a=b"),
    Value("odd unicode", "\u202e\ufeff\U0001f4a3\u0000\u0301"),
    Value("a long text", "A" * 6000),
)
TEXT_OF_BODY = (Value("a huge text", "A" * 300_000),)
NUMBERS = (
    Value("a negative number", "-1"),
    Value("nothing", "0"),
    Value("a huge number", "9" * 400),
    Value("beyond 64 bits", "18446744073709551616"),
    Value("infinity", "1e999"),
    Value("not a number", "nan"),
)
URLS = (
    Value("loopback", "http://127.0.0.1:22/"),
    Value("loopback in other words", "http://2130706433/"),
    Value("metadata", "http://169.254.169.254/latest/meta-data/"),
    Value("a file", "file:///etc/passwd"),
    Value("another scheme", "gopher://127.0.0.1:6379/_INFO"),
)
EXPRESSIONS = (
    Value("a catastrophic expression", "^(a+)+$"),
    Value("a broken expression", "(["),
    Value("endless repetition", "(" * 200 + "a" + ")*" * 200),
)
SLOW_SUBJECT = "a" * 40 + "!"  # what an expression such as ^(a+)+$ takes for ever with
ENCODED = (  # parts of a path as they travel
    Value("encoded slashes", "..%2f..%2f..%2fetc%2fpasswd"),
    Value("doubly encoded slashes", "..%252f..%252fetc%252fpasswd"),
    Value("encoded dots", "%2e%2e%5c%2e%2e%5cetc%5cpasswd"),
    Value("broken encoding", "%ff%fe%c0%af"),
)
BODIES = (
    Value("no JSON", '{"a": '),
    Value("a lone text", '"text"'),
    Value("a list", "[]"),
    Value("null", "null"),
    Value("deep nesting", "[" * 3000 + "]" * 3000),
    Value("deep objects", '{"a":' * 1500 + "1" + "}" * 1500),
    Value("a number without end", '{"a": 1' + "0" * 5000 + "}"),
    Value("NaN", '{"a": NaN}'),
    Value("half a character", '{"a": "\\ud800"}'),
)
FILES = (
    Value("a file name with a way out", "../../../../tmp/evil.sh"),
    Value("a file name with a script", "<script>alert(1)<!--.png"),
    Value("a long file name", "A" * 3000),
)
