"""The style of the reference page; its hash is in the page's content security policy."""

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--soft:#5c6670;--line:#dfe3e8;--paper:#fff;
--block:#f5f7f9;--link:#0b5cad;--get:#0b6e4f;--post:#0b5cad;--put:#8a5a00;--delete:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#9aa5b0;--line:#30363d;
--paper:#14171a;--block:#1d2226;--link:#7ab8ff;--get:#5fd3a8;--post:#7ab8ff;--put:#e2b75b;
--delete:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
header,.columns{max-width:76rem;margin:0 auto;padding:1.5rem}
header{border-bottom:1px solid var(--line)}
h1{font-size:1.75rem;line-height:1.2;margin:.5rem 0}
.version{font-size:1rem;font-weight:400;color:var(--soft)}
.columns{display:grid;grid-template-columns:16rem minmax(0,1fr);gap:2.5rem}
nav{position:sticky;top:1rem;align-self:start;max-height:calc(100vh - 2rem);overflow:auto}
nav h2{font-size:.8rem;color:var(--soft);margin:1rem 0 .25rem;text-transform:uppercase;
letter-spacing:.05em}
nav ul{list-style:none;margin:0;padding:0}
nav a{display:flex;gap:.5rem;padding:.2rem .25rem;text-decoration:none;color:inherit;
font-size:.875rem;border-radius:4px}
nav a:hover{background:var(--block)}
a{color:var(--link)}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-100rem}
.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem 1rem;z-index:1}
section{border-bottom:1px solid var(--line);padding:0 0 2rem;margin:0 0 2rem;scroll-margin:1rem}
main:focus{outline:none}
section h2{font-size:1.15rem;margin:0 0 .5rem}
h3{font-size:.95rem;margin:1.25rem 0 .4rem}
.method{display:inline-block;min-width:3.6rem;font:600 .75rem/1.9 ui-monospace,monospace;
color:var(--soft)}
.get,.head{color:var(--get)}.post{color:var(--post)}.put,.patch{color:var(--put)}
.delete{color:var(--delete)}
code,pre,.kind{font-family:ui-monospace,SFMono-Regular,Consolas,monospace;font-size:.875rem}
pre{background:var(--block);border:1px solid var(--line);border-radius:6px;padding:.75rem 1rem;
overflow:auto;margin:.25rem 0;white-space:pre;overflow-wrap:normal}
.text,.summary{white-space:pre-wrap;margin:.35rem 0}
.summary{font-weight:600}
.kind{color:var(--soft);margin:.5rem 0 .25rem}
.old{color:var(--delete);font-weight:600;margin:.25rem 0}
.wide{overflow:auto}.wide table{min-width:36rem;overflow-wrap:normal}
.wide code{overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;
border-top:1px solid var(--line)}
thead th{color:var(--soft);font-weight:500;border:0}
tbody th{font-weight:400}
details{border-top:1px solid var(--line);padding:.4rem 0}
.answer{border-top:1px solid var(--line);padding:.4rem 0;margin:0}
summary{cursor:pointer}
@media (max-width:50rem){.columns{display:block}nav{position:static;max-height:none;
margin-bottom:2rem}}
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
