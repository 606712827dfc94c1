"""The server's page: its files, the training samples to try, and the card of the model."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, HTMLResponse
from markdown_it import MarkdownIt

from ..inference.trained import Trained

STATIC = Path(__file__).resolve().with_name("static")
SHARED = STATIC.parents[1] / "pages"  # the design of all pages
FILES = {path.name: path for path in (*STATIC.glob("*.*s"), SHARED / "style.css", SHARED / "tables.js")}
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
MAX_CARD_BYTES = 2**18
HEAD = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)  # of a card: YAML for programs


def page_routes(choose: Callable[[str], Trained]) -> APIRouter:
    """Return the routes of the page: `/`, its files below `/static`, `/examples` and `/card`.

    The last two also lie below `/models/NAME`.

    Args:
        choose: returns the checkpoint that the server has under a name, or without one; raises KeyError.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def page() -> FileResponse:
        """Return a page to try the model in a browser."""
        return FileResponse(STATIC / "page.html", media_type="text/html; charset=utf-8")

    @routes.get("/static/{name}")
    def static(name: str) -> FileResponse:
        """Return a style sheet or a script of the page."""
        if name not in FILES:
            raise HTTPException(404, f"no file '{name[:60]}' belongs to the page")
        return FileResponse(FILES[name], media_type=TYPES[FILES[name].suffix])

    def find(name: str) -> Trained:
        try:
            return choose(name)
        except KeyError as error:
            raise HTTPException(404, f"no model is served as '{name[:60]}'") from error

    @routes.get("/examples")
    @routes.get("/models/{name}/examples")
    def examples(name: str = "") -> dict[str, Any]:
        """Return the training samples that the checkpoint holds."""
        return {"examples": list(find(name).codec.examples)}

    @routes.get("/card")
    @routes.get("/models/{name}/card")
    def card(name: str = "") -> HTMLResponse:
        """Return the card of the model as a piece of HTML."""
        found = find_card(find(name).path)
        if found is None:
            raise HTTPException(404, "no card.md lies beside the checkpoint or in the folder of its run")
        return HTMLResponse(render_card(found))

    return routes


def find_card(checkpoint: Path) -> Path | None:
    """Return the card of a checkpoint: in its folder, or in that of its run; None if there is none."""
    folder = checkpoint.absolute().parent
    places = [folder, *([folder.parent] if folder.name == "checkpoints" else [])]
    return next((place / "card.md" for place in places if (place / "card.md").is_file()), None)


def render_card(path: Path) -> str:
    """Return a card as HTML, with headings two levels down; HTML in it is shown as it is written, and no picture."""
    with path.open("rb") as file:
        text = file.read(MAX_CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(HEAD.sub("", text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        elif token.attrs.pop("style", None) == "text-align:right":  # which the page's policy does not allow
            token.attrJoin("class", "number")
    return str(reader.renderer.render(tokens, reader.options, {}))
