"""The demo's web page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from string import Template

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nodepass demo</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; color: #1c2430; }
  h1 { font-size: 1.5rem; }
  ol { list-style: none; margin: 1.5rem 0; padding: 0; border-left: 4px solid #2f6fd0; }
  li { padding: .4rem 0 .4rem 1rem; }
  b { display: inline-block; min-width: 4.5rem; }
  code { background: #eef1f5; padding: .1rem .3rem; border-radius: .2rem; overflow-wrap: anywhere; }
  @media (prefers-color-scheme: dark) { body { background: #14181d; color: #dde3ea; } code { background: #262d36; } }
</style>
</head>
<body>
<h1>This page came through a tunnel.</h1>
<p>The web server that wrote it is the <em>target</em>. The way your request took to it, number $number of this demo:</p>
<ol>
  <li><b>user</b> your browser asked <code>$asked</code></li>
  <li><b>server</b> took the request in at that address: the machine that everybody can reach</li>
  <li><b>client</b> got it over a TLS connection that it had opened to the server itself, so its own network needs no open
    port</li>
  <li><b>target</b> this web server at <code>$here</code>; all it saw is the client, calling from <code>$seen</code></li>
</ol>
<p><a href="/download">Download $size</a> through the tunnel and watch the figures in the terminal. Its SHA-256 is<br>
<code>$digest</code></p>
<p>In real use each part is on a machine of its own. Here, one process plays all but the first.</p>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class Visit:
    """What one request has to tell.

    Args:
        number: how many there have been, with this one.
        asked: what the user's browser believes it talks to: the request's `Host`.
        here: the target's own address.
        seen: whom the target saw calling.
    """

    number: int
    asked: str
    here: str
    seen: str


def render(visit: Visit, size: str, digest: str) -> bytes:
    """Write the page for one visit.

    Args:
        visit: the request.
        size: of the download, for people.
        digest: SHA-256 of the download, in hex.
    """
    return _PAGE.substitute(
        number=visit.number,
        asked=escape(visit.asked),
        here=escape(visit.here),
        seen=escape(visit.seen),
        size=escape(size),
        digest=escape(digest),
    ).encode()
