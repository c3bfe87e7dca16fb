"""A model's idea that conflicts with a frontier that has moved on: its proposer is asked to rebase it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_run import CANDIDATE
from test_writers import MODEL, scratch, settings_with, writing
from wire import Fail, Reply, Request, Say, WireServer

from autoresearch_ray.candidate.normal_form import normal_sha
from autoresearch_ray.decide.state import MergeIdea
from autoresearch_ray.records.codec import to_json
from autoresearch_ray.records.decisions import Standing
from autoresearch_ray.records.proposers import ProposerStatus
from autoresearch_ray.records.trials import Candidate, Proposal
from autoresearch_ray.search.merging import Merging
from autoresearch_ray.search.queue_filler import ProposerLoop
from autoresearch_ray.settings.run_settings import RunSettings
from autoresearch_ray.store.board import Board
from autoresearch_ray.store.rebases import Rebases
from autoresearch_ray.store.sqlite.store import SqliteStore

__all__ = ["scratch"]

SGD = "torch.optim.SGD(model.parameters(), lr=LR)"
FRONTIER = CANDIDATE.replace(SGD, "torch.optim.Adam(model.parameters(), lr=LR / 10)")
IDEA = CANDIDATE.replace(SGD, "torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)")
REBASED = FRONTIER.replace("lr=LR / 10)", "lr=LR / 10, betas=(0.95, 0.99))")
HOPE = "Gradients are noisy, so an average of them points better."
BLOCK = """<idea 1>
hypothesis: {hypothesis}
expected: -0.01
<<<<<<< SEARCH
    optimizer = {before}
=======
    optimizer = {after}
>>>>>>> REPLACE
</idea>"""
ANSWER = BLOCK.format(
    hypothesis="other words",
    before="torch.optim.Adam(model.parameters(), lr=LR / 10)",
    after="torch.optim.Adam(model.parameters(), lr=LR / 10, betas=(0.95, 0.99))",
)
ASKING = "An idea of yours was made from an earlier train.py"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with SqliteStore(tmp_path / "state.db") as store:
        yield Board(store)


def move_frontier(board: Board, text: str = FRONTIER, version: int = 2) -> Standing:
    standing = Standing(board.candidates.put(Candidate.of(text)), 2.0, 2.0, 15, version, 0.0)
    board.store.put("frontier", to_json(standing).encode())
    return standing


def waiting_idea(board: Board, settings: RunSettings) -> Proposal:
    """The model's idea in the queue, and the frontier moved on."""
    parent = board.candidates.put(Candidate.of(settings.baseline))
    idea = Proposal("wopenai-00001-1", "code", MODEL, Candidate.of(IDEA).sha, parent, 1, HOPE, expected_effect=-0.01)
    assert board.enqueue(idea, Candidate.of(IDEA), normal_sha(IDEA))
    move_frontier(board)
    return idea


def script(answer: Reply) -> Callable[[Request], Reply]:
    return lambda request: answer if ASKING in request.text else Say("Nothing comes to my mind.")


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def rejected_words(board: Board) -> dict[str, str]:
    return {idea.hypothesis: idea.detail for idea in board.notes.rejections() if idea.refusal == "moved"}


