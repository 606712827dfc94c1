"""The server under attack: each request that once held or ended it is answered with one sentence, and others go on."""

import asyncio
import gzip
import io
import json
import logging
import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import make_series
from fastapi.testclient import TestClient
from servers import LIMITS, build_app, run_server

from lightfit.errors import UsageError
from lightfit.scripts.serve import main
from lightfit.scripts.serving.admission import Admission
from lightfit.scripts.serving.hosts import choose_hosts, is_known
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.uploads import check_table

Trained = Callable[[str], str]
JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
SMALL = LIMITS._replace(
    max_bytes=200_000,
    max_text_chars=20_000,
    max_columns=100,
    max_cells=10_000,
    max_unpacked_bytes=300_000,
    max_parts=60,
)


@pytest.fixture
def client(trained: Trained) -> Iterator[Callable[..., TestClient]]:
    opened: list[TestClient] = []

    def start(task: str, limits: Limits = SMALL, **options: Any) -> TestClient:
        app = build_app(task, trained(task), limits, **options)
        opened.append(TestClient(app, raise_server_exceptions=False).__enter__())
        return opened[-1]

    yield start
    for item in opened:
        item.__exit__(None, None, None)


def zipped(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return data.getvalue()


FAR_CELL = zipped(
    xl__workbook_dot_xml="<workbook/>",
    xl__worksheets__sheet1_dot_xml='<worksheet><sheetData><c r="A1"/><c s="1" r="XFD1048576"/></sheetData></worksheet>',
)
WIDE = ",".join(f"c{index}" for index in range(5000))


def rows(*values: str) -> str:
    """Return a request with numbers as they are written."""
    held = ", ".join(f'{{"date": "2024-01-0{day}", "load": {value}}}' for day, value in enumerate(values, 1))
    return f'{{"rows": [{held}]}}'


ATTACKS: dict[str, list[tuple[dict[str, Any], int, str]]] = {
    "text": [
        ({"json": {"texts": ["a" * 20_001]}}, 422, "text 1: 20,001 characters, more than the limit of 20,000"),
        ({"content": "a " * 15_000, "headers": {"content-type": "text/plain"}}, 422, "more than the limit of 20,000"),
        ({"content": WIDE, "headers": CSV}, 422, "has 5,000 columns; expected at most 100"),
        ({"content": "a\n" * 5001, "headers": {"content-type": "text/plain"}}, 413, "more than 5,000 lines"),
        ({"content": "a\n" * 51, "headers": {"content-type": "text/plain"}}, 413, "at most 50 inputs"),
        ({"files": {"f": ("a.csv.gz", gzip.compress(b"text\n" + b"a" * 400_000))}}, 413, "when it is unpacked"),
        ({"files": {"f": ("a.csv.zip", zipped(a_dot_csv="text\n" + "a" * 400_000))}}, 413, "when it is unpacked"),
        ({"files": {"f": ("a.xlsx", FAR_CELL)}}, 413, "1,048,576 rows and 16,384 columns, more than the limit"),
        ({"files": [("f", ("a.txt", b"a"))] * 61}, 413, "the form has more than 60 parts"),
        ({"data": {f"k{index}": "" for index in range(61)}, "files": {"f": ("a.txt", b"a")}}, 413, "than 60 parts"),
        ({"files": [("f", ("a.txt", b"a"))] * 51}, 413, "at most 50 inputs in a request, received 51"),
        ({"content": b'{"texts": ["a"], "texts": ["b"]}', "headers": JSON}, 422, "the key 'texts' occurs twice"),
        ({"content": b'{"texts": [NaN]}', "headers": JSON}, 400, "NaN is none of its numbers; write null"),
        ({"content": b"[" * 150_000, "headers": JSON}, 400, "nested too deeply"),
        ({"content": b'{"n": %s}' % (b"9" * 10_000), "headers": JSON}, 400, "a number has more than 4,300 digits"),
        ({"content": rb'{"texts": ["\ud800"]}', "headers": JSON}, 422, "text 1: half a character, 0xd800"),
        ({"content": b"{}", "headers": JSON | {"content-encoding": "gzip"}}, 415, "without Content-Encoding"),
        ({"content": b"x", "headers": JSON | {"content-length": "9" * 30}}, 413, "exceeds the limit of 200,000 bytes"),
    ],
    "series": [
        ({"content": WIDE + "\n" + WIDE, "headers": CSV}, 422, "has 5,000 columns; expected at most 100"),
        ({"json": {"rows": [{f"c{index}": 1 for index in range(101)}]}}, 422, "has 101 columns; expected at most 100"),
        ({"content": rb'{"rows": [{"date": "\udfff", "load": 1}]}', "headers": JSON}, 422, "half a character, 0xdfff"),
        ({"content": rows("Infinity", "1"), "headers": JSON}, 400, "Infinity is none of its"),
        ({"content": rows("1e400", "1"), "headers": JSON}, 422, "expected finite numbers"),
        ({"content": rows("9" * 400, "1.5"), "headers": JSON}, 422, "finite"),
        ({"content": b"\x89PNG\r\n\x1a\n", "headers": CSV}, 422, "is an image, which is not read"),
    ],
}


@pytest.mark.parametrize("task", ATTACKS)
def test_each_attack_is_answered_in_one_sentence(task: str, client: Callable[..., TestClient]) -> None:
    asked = client(task)
    for request, status, problem in ATTACKS[task]:
        answer = asked.post("/predict", **request)
        assert (answer.status_code, problem in answer.json()["detail"]) == (status, True), (problem, answer.text)
        assert set(answer.json()) == {"detail"}
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", [1e308, -1e308, 1e40])
def test_numbers_beyond_float32_are_refused_and_never_null(value: float, client: Callable[..., TestClient]) -> None:
    rows = json.loads(make_series(60).to_json(orient="records", date_format="iso"))
    rows[-2]["load"] = value
    answer = client("series").post("/predict", json={"rows": rows})
    assert answer.status_code == 422, answer.text
    assert re.search(r"a number is too large for the model, which computes in float32", answer.json()["detail"])


def test_a_forecast_beyond_any_number_is_an_error(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightfit.scripts.serving import models

    predict = models.predict_records

    def overflow(*args: Any, **options: Any) -> Any:
        records = predict(*args, **options)
        records[0][3]["load"] = float("inf")
        return records

    monkeypatch.setattr(models, "predict_records", overflow)
    rows = json.loads(make_series(60).to_json(orient="records", date_format="iso"))
    answer = client("series").post("/predict", json={"rows": rows})
    assert answer.status_code == 422
    assert "the prediction of 'load' is beyond any number" in answer.json()["detail"]


def test_a_large_text_is_predicted_as_a_small_one_is(client: Callable[..., TestClient]) -> None:
    asked = client("text")
    long = "a good film " * 1000
    one, two = asked.post("/predict", json={"texts": [long, "a bad film"]}).json()["predictions"]
    assert (one["label"], two["label"]) == ("pos", "neg")
    again = asked.post("/predict", content=f'{{"texts": ["{long}"]}}'.encode("utf-16"), headers=JSON)
    assert again.json()["predictions"] == [one]


def test_other_methods_and_addresses(client: Callable[..., TestClient]) -> None:
    asked = client("text")
    assert asked.head("/health").status_code == 200
    assert asked.head("/health").content == b""
    for method, path, allowed in [("GET", "/predict", "POST"), ("POST", "/health", "GET"), ("OPTIONS", "/info", "GET")]:
        answer = asked.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["detail"] == f"expected {allowed} at '{path}', received {method}; see /docs"
    assert asked.get("/nowhere").json()["detail"] == "nothing at '/nowhere'; see /docs"


def test_what_fails_is_said_in_the_log_and_nowhere_else(
    client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("lightfit.scripts.serving.bodies.parse_json", fail)
    with caplog.at_level(logging.ERROR):
        answer = client("text").post("/predict", json={"texts": ["a"]})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the server failed (RuntimeError); its log says where"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" in caplog.text


def test_names_of_other_sites_are_refused(client: Callable[..., TestClient]) -> None:
    asked = client("text", hosts=choose_hosts("127.0.0.1", "", machine="pc"))
    answers = {host: asked.get("/health", headers={"host": host}).status_code for host in ("localhost:1", "evil.com")}
    assert answers == {"localhost:1": 200, "evil.com": 400}
    problem = asked.get("/", headers={"host": "evil.com:80"}).json()["detail"]
    assert problem.startswith("this server does not answer to the name 'evil.com' but to localhost and its addresses")


def test_hosts() -> None:
    own = choose_hosts("0.0.0.0", "", machine="Pc7")
    assert own == ("localhost", "pc7")
    assert choose_hosts("model.example.com", "", machine="pc") == ("localhost", "pc", "model.example.com")
    for host in ("LOCALHOST:80", "127.0.0.1", "10.0.0.7:8000", "[::1]:80", "pc7.", "[fe80::1]"):
        assert is_known(host, own), host
    for host in ("evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "xpc7", "", "[evil]", "1.2.3.4.5"):
        assert not is_known(host, own), host
    chosen = choose_hosts("0.0.0.0", "a.com, *.b.com", machine="pc")
    assert [is_known(host, chosen) for host in ("a.com", "x.b.com", "b.com", "pc")] == [True, True, False, False]
    assert is_known("anything", choose_hosts("0.0.0.0", "*", machine="pc"))
    with pytest.raises(UsageError, match=r"expected --allowed_hosts as names .* received 'http://a.com'"):
        choose_hosts("0.0.0.0", "http://a.com", machine="pc")


def test_headers_for_browsers(client: Callable[..., TestClient]) -> None:
    asked = client("text")
    for path in ("/health", "/", "/docs", "/openapi.json", "/nowhere"):
        answer = asked.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert "unsafe" not in policy["script-src"]
        inline = re.findall(r"<script>(.+?)</script>", answer.text, re.DOTALL)
        assert policy["script-src"].count("'sha256-") == len(inline)


def test_only_so_many_requests_at_a_time() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def run(app: Any, count: int, method: str = "POST") -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asked:
            return list(await asyncio.gather(*(asked.request(method, "/") for _ in range(count))))

    answers = asyncio.run(run(Admission(slow, max_requests=3, answer_s=5), 5))
    assert sorted(answer.status_code for answer in answers) == [204, 204, 204, 503, 503]
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert (busy.headers["retry-after"], busy.json()["detail"][:36]) == ("1", "the server is busy with 3 requests: ")
    assert [
        answer.status_code for answer in asyncio.run(run(Admission(slow, max_requests=1, answer_s=5), 2, "GET"))
    ] == [
        204,
        204,
    ]
    (late,) = asyncio.run(run(Admission(slow, max_requests=3, answer_s=0.05), 1))
    assert late.status_code == 504
    assert late.json()["detail"].startswith("no answer within 0.05 seconds: send fewer inputs")


def test_a_request_whose_client_has_left_ends() -> None:
    ended = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def run() -> int:
        messages = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            raise AssertionError("nobody is there")

        app = Admission(slow, max_requests=1, answer_s=60)
        await asyncio.wait_for(app({"type": "http", "method": "POST"}, receive, send), 5)
        return app.num_requests

    assert asyncio.run(run()) == 0
    assert ended.is_set()


def test_a_table_is_measured_before_it_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": pa.array([0] * 20_000).dictionary_encode()}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    assert len(content) < 2000
    with pytest.raises(Exception, match=r"has 20,000 rows and 1 columns, more than the limit of 10,000 cells"):
        check_table("a.parquet", content, SMALL, of_texts=False)
    check_table("a.parquet", content, SMALL._replace(max_cells=20_000), of_texts=False)
    check_table("a.csv", b"a\n" * 90_000, SMALL, of_texts=False)


def test_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for args, problem in (
        (["--max_columns", "0"], "expected --max_columns of at least 1, received 0"),
        (["--body_s", "nan"], "expected --body_s above 0 and at most 86,400, received nan"),
        (["--allowed_hosts", "a/b"], "expected --allowed_hosts as names"),
    ):
        assert main(["a.ckpt", *args]) == 2
        assert problem in capsys.readouterr().err


HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"texts": ["a good film"]}'
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def talk(port: int, *pieces: bytes | float) -> str:
    """Send bytes, wait between them, and return all that is answered until the server closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
        for piece in pieces:
            with suppress(ConnectionError):  # it may be closed by now
                if isinstance(piece, bytes):
                    opened.sendall(piece)
                else:
                    time.sleep(piece)
        try:
            while received := opened.recv(65536):
                answer += received
        except ConnectionResetError:
            pass
    return answer.decode()


@pytest.mark.slow
def test_slow_clients_and_odd_ones_on_real_connections(
    trained: Trained, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightfit.scripts.serving.connections.LINGER_S", 0.5)
    limits = SMALL._replace(header_s=0.5, body_s=0.5, answer_s=3)
    close = b"Connection: close\r\n"
    with caplog.at_level(logging.WARNING), run_server(build_app("text", trained("text"), limits), limits) as port:
        begun = time.monotonic()
        assert talk(port) == ""
        assert "408 Request Timeout" in (answer := talk(port, HEAD))
        assert "the headers of the request were not complete within 0.5 seconds" in answer
        drops = [piece for byte in HEAD[:12] for piece in (bytes([byte]), 0.06)]
        assert "408 Request Timeout" in talk(port, *drops)
        assert "408 Request Timeout" in (answer := talk(port, HEAD + b"Content-Length: 100\r\n\r\n", b'{"te'))
        assert "the body of the request was not complete within 0.5 seconds" in answer
        assert time.monotonic() - begun < 10
        assert "431 Request Header Fields Too Large" in talk(port, b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000)
        assert '{"detail": "this is not an HTTP request that can be read"}' in talk(port, b"no\r\n\r\n")
        assert "413 " in talk(port, HEAD + b"Content-Length: 300000\r\n\r\n", b" " * 1000)
        chunk = b"%x\r\n%b\r\n" % (100_000, b" " * 100_000)
        assert "413 " in talk(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk)
        pieces = HEAD + close + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
        assert talk(port, pieces).count('"label":"pos"') == 1
        last = WHOLE.replace(b"Host", close + b"Host")
        assert talk(port, WHOLE + WHOLE + last).count('"label":"pos"') == 3
        assert "100 Continue" in talk(
            port, HEAD + close + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", 0.2, b"{}"
        )
        caplog.clear()
        for sent in (HEAD + b"Content-Length: 100\r\n\r\n{", WHOLE, WHOLE[:30]):  # clients that leave
            with socket.create_connection(("127.0.0.1", port)) as opened:
                opened.sendall(sent)
        time.sleep(0.5)
        assert httpx.get(f"http://127.0.0.1:{port}/health").json() == {"status": "ok"}
        assert caplog.text == ""


@pytest.mark.slow
def test_large_inputs_do_not_stop_others(trained: Trained) -> None:
    limits = LIMITS._replace(max_bytes=10 * 2**20, max_inputs=1000)
    large = {"texts": ["a good film " * 8000] * 40}
    with run_server(build_app("text", trained("text"), limits), limits) as port:
        address = f"http://127.0.0.1:{port}/predict"
        httpx.post(address, json={"texts": ["a"]})
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(httpx.post(address, json=large, timeout=120)))
        asking.start()
        time.sleep(0.2)
        waits = []
        while asking.is_alive():
            begun = time.monotonic()
            assert httpx.post(address, json={"texts": ["a good film"]}, timeout=60).status_code == 200
            waits.append(time.monotonic() - begun)
        asking.join()
    assert answers[0].status_code == 200, answers[0].text
    assert len(waits) > 3, "others were answered while the large request was"
    assert max(waits) < 3
