"""The server's page: its files and what it asks the server for; in Chromium, what a person sees, types and clicks."""

import base64
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn
from conftest import make_series
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from PIL import Image

from lightfit.datamodules.codec import set_examples
from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import Trained, load_trained
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel
from lightfit.scripts.serving.page import FILES, page_routes, render_card

Train = Callable[[str], str]
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"


def build(checkpoint: str, examples: Any = ()) -> tuple[FastAPI, Trained]:
    held = load_trained(checkpoint)
    if examples:
        set_examples(held.codec, examples)
    predictor = Predictor(held.model, held.codec, [torch.device("cpu")])
    limits = Limits(8, 0.001, max_bytes=100_000, max_inputs=50)
    return make_app(Models([ServedModel("model", held, predictor, limits)]), limits), held


def test_the_page_needs_nothing_but_its_own_files(trained: Train) -> None:
    asked = TestClient(build(trained("text"))[0])
    page = asked.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text)
    assert {"static/style.css", "static/page.css", "static/page.js", "static/tables.js"} == set(named)
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page.text), "a strict policy forbids it"
    texts = [page.text]
    for name in FILES:
        answer = asked.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith("text/css" if name.endswith(".css") else "text/javascript")
        texts.append(answer.text)
        imported = re.findall(r'from "\./([^"]+)"', answer.text)
        assert set(imported) <= set(FILES), name
    assert not re.search(r"https?://", "".join(texts).replace("http://www.w3.org/2000/svg", "")), "no other server"
    for name in ("page.py", "..%2Fapp.py", "page.html"):
        assert asked.get(f"/static/{name}").status_code == 404


def test_the_card_is_shown_without_any_html_of_its_own(trained: Train) -> None:
    app, held = build(trained("text"))
    asked = TestClient(app)
    card = held.path.parent.parent / "card.md"
    assert asked.get("/info").json()["card"] is True
    shown = asked.get("/card").text
    assert "<h3>" in shown
    assert "<h1>" not in shown
    assert "<table>" in shown
    card.write_text(
        "---\nlicense: mit\n---\n# a <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n"
        "[click](javascript:alert(1)) ![p](https://example.org/p.png)\n\n| a |\n| --- |\n| <b>1</b> |\n",
        encoding="utf-8",
    )
    shown = render_card(card)
    assert "license" not in shown
    for tag in re.findall(r"<\s*(\w+)[^>]*>", shown):
        assert tag in {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "a"}, shown
    assert "&lt;script&gt;" in shown
    assert 'href="javascript' not in shown
    card.unlink()
    missing = asked.get("/card")
    assert missing.status_code == 404
    assert "no card.md lies beside the checkpoint" in missing.json()["detail"]


def test_examples_and_what_was_before_a_forecast(trained: Train) -> None:
    csv = base64.b64encode(make_series().to_csv(index=False).encode()).decode()
    example = {"name": "a.csv", "type": "text/csv", "content": csv}
    app, _ = build(trained("series"), [example])
    with TestClient(app) as asked:
        info = asked.get("/info").json()
        assert (info["num_examples"], info["horizon"]) == (1, 24)
        assert info["limits"] == {"bytes": 100_000, "inputs": 50}
        assert asked.get("/examples").json() == {"examples": [example]}
        file = {"file": ("series.csv", Path("series.csv").read_bytes())}
        answer = asked.post("/predict?history=true", files=file).json()
        (forecast,), (known,) = answer["predictions"], answer["history"]
        assert known[-1]["date"] < forecast[0]["date"]
        table = make_series()
        assert [row["load"] for row in known] == pytest.approx(table["load"][-len(known) :].tolist())
        assert "history" not in asked.post("/predict", files=file).json()
        assert asked.get("/models/other/examples").status_code == 404


def test_predictions_come_with_what_decided_them(trained: Train) -> None:
    app, _ = build(trained("text"))
    with TestClient(app) as asked:
        assert asked.get("/info").json()["explain"] is True
        answer = asked.post("/predict?explain=true", json={"texts": ["a dreadful film", " ", "lovely"]}).json()
        first, bad, last = answer["explanations"]
        assert bad is None
        assert (first["of"], last["of"]) == ("neg", "pos")
        strongest = max(first["items"], key=lambda item: abs(item["weight"]))
        assert "dreadful" in strongest["input"]
        assert strongest["spans"]
        assert "explanations" not in asked.post("/predict", json={"texts": ["a"]}).json()
        many = asked.post("/predict?explain=true", json={"texts": ["a"] * 17})
        assert many.status_code == 413
        assert "expected at most 16 inputs to explain in a request, received 17" in many.json()["detail"]


