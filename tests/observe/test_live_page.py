"""`python -m autoresearch_ray.watch`: its server, asked as a browser and as an attacker would."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from browser import Browser, browsing
from histories import empty, realistic
from test_html_report import written
from test_rebuild import stored

from autoresearch_ray.live_page.page import LivePage
from autoresearch_ray.live_page.server import PageServer
from autoresearch_ray.observe.facts import summarise, wins
from autoresearch_ray.records import Proposal, Result, Trial
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.connect import read_run
from autoresearch_ray.store.sqlite.store import SqliteStore
from autoresearch_ray.watch import main

SECRET = "not of the run"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with files of a trial, a conversation, and links that lead out of it."""
    folder = tmp_path / "run"
    trial = folder / "trials" / "t00004"
    trial.mkdir(parents=True)
    (folder / "calls").mkdir()
    stored(realistic(), folder)
    (trial / "output.log").write_text("<script>alert(1)</script>\n")
    (trial / "curve.csv").write_text("seconds,step\n")
    (folder / "settings.json").write_text("{}\n")
    (folder / "calls" / "openai-00001.json.gz").write_bytes(gzip.compress(b'{"calls": [{"answer": "one\\ntwo"}]}'))
    (folder / "calls" / "torn.json.gz").write_bytes(gzip.compress(b'{"calls": []}')[:-9])
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "output.log").write_text(SECRET)
    (trial / "train.py").symlink_to(tmp_path / "secret")
    (folder / "trials" / "t00005").symlink_to(tmp_path / "outside")
    (folder / "trials" / "t00006").mkdir()
    os.mkfifo(folder / "trials" / "t00006" / "output.log")
    return folder