def test_a_waiting_idea_that_conflicts_is_rebased_by_its_proposer(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", script(Say(ANSWER))) as server:
        settings = settings_with(tmp_path, server.url)
        assert settings.max_staleness == 0
        with writing(tmp_path, settings) as board:
            idea = waiting_idea(board, settings)
            ProposerLoop(board, settings).fill()
            assert idea.proposal_id not in [proposal.proposal_id for proposal in board.queue()]
            until(lambda: any(proposal.kind == "code" for proposal in board.queue()))
            (rebased,) = [proposal for proposal in board.queue() if proposal.kind == "code"]
            assert board.candidates.get(rebased.source_sha).text == REBASED
            assert Rebases(board.store).open() == [] and rejected_words(board) == {}
        asked = next(request.text for request in server.requests if ASKING in request.text)
    assert (rebased.proposal_id, rebased.proposer, rebased.hypothesis) == ("wopenai-00001-1.2r", MODEL, HOPE)
    assert (rebased.parent_sha, rebased.parent_version) == (Candidate.of(FRONTIER).sha, 2)
    assert HOPE in asked and "It has not run yet." in asked
    assert "| +    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)" in asked, "its own change"
    assert "| +    optimizer = torch.optim.Adam(model.parameters(), lr=LR / 10)" in asked, "what has won meanwhile"


def test_an_idea_that_its_proposer_gives_up_is_kept_among_the_rejected_ones(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", script(Say("No longer applies: Adam averages already."))) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings) as board:
            waiting_idea(board, settings)
            ProposerLoop(board, settings).fill()
            until(lambda: HOPE in rejected_words(board))
            assert "its proposer said: Adam averages already." in rejected_words(board)[HOPE]
            assert Rebases(board.store).open() == []
        assert sum(ASKING in request.text for request in server.requests) == 1


def test_an_idea_that_merges_may_be_taken_as_it_is(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", script(Say("`Still applies`."))) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings) as board:
            waiting_idea(board, settings)
            won = CANDIDATE.replace("flatten(0, 1)", "flatten(0, 1) * 1.5")
            move_frontier(board, won)
            ProposerLoop(board, settings).fill()
            until(lambda: any(proposal.kind == "code" for proposal in board.queue()))
            (rebased,) = [proposal for proposal in board.queue() if proposal.kind == "code"]
            text = board.candidates.get(rebased.source_sha).text
        (asked,) = [request.text for request in server.requests if ASKING in request.text]
    assert text == won.replace(SGD, "torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)")
    assert rebased.hypothesis == HOPE and rebased.parent_sha == Candidate.of(won).sha
    assert "answer with one line: `still applies`" in asked


def test_an_answer_that_meets_another_new_frontier_is_rebased_as_well(tmp_path: Path, scratch: Path) -> None:
    first = BLOCK.format(hypothesis=HOPE, before=SGD, after="torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)")
    boards: list[Board] = []

    def reply(request: Request) -> Reply:
        if ASKING in request.text:
            return Say(ANSWER)
        until(lambda: bool(boards))
        if boards[0].frontier() is not None:
            return Say("Nothing comes to my mind.")
        move_frontier(boards[0])
        return Say(first)

    with WireServer("openai", reply) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings) as board:
            boards.append(board)
            until(lambda: bool(board.queue()))
            (rebased,) = board.queue()
    assert rebased.hypothesis == HOPE and rebased.source_sha == Candidate.of(REBASED).sha


def test_an_idea_that_is_overtaken_twice_is_asked_about_as_it_was_rebased(tmp_path: Path, scratch: Path) -> None:
    third = FRONTIER.replace("Adam(model.parameters(), lr=LR / 10)", "AdamW(model.parameters(), lr=LR / 20)")
    before = "torch.optim.AdamW(model.parameters(), lr=LR / 20)"
    after = "torch.optim.AdamW(model.parameters(), lr=LR / 20, betas=(0.95, 0.99))"
    boards: list[Board] = []

    def reply(request: Request) -> Reply:
        if ASKING not in request.text:
            return Say("Nothing comes to my mind.")
        standing = boards[0].frontier()
        if standing is not None and standing.version == 3:
            return Say(BLOCK.format(hypothesis=HOPE, before=before, after=after))
        move_frontier(boards[0], third, 3)
        return Say(ANSWER)

    with WireServer("openai", reply) as server:
        settings = settings_with(tmp_path, server.url)
        with writing(tmp_path, settings) as board:
            boards.append(board)
            waiting_idea(board, settings)
            ProposerLoop(board, settings).fill()
            until(lambda: any(proposal.kind == "code" for proposal in board.queue()))
            (rebased,) = [proposal for proposal in board.queue() if proposal.kind == "code"]
            assert board.candidates.get(rebased.source_sha).text == third.replace(before, after)
        _, again = [request.text for request in server.requests if ASKING in request.text]
    assert (rebased.proposal_id, rebased.hypothesis) == ("wopenai-00001-1.3r", HOPE)
    assert "| +    optimizer = torch.optim.Adam(model.parameters(), lr=LR / 10, betas=(0.95, 0.99))" in again
    assert "momentum=0.9" not in again, "what it was before it was rebased"


@pytest.mark.parametrize("kills", [1, 2])
def test_a_killed_question_is_asked_again_once_and_then_given_up(tmp_path: Path, scratch: Path, kills: int) -> None:
    """Killed between the question and its answer: the count was written before."""
    with WireServer("openai", script(Say(ANSWER))) as server:
        settings = settings_with(tmp_path, server.url)
        with SqliteStore(tmp_path / "state.db") as store:
            before = Board(store)
            idea = waiting_idea(before, settings)
            rebases = Rebases(store)
            assert rebases.take_back(idea) and not rebases.take_back(idea)
            assert [rebases.begin(idea) for _ in range(kills)] == [True] * kills
        with writing(tmp_path, settings) as board:
            if kills == 1:
                until(lambda: any(proposal.kind == "code" for proposal in board.queue()))
            else:
                until(lambda: HOPE in rejected_words(board))
        assert sum(ASKING in request.text for request in server.requests) == 2 - kills


def test_a_model_that_stops_for_good_leaves_its_ideas_to_others(tmp_path: Path, scratch: Path) -> None:
    with WireServer("openai", [Fail(401, kind="invalid_api_key")]) as server:
        settings = settings_with(tmp_path, server.url)
        with SqliteStore(tmp_path / "state.db") as store:
            before = Board(store)
            idea = waiting_idea(before, settings)
            assert Rebases(store).take_back(idea)
        with writing(tmp_path, settings) as board:
            until(lambda: HOPE in rejected_words(board))
            assert Rebases(board.store).count_askings(idea) == 0, "the question has not reached it"
            other = waiting_again(board, settings)
            ProposerLoop(board, settings).fill()
            assert rejected_words(board).keys() == {HOPE, other.hypothesis} and Rebases(board.store).open() == []


def waiting_again(board: Board, settings: RunSettings) -> Proposal:
    text = IDEA.replace("momentum=0.9", "momentum=0.8")
    parent = Candidate.of(settings.baseline).sha
    idea = Proposal("wopenai-00001-2", "code", MODEL, Candidate.of(text).sha, parent, 1, "Less of it.")
    assert board.enqueue(idea, Candidate.of(text), normal_sha(text))
    return idea


def idea_of(board: Board, settings: RunSettings, text: str, proposer: str, frontier: Standing) -> MergeIdea:
    """A change of the baseline that was found beside the frontier."""
    shas = board.candidates.put(Candidate.of(text)), board.candidates.put(Candidate.of(settings.baseline))
    return MergeIdea(frontier, *shas, "w-1", proposer, HOPE, -0.1)


def test_a_confirmed_idea_that_conflicts_goes_back_to_its_model_and_a_tuners_values_are_set_anew(
    board: Board, tmp_path: Path
) -> None:
    settings = settings_with(tmp_path, "http://127.0.0.1:1/v1")
    frontier, merging = move_frontier(board), Merging(board, settings)
    merging.queue_merge(idea_of(board, settings, IDEA, MODEL, frontier))
    assert board.queue() == []
    (stale,) = Rebases(board.store).open()
    assert (stale.kind, stale.proposer, stale.hypothesis) == ("code", MODEL, HOPE)
    frontier = move_frontier(board, FRONTIER.replace("ROWS = 4", "ROWS = 16"), 3)
    text = CANDIDATE.replace("ROWS = 4", "ROWS = 8")
    merging.queue_merge(idea_of(board, settings, text, "tpe", frontier))
    (merge,) = board.queue()
    made, wanted = board.candidates.get(merge.source_sha).text, FRONTIER.replace("ROWS = 4", "ROWS = 8")
    assert normal_sha(made) == normal_sha(wanted)


def test_an_idea_is_asked_about_twice_whatever_becomes_of_its_frontiers(board: Board, tmp_path: Path) -> None:
    settings, rebases = settings_with(tmp_path, "http://127.0.0.1:1/v1"), Rebases(board.store)
    idea = waiting_idea(board, settings)
    again = replace(idea, proposal_id=f"{idea.proposal_id}.7r")
    assert rebases.send_back(idea) and rebases.begin(idea)
    assert rebases.send_back(again) and rebases.begin(again)
    assert not rebases.begin(again) and not rebases.send_back(again) and not rebases.take_back(idea)
    rebases.unask(again)
    assert rebases.begin(again), "a question that did not reach the model does not count"


def test_what_is_settled_is_queued_once_and_cannot_be_asked_about(board: Board, tmp_path: Path) -> None:
    settings, rebases = settings_with(tmp_path, "http://127.0.0.1:1/v1"), Rebases(board.store)
    idea, made = waiting_idea(board, settings), Candidate.of(REBASED)
    rebased = replace(idea, proposal_id=f"{idea.proposal_id}.2r", source_sha=made.sha)
    assert not rebases.settle(idea, rebased, made, normal_sha(REBASED)), "nobody has asked for it"
    assert rebases.take_back(idea) and board.queue() == [] and rebases.open() == [idea]
    assert board.find_proposal(normal_sha(IDEA)) is None, "the same text may come back"
    assert rebases.settle(idea, rebased, made, normal_sha(REBASED)) and board.queue() == [rebased]
    assert rebases.open() == [] and not rebases.begin(idea)


def test_a_confirmed_idea_whose_model_has_stopped_is_kept_among_the_rejected_ones(board: Board, tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "http://127.0.0.1:1/v1")
    board.notes.put_proposer(ProposerStatus(MODEL, "stopped"))
    Merging(board, settings).queue_merge(idea_of(board, settings, IDEA, MODEL, move_frontier(board)))
    assert HOPE in rejected_words(board) and board.queue() == [] and Rebases(board.store).open() == []


@pytest.mark.parametrize(
    ("won", "goes_back"), [(("flatten(0, 1)", "flatten(0, 1) * 1.5"), True), (("LR = 0.1 ", "LR = 0.2 "), False)]
)
def test_an_idea_goes_back_where_other_code_has_won_though_the_texts_would_merge(
    board: Board, tmp_path: Path, scratch: Path, won: tuple[str, str], goes_back: bool
) -> None:
    settings = settings_with(tmp_path, "http://127.0.0.1:1")
    idea = waiting_idea(board, settings)
    moved = CANDIDATE.replace(*won)
    assert moved != CANDIDATE
    move_frontier(board, moved)
    ProposerLoop(board, settings).fill()
    assert Rebases(board.store).open() == ([idea] if goes_back else [])
    waiting = [proposal for proposal in board.queue() if proposal.kind == "code"]
    assert [proposal.parent_sha for proposal in waiting] == ([] if goes_back else [Candidate.of(moved).sha])
