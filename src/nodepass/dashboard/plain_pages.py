"""What the dashboard shows to those who are not signed in: the form that asks for the key, and files.

No script, no library.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.responses import FileResponse, PlainTextResponse, Response

from nodepass.dashboard.headers import NO_FRAMES
from nodepass.version import __version__

CONTENT_POLICY: Final = f"default-src 'none'; style-src 'self'; img-src 'self'; {NO_FRAMES}"

FOLDER: Final = "/_nodepass/"

BROWSERS_ICON: Final = "/favicon.ico"
"""Where a browser asks for an icon by itself."""

_FILES: Final = Path(__file__).parent / "assets"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>nodepass</title>
<link rel="icon" href="/_nodepass/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/_nodepass/plain.css?{version}">
</head>
<body>
<main>
<p class="brand"><img src="/_nodepass/icon.svg" alt="" width="40" height="40">nodepass</p>
{content}
</main>
</body>
</html>
"""

_SIGN_IN: Final = """\
<h1>Sign in to this master</h1>
<form method="post" action="/sign-in">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" maxlength="256" required autofocus{invalid}>
{problem}
<button>Sign in</button>
</form>
<p class="hint">The master logged its key when it first started.</p>
"""

_NOT_INSTALLED: Final = """\
<h1>The dashboard is not installed</h1>
<p>This master runs, and its API answers. Its web page needs a library that is not there.
Install it, and start the master again:</p>
<pre>pip install 'nodepass[dashboard]'</pre>
<p class="hint">With <code>dashboard=0</code> in its URL, the master serves no page at all.</p>
"""


def sign_in(problem: str = "") -> str:
    """The form that asks for the key, and what was wrong with the last one."""
    told = f'<p class="problem" id="problem" role="alert">{escape(problem)}</p>' if problem else ""
    invalid = ' aria-invalid="true" aria-describedby="problem"' if problem else ""
    return _page(_SIGN_IN.format(problem=told, invalid=invalid))


def not_installed() -> str:
    """How to install what draws the dashboard."""
    return _page(_NOT_INSTALLED)


def is_asset(path: str) -> bool:
    """Whether a path is that of a file of ours."""
    return path == BROWSERS_ICON or path.startswith(FOLDER)


def asset(path: str) -> Response:
    """A file of ours; the names are those of the folder."""
    name = "icon.svg" if path == BROWSERS_ICON else path.removeprefix(FOLDER)
    if name not in {file.name for file in _FILES.iterdir()}:
        return PlainTextResponse("Not found", HTTPStatus.NOT_FOUND)
    file = _FILES / name
    return FileResponse(file, media_type=_TYPES[file.suffix], headers={"Cache-Control": "max-age=3600"})


def _page(content: str) -> str:
    return _PAGE.format(content=content, version=__version__)