# In Chromium

chromium = pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromedriver and Chromium")
AXE = """
const done = arguments[0];
axe.run().then(({ violations }) => done(violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html)}`)));
"""


class Visitor:
    """A person at the page.

    Args:
        browser: selenium's driver of Chromium.
        axe: source of axe-core; empty where npm could not get it.
    """

    def __init__(self, browser: Any, axe: str) -> None:
        self.browser = browser
        self.axe = axe

    def open(self, address: str, *, width: int = 1280, dark: bool = False) -> None:
        """Open the page and wait until it can be used, or asks for a token, or says what is wrong."""
        self.look(width, dark=dark)
        self.browser.get(address)
        self.wait("""
            return document.getElementById("app").getAttribute("aria-busy") === "false"
                && (document.getElementById("about").hidden || document.getElementById("facts").childElementCount > 0)
        """)

    def look(self, width: int, *, dark: bool = False) -> None:
        """Set the width of the window, and whether the system's colours are dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def find(self, selector: str) -> Any:
        """Return the first element of a CSS selector."""
        return self.browser.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """Return the visible text of each element of a CSS selector."""
        return [found.text for found in self.browser.find_elements("css selector", selector)]

    def wait(self, script: str) -> None:
        """Wait until a script returns true."""
        end = time.monotonic() + 20
        while not self.browser.execute_script(script):
            assert time.monotonic() < end, f"{script}\n{self.find('body').text}"
            time.sleep(0.02)

    def predict(self) -> None:
        """Press the button and wait for the answer."""
        self.find("#go").click()
        self.wait_for_answer()

    def wait_for_answer(self) -> None:
        """Wait until nothing is predicted."""
        self.wait('return !document.getElementById("go").disabled')

    def check(self) -> None:
        """Check accessibility and width, in both colour schemes, on a phone and on a wide screen."""
        for width, dark in ((390, False), (1600, True)):
            self.look(width, dark=dark)
            assert self.browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), width
            if self.axe:
                self.browser.execute_script(self.axe)
                assert self.browser.execute_async_script(AXE) == [], (width, dark)

    def shoot(self, name: str) -> None:
        """Keep a picture of the page, if the environment asks for it."""
        if shots := os.environ.get("LIGHTFIT_SCREENSHOTS"):
            self.browser.save_screenshot(f"{shots}/{name}.png")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core; skip if npm cannot get it."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, for axe-core")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), "axe-core@4"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    if run.returncode:
        pytest.skip(f"npm cannot get axe-core: {run.stderr.strip()[-200:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory, axe: str) -> Iterator[Visitor]:
    from selenium import webdriver

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        options = webdriver.ChromeOptions()
        profile = tmp_path_factory.mktemp("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
            options.add_argument(argument)
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        yield Visitor(browser, axe)
        browser.quit()


@pytest.fixture
def serving() -> Iterator[Callable[[FastAPI], str]]:
    """Return a function that serves an application in a thread, under a strict policy, and returns its address."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(app: FastAPI) -> str:
        @app.middleware("http")
        async def restrict(request: Request, answer: Any) -> Any:
            response = await answer(request)
            response.headers.setdefault("Content-Security-Policy", POLICY)
            return response

        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        started.append((server, thread))
        end = time.monotonic() + 20
        while not server.started and time.monotonic() < end:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield serve
    for server, thread in started:
        server.should_exit = True
        thread.join()


def complaints(visitor: Visitor, *expected: str) -> list[str]:
    """Return what the browser complained about since it was last asked, but for answers of these statuses."""
    lines = [entry["message"] for entry in visitor.browser.get_log("browser")]
    return [line for line in lines if not any(f"status of {status}" in line for status in expected)]


