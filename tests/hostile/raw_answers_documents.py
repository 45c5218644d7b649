"""Answers that a browser may show as a document, whatever they say they are. Data only.

What a browser shows as HTML or XML must have an origin of its own, also when the browser found
out by itself what it is. Its rules: Fetch ("extract a MIME type"), MIME Sniffing 5 and 7.
"""

from tests.hostile.raw_answer_rows import AnswerRow, answer, good
from tests.hostile.raw_rows import head

PROMISE = "docs/browser-safety.md"
SNIFF = "docs/browser-safety.md; MIME Sniffing 7.1"
_BODY = b"<script>1</script>"
_NOSNIFF = b"x-content-type-options: nosniff"
_POLICY = (
    b"content-security-policy: "
    b"sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
)
_CAGED = (_NOSNIFF, _POLICY)
_OFF = b"X-Content-Type-Options: off"
_OWN = b"Content-Security-Policy: sandbox allow-same-origin allow-scripts"


def _shown(name: str, source: str, *lines: bytes, **more: object) -> AnswerRow:
    raw = answer(*lines, body=_BODY)  # a page, whatever else it is called
    row = {"body": _BODY, "has": _CAGED, "lacks": (), **more}
    return good(f"document: {name}", source, raw, **row)


def _plain(name: str, kind: bytes) -> AnswerRow:
    raw = answer(b"Content-Type: " + kind, body=_BODY)
    return good(f"document: {name}", SNIFF, raw, body=_BODY, lacks=(b"nosniff", b"sandbox allow"))


_KINDS = [
    ("HTML", b"text/html"),
    ("HTML in capitals with a charset", b"Text/HTML; charset=utf-7"),
    ("HTML behind white space", b"\t text/html"),
    ("HTML and a semicolon", b"text/html;"),
    ("XHTML", b"application/xhtml+xml"),
    ("SVG", b"image/svg+xml"),
    ("XML", b"text/xml"),
    ("XML of an application", b"application/xml"),
]
_UNKNOWN = [
    ("an empty type", b""),
    ("any type", b"*/*"),
    ("an unknown type", b"unknown/unknown"),
    ("an unknown application", b"application/unknown"),
    ("a type without a slash", b"html"),
    ("a type that begins with a semicolon", b";text/html"),
]
_LISTS = [
    ("a list that ends with HTML", b"application/json, text/html"),
    ("a list with a parameter", b"text/plain;charset=x,text/html"),
]
_XML = [
    ("a style sheet in XML", b"text/xsl"),
    ("RSS", b"application/rss+xml"),
    ("Atom", b"application/atom+xml"),
    ("RDF", b"application/rdf+xml"),
    ("MathML", b"application/mathml+xml"),
    ("XHTML for telephones", b"application/vnd.wap.xhtml+xml"),
    ("parts that are HTML", b"multipart/x-mixed-replace; boundary=x"),
]
DOCUMENTS = [
    *(_shown(name, PROMISE, b"Content-Type: " + kind) for name, kind in _KINDS),
    *(_shown(name, SNIFF, b"Content-Type: " + kind) for name, kind in _UNKNOWN),
    _shown("no type at all", SNIFF),
    _shown("a type that Connection takes away", SNIFF,
           b"Connection: content-type", b"Content-Type: text/html"),
    _shown("two types, one of them HTML", "Fetch 3.6",
           b"Content-Type: text/plain", b"Content-Type: text/html"),
    *(_shown(name, "Fetch 3.6", b"Content-Type: " + kind) for name, kind in _LISTS),
    *(_shown(name, PROMISE, b"Content-Type: " + kind) for name, kind in _XML),
    _shown("a policy of its own beside ours", PROMISE, b"Content-Type: text/html", _OWN,
           has=(*_CAGED, _OWN.lower())),
    _shown("Connection names our policy", PROMISE,
           b"Connection: content-security-policy, x-content-type-options",
           b"Content-Type: text/html"),
    _shown("sniffing asked for", "Fetch 3.7", b"Content-Type: text/html", _OFF),
    good("document: an error page", PROMISE,
         answer(b"Content-Type: text/html", body=_BODY, first=b"HTTP/1.1 500 x"),
         status=500, body=_BODY, has=_CAGED, lacks=()),
    _plain("JSON", b"application/json"),
    _plain("text", b"text/plain"),
    _plain("an image", b"image/png"),
    good("document: on an origin of its own", PROMISE,
         answer(b"Content-Type: text/html", body=_BODY), body=_BODY,
         asked=head(host=b"Host: %SLUG%.apis.test", target=b"/x"),
         lacks=(b"nosniff", b"sandbox allow")),
]  # fmt: skip
