"""`python -m autoresearch_ray.watch`: its server, asked as a browser and as an attacker would."""

import json
import re
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest
from served_runs import SECRET, add_trial, ask, watching

from autoresearch_ray.live_page.page import LivePage
from autoresearch_ray.live_page.server import PageServer
from autoresearch_ray.store.connect import read_run
from autoresearch_ray.watch import main


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


def test_the_panel_and_the_table_say_the_same_numbers(server: PageServer, run: Path) -> None:
    for row in read_run(run).rows:
        status, headers, content = ask(server, f"/trial/{row.trial.trial_id}")
        assert status == 200 and headers["Content-Type"] == "application/json"
        told = dict(json.loads(content)["facts"])
        score = row.result.val_bpb if row.result and row.result.status == "ok" else None
        assert told.get("val_bpb") == (None if score is None else f"{score:.4f}")
    assert ask(server, "/trial/t99999")[0] == ask(server, "/trial/")[0] == 404


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
