"""The page in a browser: what arrives, what stays, what opens, and that foreign text stays text."""

from pathlib import Path

import pytest
from browser import Browser
from histories import empty, realistic, stored
from served_runs import add_trial, watching
from test_html_report import written

from autoresearch_ray.live_page.server import PageServer
from autoresearch_ray.observe.facts import wins
from autoresearch_ray.observe.headline import summarise
from autoresearch_ray.store.connect import read_run


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


def test_the_chart_is_read_by_keys(tab: Browser, tmp_path: Path) -> None:
    history = realistic()
    written(history, tmp_path)
    tab.open((tmp_path / "report.html").as_uri())

    def press(key: str) -> tuple[str, str]:
        tab.press(key)
        shown: str = tab.do("document.getElementById('tip').hidden || document.getElementById('tip').innerText")
        read: str = tab.do("document.querySelector('#progress [aria-live]').textContent")
        head = shown.partition("\n")[0]
        assert read.startswith(f"{head}. "), "what is shown is read out"
        return head, read

    for _ in range(10):  # as a person comes to it
        tab.press("Tab")
        if tab.do("document.activeElement.matches('#progress svg')"):
            break
    ended = [row.trial.trial_id for row in history.rows if row.result]
    count = len(ended) + len(wins(history))
    head, read = press("Home")
    assert head.startswith(ended[0]) and read.endswith(f"Point 1 of {count}")
    assert press("ArrowRight")[1].endswith(f"Point 2 of {count}") and press("ArrowLeft") == (head, read)
    first = press("ArrowDown")[0].split()
    assert first[1] in ("advance", "win") and press("ArrowDown")[0].split() != first
    assert press("ArrowUp")[0].split() == first
    ring = tab.do(
        "(({x, y, width}) => [x + width / 2, y + width / 2])"
        "(document.querySelector('#progress .ring').getBoundingClientRect())"
    )
    assert tab.do(f"document.elementsFromPoint({ring[0]}, {ring[1]}).some((at) => at.matches('.advance, .keep'))")
    tab.do("drawCharts()")  # as when a trial comes in
    assert tab.do("document.querySelector('#progress .ring').getAttribute('visibility')") == "visible"
    tab.press("Enter")
    tab.wait("document.getElementById('panel').open")
    assert tab.do("document.getElementById('panel').dataset.trial") == first[0]
    tab.press("Escape")
    tab.wait("document.activeElement.matches('#progress svg')")
    assert press("End")[1].endswith(f"Point {count} of {count}")
    tab.press("Tab")
    assert tab.do("document.getElementById('tip').hidden")


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