@pytest.fixture
def server(run: Path) -> Iterator[PageServer]:
    with PageServer(run) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """One request, its path sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def add_trial(folder: Path, trial_id: str, hypothesis: str, score: float) -> None:
    """One more trial with its result, as a living run adds it."""
    source = realistic().rows[0].trial.proposal.source_sha
    proposal = Proposal(f"p-{trial_id}", "code", "anthropic:MODEL", source, source, 1, hypothesis)
    with SqliteStore(folder / "state.db") as store:
        board = Board(store)
        board.start(Trial(trial_id, proposal, "screen", 7, 1_750_001_000.0))
        board.finish(Result(trial_id, "ok", val_bpb=score, started_at=1_750_001_000.0, finished_at=1_750_001_020.0))


def test_the_page_is_served_with_rules_that_forbid_all_that_is_foreign(server: PageServer) -> None:
    status, headers, content = ask(server, "/")
    assert status == 200 and b"<h1>cpu-night</h1>" in content
    rules = headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules and "connect-src 'self'" in rules and "frame-ancestors 'none'" in rules
    assert re.search(r"script-src 'sha256-[\w+/=]+'", rules) and "script-src 'unsafe" not in rules
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_data_has_the_revision_and_is_empty_for_who_knows_it(server: PageServer, run: Path) -> None:
    status, headers, content = ask(server, "/data")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert headers["ETag"] == f'"{json.loads(content)["revision"]}"'
    assert ask(server, "/data", If_None_Match=headers["ETag"])[::2] == (304, b"")
    server.page = LivePage(run)
    add_trial(run, "t00090", "something new", 1.5)
    status, newer, content = ask(server, "/data", If_None_Match=headers["ETag"])
    assert status == 200 and newer["ETag"] != headers["ETag"] and "something new" in json.loads(content)["body"]


def test_a_run_that_rests_is_rendered_once_and_one_that_goes_not_all_the_time(run: Path) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 0.5
        return now[0]

    page = LivePage(run, clock)
    first = page.render()
    add_trial(run, "t00090", "something new", 1.5)
    assert page.render() is first, "a render took half a second: it rests for two"
    now[0] += 10
    second = page.render()
    assert second.revision > first.revision and len(second.history.rows) == len(first.history.rows) + 1
    now[0] += 10
    assert page.render() is second


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "evil.example:{port}"},
        {"Host": "localhost:{port}.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Host": "localhost:{port}", "Origin": "http://localhost:1"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/data", "/files/settings.json", "/nowhere"])
def test_another_host_or_origin_is_refused(server: PageServer, path: str, headers: dict[str, str]) -> None:
    named = {name: value.format(port=server.server_port) for name, value in headers.items()}
    status, _, content = ask(server, path, **named)
    assert status == 403 and b"cpu-night" not in content


def test_two_hosts_or_none_are_refused(server: PageServer) -> None:
    own = f"Host: 127.0.0.1:{server.server_port}\r\n"
    for hosts in ("", own + "Host: evil.example\r\n", "Host: evil.example\r\n" + own):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert connection.makefile("rb").readline().split()[1] == b"403"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_names_of_this_machine_are_answered(server: PageServer, host: str) -> None:
    named = f"{host}:{server.server_port}"
    assert ask(server, "/data", Host=named, Origin=f"http://{named}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_answered(server: PageServer, method: str) -> None:
    status, headers, content = ask(server, "/", method)
    assert status == 405 and headers["Allow"] == "GET, HEAD" and b"cpu-night" not in content


def test_head_is_get_without_its_content(server: PageServer) -> None:
    status, headers, content = ask(server, "/files/trials/t00004/curve.csv", "HEAD")
    assert (status, headers["Content-Length"], content) == (200, "13", b"")


def test_files_are_plain_text_whatever_is_in_them(server: PageServer) -> None:
    status, headers, content = ask(server, "/files/trials/t00004/output.log")
    assert (status, content) == (200, b"<script>alert(1)</script>\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert ask(server, "/files/settings.json")[2] == b"{}\n"


def test_a_conversation_is_unpacked_into_lines(server: PageServer) -> None:
    assert ask(server, "/files/calls/openai-00001.json.gz")[2] == b"calls:\n  1.\n    answer:\n      one\n      two\n"
    assert ask(server, "/files/calls/torn.json.gz")[2].startswith(b"This conversation cannot be read")


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2fsecret",
        "%2e%2e/secret",
        "trials/../../secret",
        "trials/t00004/../../../secret",
        "trials/..%2f..%2fsecret/output.log",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "trials/t00004/train.py",  # a link to a file outside
        "trials/t00005/output.log",  # in a folder that is a link
        "trials/t00006/output.log",  # a pipe
        "trials/t00004/output.log%00.csv",
        "trials/t00004/",
        "trials",
        "state.db",
        ".driver.lock",
        "calls/nowhere.json.gz",
        "",
    ],
)
def test_no_path_leads_out_of_what_is_shown(server: PageServer, path: str) -> None:
    status, _, content = ask(server, f"/files/{path}")
    assert status == 404 and SECRET.encode() not in content


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    """A browser without a fault: at the end its console has complained of nothing."""
    with browsing(tmp_path / "profile") as browser:
        yield browser
        assert browser.errors == []


def shown_rows(tab: Browser) -> list[list[str]]:
    """The cells of the trials that are to be seen, in their order."""
    rows: list[list[str]] = tab.do(
        "[...document.querySelectorAll('tr[data-trial]')].filter((row) => !row.hidden)"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


def test_a_trial_arrives_without_reload_and_what_was_chosen_stays(server: PageServer, run: Path, tab: Browser) -> None:
    tab.open(server.url)
    tab.do("globalThis.opened = true; document.querySelector('th:nth-child(4)').click()")
    tab.do("document.querySelector('input[type=search]').focus()")
    for key in "code":
        tab.press(key)
    before = shown_rows(tab)
    assert all("code" in " ".join(row) for row in before)
    scores = [float(row[3]) for row in before if row[3] != "–"]
    assert scores == sorted(scores) and len(before) > len(scores) > 1
    tab.do("window.scrollTo(0, document.body.scrollHeight)")
    tab.do("document.querySelector('tr[data-trial]:not([hidden])').id = 'same'")
    scrolled = tab.do("window.scrollY")
    add_trial(run, "t00090", "<script>alert(1)</script><img src=x onerror=alert(1)>", 1.5)
    tab.wait("document.querySelector('tr[data-trial=t00090]')")
    after = shown_rows(tab)
    assert after[0][:4] == ["t00090", "code", "ok", "1.5000"], "sorted in"
    assert after[0][7] == "<script>alert(1)</script><img src=x onerror=alert(1)>", "as text"
    assert after[1:] == before and tab.do("globalThis.opened && document.activeElement.value") == "code"
    assert tab.do("document.getElementById('same').dataset.trial") == before[0][0], "a row that is as it was stays"
    assert abs(tab.do("window.scrollY") - scrolled) <= 60 and scrolled > 0
    head = tab.do("document.querySelector('[data-section=head]').textContent")
    assert f"trials{summarise(read_run(run)).trials}" in head, "cards follow"
    assert {"/", "/data"} == {url.removeprefix(server.url.rstrip("/")) for url in tab.requests}


def test_a_page_whose_server_has_ended_says_so(run: Path, tab: Browser) -> None:
    with watching(run) as (process, url):
        tab.open(url)
        tab.wait("document.getElementById('state').textContent === 'live'")
        process.kill()
    tab.wait("document.getElementById('state').textContent.startsWith('the server has ended')")
    assert all("ERR_CONNECTION" in error for error in tab.errors)
    tab.errors.clear()


def test_rows_are_filtered_by_kind_and_decision(tab: Browser, tmp_path: Path) -> None:
    written(realistic(), tmp_path)
    tab.open((tmp_path / "report.html").as_uri())

    def choose(name: str, value: str) -> None:
        script = f"document.querySelector('select[aria-label={name}]')"
        tab.do(f"{script}.value = '{value}'; {script}.dispatchEvent(new Event('change'))")

    choose("kind", "replicate")
    assert {row[1] for row in shown_rows(tab)} == {"replicate"}
    choose("decision", "keep")
    assert [row[0] for row in shown_rows(tab)] == [
        row.trial.trial_id for row in reversed(realistic().rows) if row.decision and row.decision.verdict == "keep"
    ]
    choose("kind", "")
    choose("decision", "")
    assert len(shown_rows(tab)) == len(realistic().rows)
    assert tab.requests == [(tmp_path / "report.html").as_uri()]


def test_a_trial_opens_and_foreign_text_stays_text(server: PageServer, run: Path, tab: Browser) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    add_trial(run, "t00004x", hostile, 1.5)
    tab.open(server.url)
    tab.do("document.querySelector('tr[data-trial=t00004x]').click()")
    tab.wait("document.getElementById('panel').open")
    assert hostile in tab.do("document.getElementById('panel').textContent")
    assert tab.do("document.querySelectorAll('#panel script, #panel img').length") == 0
    tab.press("Escape")
    tab.wait("!document.getElementById('panel').open")
    tab.do("document.querySelector('tr[data-trial=t00004]').click()")
    tab.wait("document.getElementById('panel').dataset.trial === 't00004'")
    links = tab.do("[...document.querySelectorAll('#panel a')].map((link) => link.href)")
    assert links == [f"{server.url}files/trials/t00004/{name}" for name in ("output.log", "curve.csv")]
    lines = tab.do("[...document.querySelectorAll('#panel .diff .p')].map((line) => line.textContent)")
    assert lines == ["+", "+A = 1"]
    assert tab.do("document.querySelectorAll('#panel polyline').length") == 2, "its curve and its parent's"


@pytest.mark.parametrize("is_live", [True, False])
def test_a_script_that_is_not_the_pages_own_does_not_run(
    server: PageServer, tab: Browser, tmp_path: Path, is_live: bool
) -> None:
    written(realistic(), tmp_path)
    tab.open(server.url if is_live else (tmp_path / "report.html").as_uri())
    tab.do(
        "document.body.append(make('script', {}, 'globalThis.bad = 1'), make('img', {onerror: 'bad = 1', src: 'x'}))"
    )
    tab.wait("document.querySelector('body > img').complete")
    assert tab.do("'bad' in globalThis") is False
    assert len(tab.errors) >= 2 and all("Content Security Policy" in error for error in tab.errors)
    tab.errors.clear()


def test_keys_move_open_and_close(tab: Browser, tmp_path: Path) -> None:
    written(realistic(), tmp_path)
    tab.open((tmp_path / "report.html").as_uri())
    tab.press("/")
    assert tab.do("document.activeElement.type") == "search"
    for key in "keep":
        tab.press(key)
    tab.press("Enter")
    shown = [row[0] for row in shown_rows(tab)]
    assert 2 <= len(shown) < 10
    for key in "jjkj":
        tab.press(key)
    assert tab.do("document.querySelector('tr.active').dataset.trial") == shown[1]
    tab.press("Enter")
    tab.wait("document.getElementById('panel').open")
    tab.press("k")
    tab.wait(f"document.getElementById('panel').dataset.trial === '{shown[0]}'")
    tab.press("Escape")
    tab.wait("!document.getElementById('panel').open")


def test_the_chart_has_a_point_a_trial_and_opens_it(server: PageServer, run: Path, tab: Browser) -> None:
    tab.open(server.url)
    history = read_run(run)
    ended, won = [row for row in history.rows if row.result], wins(history)
    count = "document.querySelectorAll('#progress circle.point').length"
    assert tab.do(count) == len(ended) + len(won)
    assert tab.do("document.querySelectorAll('#slots rect').length") == len(ended)
    before = tab.do("document.querySelector('#progress .best').getAttribute('d')")
    tab.do("document.getElementById('by-time').click()")
    assert tab.do("document.querySelector('#progress .best').getAttribute('d')") != before
    tab.do("document.getElementById('progress').scrollIntoView()")
    spot = tab.do(
        "(({x, y, width}) => [x + width / 2, y + width / 2])"
        "(document.querySelector('#progress circle.advance').getBoundingClientRect())"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)
    tab.wait("document.getElementById('panel').open")
    advance = next(step for step in history.steps if step.kind == "advance")
    assert tab.do("document.getElementById('panel').dataset.trial") == advance.trial_id
    told = tab.do("document.getElementById('tip').textContent")
    assert told.startswith(f"{advance.trial_id} advance 1.7380MATRIX_LR 0.04")
    add_trial(run, "t00090", "one more", 1.5)
    tab.wait(f"{count} === {len(ended) + len(won) + 1}")


def test_a_page_of_an_empty_run_comes_to_life(tab: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    stored(empty(), folder)
    with watching(folder) as (process, url):
        tab.open(url)
        assert shown_rows(tab) == [] and tab.do("document.getElementById('progress').hidden")
        add_trial(folder, "t00001", "the first", 1.5)
        tab.wait("document.querySelector('tr[data-trial=t00001]')")
        assert len(shown_rows(tab)) == 1 and not tab.do("document.getElementById('progress').hidden")
        process.terminate()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(tab: Browser, tmp_path: Path, width: int) -> None:
    written(realistic(), tmp_path)
    tab.resize(width)
    tab.open((tmp_path / "report.html").as_uri())
    assert tab.do("document.documentElement.scrollWidth") <= width
    tab.do("document.querySelector('tr[data-trial=t00019]').click()")
    tab.wait("document.getElementById('panel').open")
    assert tab.do("document.getElementById('panel').scrollWidth") <= width
    tab.resize(width + 100)
    tab.wait("document.querySelector('#progress svg').getBoundingClientRect().width > 0")
    assert tab.do("document.documentElement.scrollWidth") <= width + 100


def test_the_panel_and_the_table_say_the_same_numbers(server: PageServer, run: Path) -> None:
    for row in read_run(run).rows:
        status, headers, content = ask(server, f"/trial/{row.trial.trial_id}")
        assert status == 200 and headers["Content-Type"] == "application/json"
        told = dict(json.loads(content)["facts"])
        score = row.result.val_bpb if row.result and row.result.status == "ok" else None
        assert told.get("val_bpb") == (None if score is None else f"{score:.4f}")
    assert ask(server, "/trial/t99999")[0] == ask(server, "/trial/")[0] == 404


@contextmanager
def watching(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command at work, and the URL that it has said."""
    command = [sys.executable, "-m", "autoresearch_ray.watch", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = re.fullmatch(rf"watching {run} at (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert told
        yield process, told[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_and_ends_cleanly(run: Path, number: signal.Signals) -> None:
    with watching(run) as (process, url):
        assert b"cpu-night" in urlopen(url, timeout=20).read()
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "") and process.returncode == 0


def test_what_cannot_be_shown_is_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for arguments, words in (
            ([str(run), "--port", str(port)], f"--port {port}: Address already in use"),
            ([str(run), "--port", "70000"], "--port 70000: expected"),
            ([str(tmp_path / "nowhere")], "state.db: does not exist; expected a run's folder"),
        ):
            assert main(arguments) == 2
            said = capsys.readouterr()
            assert said.out == "" and said.err.count("\n") == 1 and words in said.err
