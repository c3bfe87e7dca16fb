"""A prompt about a script speaks of its command, its files and its own metric, and of nothing that is ours alone."""

import re
from dataclasses import replace

import pytest
from pasts import Story
from scripts import ACCURACY, FILES, FIT, TIME, script_view

from autoresearch_ray.propose.director.findings import find
from autoresearch_ray.propose.director.prompt import build_director_prompt
from autoresearch_ray.propose.director.statistical import direct_by_statistics
from autoresearch_ray.propose.llm.answer import parse_answer
from autoresearch_ray.propose.llm.calls import Prompt
from autoresearch_ray.propose.llm.prompt.earlier_text import tell_lessons
from autoresearch_ray.propose.llm.prompt.prompt import build_prompt
from autoresearch_ray.propose.llm.prompt.rebase_text import RebaseView
from autoresearch_ray.propose.llm.prompt.view import Form, SearchView
from autoresearch_ray.propose.llm.script_files import ScriptFiles
from autoresearch_ray.records.guidance import NO_DIRECTIVES
from autoresearch_ray.settings.score_words import ScoreWords
from autoresearch_ray.settings.scoring import Scoring

# of our contract alone
FOREIGN = re.compile(
    r"bpb|bits per byte|train\(task|task\.|train\.py|tokens|language model\b|attention|dry run|\bnan\b"
)


def whole(prompt: Prompt) -> str:
    return "\n".join([prompt.system, prompt.context, *(message.text for message in prompt.messages)])


def guided(view: SearchView) -> SearchView:
    """With findings and directives of statistics."""
    findings = find(view, (), 0.004, 0.0)
    directives = direct_by_statistics(findings, NO_DIRECTIVES, view.words)
    return replace(view, findings=findings, directives=directives, direction=directives.directions[0].name)


@pytest.mark.parametrize("form", ["edits", "folder"])
@pytest.mark.parametrize("experiment", [ACCURACY, TIME, replace(ACCURACY, editable=("fit.py",))])
def test_no_word_of_our_contract_is_in_any_prompt(experiment: object, form: Form) -> None:
    view = replace(script_view(experiment), form=form)  # type: ignore[arg-type]
    rebase = RebaseView("More passes.", FILES, FILES.replace("EPOCHS = 20", "EPOCHS = 40"), "t00003, which", "merged")
    texts = [whole(build_prompt(one)) for one in (view, guided(view), replace(view, rebase=rebase))]
    texts += [whole(build_director_prompt(guided(view), NO_DIRECTIVES)), tell_lessons(view)]
    for text in texts:
        assert FOREIGN.findall(text) == []


def test_it_says_what_is_run_and_scored_and_what_limits_it() -> None:
    prompt = build_prompt(script_view())
    assert "Every trial runs `python fit.py` in a fresh copy" in prompt.system
    assert "These files may change: `fit.py`, `src/dot.c`." in prompt.system
    flat = " ".join(prompt.system.split())
    for words in (
        "Its score is `accuracy`, and higher is better. It is the number in a line `accuracy: NUMBER` of the output",
        "`train_seconds` has to be <= 4.",
        "A run takes about 5 s. After 70 s it is ended",
        "it may read `/data/digits`",
        "harness shifts the seeding of random, numpy and torch",
        "`expected:` with the change of accuracy that you expect (higher is better, so a gain is positive)",
    ):
        assert words in flat
    assert "    #define BLOCK 64  // rows that are read at once; search log_int(8, 512)" in prompt.system
    assert f"exactly this text\n\n```\n{FILES.replace('EPOCHS = 20', 'EPOCHS = 40')}```" in prompt.context
    assert "<program>\n# Digits\n\nMake the fit more accurate.\n</program>" in prompt.context


def test_scores_and_changes_are_told_as_the_script_prints_them() -> None:
    text = build_prompt(script_view()).messages[0].text
    assert "Frontier: accuracy 0.96450 with 18 code lines" in text and "one run took 3.21 s, 118 MB at the peak" in text
    assert "- t00002 [anthropic:m] 0.94330 (-0.00790; expected +0.02000), discarded: expected 0.0079 worse than" in text
    assert "- t00003 [anthropic:m] 0.96450 (+0.01330), taken by the frontier" in text
    assert "- EPOCHS (now 40, int(5, 80)): raised 1x, mean +0.01330, best +0.01330 (t00003)" in text
    assert "expected), what followed: hypothesis [change]. Higher is better." in text
    assert "the sd of one run's accuracy is 0.00310" in text and "by 0.00124 or more is given up" in text


def test_where_lower_is_better_a_gain_is_negative() -> None:
    prompt = build_prompt(script_view(TIME))
    assert "lower is better, so a gain is negative" in " ".join(prompt.system.split())
    assert "\nexpected: -0.003\n" in prompt.system and "its runs differ by what is measured alone" in prompt.system
    assert "(-0.00790; expected +0.02000)" in prompt.messages[0].text
    assert "expected 0.0079 better than the frontier" in prompt.messages[0].text


def test_lines_have_a_price_only_where_the_experiment_says_one() -> None:
    free, priced = script_view(), script_view(price=0.0005)
    assert "Lines of code cost nothing" in build_prompt(free).system and " J " not in whole(build_prompt(free))
    prompt = build_prompt(priced)
    assert "J = accuracy - 0.0005 * (lines of code)" in " ".join(prompt.system.split())
    assert "accuracy 0.96450 and J 0.95550 with 18 code lines" in prompt.messages[0].text


def test_a_deterministic_score_has_no_noise() -> None:
    text = build_prompt(replace(script_view(), noise_sd=0.0)).messages[0].text
    assert "Noise: runs of the same files gave the same accuracy." in text


def test_a_lone_file_is_called_by_its_name() -> None:
    only = replace(ACCURACY, editable=("fit.py",))
    view = replace(script_view(only), rebase=RebaseView("More.", FIT, FIT, "", ""))
    text = whole(build_prompt(view))
    assert "`fit.py` is the only file that may change." in text and "in all files together" not in text
    assert "made from an earlier fit.py" in text and "onto the fit.py above" in text


def test_the_example_of_the_format_is_read_as_it_is_meant() -> None:
    for experiment, effect in ((ACCURACY, -0.003), (TIME, -0.003)):
        example = build_prompt(script_view(experiment)).system.split("for a script that is not yours:")[1]
        (idea,) = parse_answer(example, script=ScriptFiles(FILES, experiment.scoring.sign))
        assert (idea.number, idea.problem, len(idea.blocks), idea.expected_effect) == (1, "", 2, effect)


def test_our_own_prompts_have_four_decimals_and_no_word_of_scripts() -> None:
    text = whole(build_prompt(Story().view()))
    assert "Frontier: val_bpb 1.6900 and J 1.7000" in text and "#### file" not in text
    assert ScoreWords().score(1.5) == "1.5000" and ScoreWords().change(-0.01) == "-0.0100"


def test_a_change_has_the_sign_of_the_metric_and_a_gain_is_above_0() -> None:
    words = ScoreWords(Scoring("accuracy", "", "higher", "script"))
    assert (words.score(-0.97), words.change(-0.01), words.gain(0.01)) == ("0.97", "+0.01", "+0.01")
    assert words.gain_interval(0.01, -0.002, 0.03) == "+0.01 (-0.002 to +0.03)"
