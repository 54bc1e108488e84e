"""The page: one HTML file that needs nothing else, and no network."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from nst_batch.atomic import write_atomic
from nst_batch.errors import UsageError
from nst_batch.paths import RunPaths
from nst_batch.report.gallery import gallery, text
from nst_batch.report.thumbnails import Thumbnail, forget_others, thumbnails

Where = Literal["inside", "beside"]

MOST_INSIDE = 400  # pictures that a page holds itself: 12 MB of them

_PARTS = Path(__file__).parent
_SCRIPTS = ("elements", "data", "tiles", "grid", "large", "about", "curves", "keys", "head")  # in this order, as one


def write_report(
    paths: RunPaths, *, where: Where | None = None, live: bool = False, most: int | None = None, seed: int = 0
) -> Path:
    """Make ``RUN/report.html`` anew, whole or not at all; small pictures that are there already are not made again.

    Args:
        paths: of the run.
        where: thumbnails are ``inside`` the page, which can then be sent as one file, or ``beside`` it, which keeps the
            page of thousands of pictures small; None: inside, but for large samples.
        live: the run goes on: the page loads itself again from time to time.
        most: pictures that are shown; None: all, up to some thousands.
        seed: which ones, where they are not all.

    Raises:
        UsageError: no run was ever started there, or the page cannot be written.
    """
    shown = gallery(paths, live=live, most=most, seed=seed)
    if where is None:
        where = "beside" if shown.values["sample"] and len(shown.values["pictures"]) > MOST_INSIDE else "inside"
    small = thumbnails(paths, shown.thumbnails)
    links = [_link(paths, small[each], where) for each in shown.thumbnails]
    try:
        write_atomic(paths.report, page({**shown.values, "thumbnails": links}).encode())
    except OSError as error:
        raise UsageError(
            f"{paths.report}: cannot be written: {error.strerror}",
            hint="see that the folder may be written and has room",
        ) from error
    forget_others(paths, small.values())
    return paths.report


def page(values: dict[str, object]) -> str:
    """The HTML. What is shown goes into it as JSON, and is put on the page as text: nothing in a name is markup."""
    frame = _part("page.html")
    script = "\n".join(_part(f"script/{name}.js") for name in _SCRIPTS)
    parts = {
        "/*STYLE*/": _part("page.css"),
        "/*SCRIPT*/": f'"use strict";\n(() => {{\n{script}\n}})();\n',
        "/*DATA*/": _json(values),
        "<!--NAME-->": html.escape(text(str(values["name"]))),
    }
    return re.sub("|".join(map(re.escape, parts)), lambda mark: parts[mark[0]], frame)


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")


def _json(values: dict[str, object]) -> str:
    """JSON that can end no script, whatever names and messages hold."""
    found = json.dumps(values, separators=(",", ":"))
    return found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _link(paths: RunPaths, small: Thumbnail | None, where: Where) -> str | None:
    if small is None:
        return None
    if where == "beside":
        return quote(os.fspath(small.path.relative_to(paths.root)))
    return f"data:image/webp;base64,{base64.b64encode(small.data).decode()}"