@chromium
@pytest.mark.slow
def test_texts_at_the_page(trained: Train, serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    checkpoint = trained("text")
    long = "a great film " * 40
    address = serving(build(checkpoint, [{"text": long, "label": "pos"}, {"text": "bad", "label": "neg"}])[0])
    visitor.open(address)
    visitor.check()
    assert visitor.find("h1").text == "text"
    assert "which of 2 classes a text belongs to: neg, pos" in visitor.find("#lead").text
    visitor.predict()
    assert visitor.texts("#problem .error") == ["Enter a text first, or choose a file."]
    visitor.find("#text").send_keys("a good film\n\nxyzzy")
    visitor.find("#lines").click()
    visitor.predict()
    assert visitor.texts(".result .quote") == ["a good film", "xyzzy"]
    assert visitor.texts(".result .answer")[0] == "pos"
    assert visitor.texts(".result .warning")[0].startswith("Doubtful: no word of this text is known")
    assert re.match(r"2 predictions in \d", visitor.find("#status").text)
    assert visitor.texts("#problem .error") == []
    visitor.check()
    visitor.shoot("text")
    Path("rows.csv").write_text('text\na bad film\n""\n', encoding="utf-8")
    Path("other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    visitor.find("#clear").click()
    for name in ("rows.csv", "other.csv"):
        visitor.find("#file").send_keys(str(Path(name).absolute()))
    visitor.predict()
    assert visitor.texts(".result .name")[:2] == ["rows.csv, text 1", "neg"]
    first, second = visitor.texts(".result .error > p")
    assert first == "This text is empty: enter a few words."
    assert second.startswith("“other.csv” cannot be read as texts. It may be a table with a column of texts")
    visitor.check()
    example = visitor.find("#example-list button")
    example.click()
    visitor.wait_for_answer()
    assert visitor.find(".answer").text == "pos"
    assert visitor.find("#text").get_attribute("value") == long
    visitor.find(".input summary").click()
    assert [text.strip() for text in visitor.texts(".input details .quote")] == [long.strip()]
    visitor.find("#about summary").click()
    assert "Evaluation" in visitor.texts("#card h4")
    visitor.check()
    assert complaints(visitor, "422") == []


@chromium
@pytest.mark.slow
def test_images_at_the_page(trained: Train, serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    checkpoint = trained("images")
    content = base64.b64encode(Path("images/dark/00.png").read_bytes()).decode()
    example = {"name": "00.png", "type": "image/png", "content": content, "label": "dark"}
    visitor.open(serving(build(checkpoint, [example])[0]))
    visitor.check()
    visitor.predict()
    assert visitor.texts("#problem .error") == ["Choose an image first."]
    Path("图片 no image.png").write_bytes(b"no image")
    Path("large.png").write_bytes(bytes(100_001))
    Image.new("RGB", (30, 20), "white").save("white.webp")
    for name in ("images/dark/01.png", "图片 no image.png", "large.png", "white.webp"):
        visitor.find("#file").send_keys(str(Path(name).absolute()))
    assert len(visitor.texts("#files li")) == 4
    visitor.predict()
    assert visitor.texts(".result .answer") == ["dark", "bright"]
    assert visitor.texts(".result .error > p") == [
        "“图片 no image.png” cannot be read as an image. Files in JPEG, PNG or WebP work: save it as one of these.",
        "“large.png” has 100 kB, and this server takes at most 100 kB: choose a smaller file.",
    ]
    assert len(visitor.browser.find_elements("css selector", ".result img.thumb")) == 2
    visitor.check()
    visitor.shoot("images")
    visitor.find("#files li:nth-child(2) button").click()
    assert len(visitor.texts("#files li")) == 3
    visitor.find("#example-list button").click()
    visitor.wait_for_answer()
    assert visitor.texts(".result .answer") == ["dark"]
    assert "In the training data: dark" in visitor.find(".result").text
    assert complaints(visitor, "422") == []


@chromium
@pytest.mark.slow
def test_series_at_the_page(trained: Train, serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    visitor.open(serving(build(trained("series"))[0]))
    Path("short.csv").write_text("date,load,wind\n2024-01-01,1,2\n", encoding="utf-8")
    Path("other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    for name in ("series.csv", "short.csv", "other.csv"):
        visitor.find("#file").send_keys(str(Path(name).absolute()))
    visitor.predict()
    few, columns = visitor.texts(".result .error > p")
    assert few.startswith("“short.csv” has too few rows: the model looks back on 48 steps")
    assert columns.startswith("“other.csv” lacks a column. This model needs the columns date")
    assert len(visitor.texts(".result tbody tr")) == 24
    assert "2024-01-11 00:00" in visitor.find(".readout").text
    visitor.check()
    plot = visitor.find(".plot")
    plot.send_keys("\ue013")  # arrow up: a step later
    assert plot.get_attribute("aria-valuetext").startswith("2024-01-11 01:00: ")
    plot.send_keys("\ue011")  # to the first known step
    assert plot.get_attribute("aria-valuetext").endswith("(known)")
    assert visitor.find(".plot .line.past").get_attribute("d").count("L") >= 47
    assert visitor.find(".plot .line.ahead").get_attribute("d").count("L") == 24
    visitor.find(".result th:nth-child(2) button").click()
    values = [float(cell.replace(",", "")) for cell in visitor.texts(".result td:nth-child(2)")]
    assert values == sorted(values, reverse=True)
    visitor.shoot("series")
    assert complaints(visitor, "422") == []


NAMES = ["长名称" * 20, "سلبي جدا", "no_spaces_" * 12, *(f"class {index}" for index in range(97))]
INFO: dict[str, Any] = {
    **{"task": "fake", "domain": "text", "net": "Net", "classes": NAMES, "version": "0", "trained_by": "0"},
    **{"target": {"kind": "classes", "names": NAMES}, "input_shape": [None, 1], "checkpoint": "a.ckpt"},
    **{"num_examples": 0, "card": False, "explain": True},
}


def fake(answers: dict[str, Any], *, names: tuple[str, ...] = ()) -> FastAPI:
    """Return a server that answers as told, by `info` and `predict`: a status and a body, or a function."""
    app = FastAPI()

    def choose(name: str) -> Trained:
        raise KeyError(name)

    def answer(kind: str) -> Callable[[Request], Any]:
        async def said(request: Request) -> Any:
            status, body, *headers = answers[kind](request) if callable(answers[kind]) else answers[kind]
            return JSONResponse(body, status, *headers)

        return said

    app.include_router(page_routes(choose))
    for place in ("", *(f"/models/{name}" for name in names)):
        app.get(f"{place}/info")(answer("info"))
        app.post(f"{place}/predict")(answer("predict"))
    app.get("/models")(lambda: {"models": [{"name": name} for name in names]})
    return app


def rank(names: list[str]) -> dict[str, Any]:
    ranked = {}
    for place, name in enumerate(names, 1):
        end = f"_{place}" if place > 1 else ""
        ranked |= {f"label{end}": name, f"probability{end}": round(0.5**place, 6)}
    return ranked


@chromium
@pytest.mark.slow
def test_many_classes_and_an_explanation(serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    explanation = {
        **{"of": NAMES[0], "unit": "logit", "rest": 0.1},
        "items": [
            {"input": "not good", "weight": 1.5, "spans": [[0, 8]]},
            {"input": "dull", "weight": -0.7, "spans": [[13, 17]], "unknown": True},
        ],
    }

    def predict(request: Request) -> Any:
        found: dict[str, Any] = {"predictions": [rank(NAMES)]}
        if request.query_params.get("explain"):
            found["explanations"] = [explanation]
        return 200, found

    visitor.open(serving(fake({"info": (200, INFO), "predict": predict})))
    visitor.find("#text").send_keys("not good but dull")
    visitor.find("#explain").click()
    visitor.predict()
    assert visitor.texts("mark") == ["not good", "dull"]
    assert visitor.texts("mark.for.strength-3") == ["not good"]
    assert "dull (not in the vocabulary)" in visitor.texts(".parts .name")
    names = ".labels .bars .name"
    assert visitor.texts(names) == NAMES[:5], "whole, however long they are"
    visitor.check()
    visitor.find(".more").click()
    assert visitor.texts(names) == NAMES
    visitor.check()
    visitor.shoot("many")


@chromium
@pytest.mark.slow
def test_what_goes_wrong_is_said_in_words(serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    answers: dict[str, Any] = {"info": (200, INFO), "predict": (500, {"detail": "secret traceback"})}
    visitor.open(serving(fake(answers)))
    visitor.find("#text").send_keys("a text")
    for status, sentence in (
        (500, "Something failed in the server, not in your input"),
        (504, "That took too long"),
        (404, "The server no longer has this model"),
    ):
        answers["predict"] = (status, {"detail": "what the server said"})
        visitor.predict()
        assert visitor.find("#problem p").text.startswith(sentence)
        assert visitor.find("#results").text == ""
    visitor.check()
    for status, sentence in (
        (413, "That is more than the server takes at once"),
        (422, "This text cannot be predicted"),
    ):
        answers["predict"] = (status, {"detail": "what the server said"})
        visitor.predict()
        assert visitor.find(".result .error > p").text.startswith(sentence)
    answers["predict"] = (503, {"detail": "full"}, {"Retry-After": "1"})
    visitor.predict()
    again = visitor.find("#problem button")
    assert again.text == "Try again in 1 second"
    answers["predict"] = (200, {"predictions": [rank(NAMES)]})
    visitor.wait("return !document.querySelector('#problem button').disabled")
    again.click()
    visitor.wait_for_answer()
    assert visitor.find(".answer").text == NAMES[0]
    visitor.browser.execute_cdp_cmd("Network.enable", {})
    network = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    visitor.browser.execute_cdp_cmd("Network.emulateNetworkConditions", network)
    visitor.predict()
    assert visitor.find("#problem p").text.startswith("The server does not answer. It may have been stopped")
    slow = {**network, "offline": False, "latency": 1500}
    visitor.browser.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    visitor.find("#go").click()
    assert visitor.find("#go").get_attribute("disabled")
    assert visitor.find("#results").get_attribute("aria-busy") == "true"
    visitor.wait('return document.getElementById("elapsed").textContent === "1 s"')
    visitor.find("#cancel").click()
    visitor.wait_for_answer()
    assert visitor.find("#status").text == "Cancelled."
    visitor.browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})


@chromium
@pytest.mark.slow
def test_a_token_and_several_models(serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    def info(request: Request) -> Any:
        if request.headers.get("authorization") != "Bearer open sesame":
            return 401, {"detail": "no token"}
        name = request.url.path.split("/")[-2] or "first"
        return 200, {**INFO, "name": name, "task": name, "classes": ["a", "b"]}

    address = serving(
        fake({"info": info, "predict": (200, {"predictions": [rank(["a", "b"])]})}, names=("first", "二"))
    )
    visitor.open(address)
    assert visitor.find("#access").is_displayed()
    visitor.check()
    visitor.find("#token").send_keys("wrong")
    visitor.find("#access button").click()
    visitor.wait('return document.querySelector("#problem .error") !== null')
    assert "asks for a token" in visitor.find("#problem").text
    visitor.find("#token").clear()
    visitor.find("#token").send_keys("open sesame")
    visitor.find("#access button").click()
    visitor.wait('return document.getElementById("access").hidden')
    visitor.wait('return !document.getElementById("models").hidden')
    assert visitor.find("h1").text == "first"
    visitor.browser.execute_script(
        'const of = document.getElementById("model"); of.value = "二"; of.dispatchEvent(new Event("change"));'
    )
    visitor.wait('return document.getElementById("title")?.textContent === "二"')
    visitor.find("#text").send_keys("a text")
    visitor.predict()
    assert visitor.find(".answer").text == "a"
    visitor.check()


@chromium
@pytest.mark.slow
def test_downloads_are_tables_that_spreadsheets_read(serving: Callable[[FastAPI], str], visitor: Visitor) -> None:
    visitor.open(serving(fake({"info": (200, INFO), "predict": (200, {"predictions": []})})))
    cells = ["a", 'say "hi", you', "=1+1", "-5", -5, 0.25, None, "中文\nline"]
    written = visitor.browser.execute_async_script(
        'import("./static/downloads.js").then(({ writeCell }) => arguments[1](arguments[0].map(writeCell)));',
        cells,
    )
    assert written == ["a", '"say ""hi"", you"', "'=1+1", "'-5", "-5", "0.25", "", '"中文\nline"']
