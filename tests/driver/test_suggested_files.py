"""A person's patch or file, where a candidate has several files."""

import difflib
from pathlib import Path

import pytest

from autoresearch_ray.common.errors import CandidateError, SettingsError
from autoresearch_ray.driver.suggestions import apply_patch, put_file
from autoresearch_ray.records.source_files import join

MODEL, KERNEL = "A = 1\n\n\ndef f():\n    return A\n", "int main(void) {\n    return 0;\n}\n"
TREE = join((("lib/model.py", MODEL), ("src/kernel.c", KERNEL)))
OTHER = join((("lib/model.py", MODEL.replace("1", "2")), ("src/kernel.c", KERNEL.replace("0", "3"))))


def patch(before: str, after: str, path: str) -> str:
    """As git shows it."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\nindex 1..2 100644\n" + "".join(lines)


def test_a_patch_of_several_files_is_applied_to_each() -> None:
    both = patch(MODEL, MODEL.replace("1", "2"), "lib/model.py") + patch(
        KERNEL, KERNEL.replace("0", "3"), "src/kernel.c"
    )
    assert apply_patch(TREE, both) == OTHER


def test_a_patch_may_be_made_in_another_folder() -> None:
    assert "return 3" in apply_patch(TREE, patch(KERNEL, KERNEL.replace("0", "3"), "kernel.c"))
    assert "return 3" in apply_patch(TREE, patch(KERNEL, KERNEL.replace("0", "3"), "project/src/kernel.c"))


def test_a_patch_of_another_file_is_refused() -> None:
    with pytest.raises(CandidateError, match=r"for the file setup\.py; expected one of lib/model\.py, src/kernel\.c"):
        apply_patch(TREE, patch("a\n", "b\n", "setup.py"))
    with pytest.raises(CandidateError, match=r"block 1: .* is nowhere in src/kernel\.c"):
        apply_patch(TREE, patch("a\n", "b\n", "src/kernel.c"))


def test_a_patch_of_a_lone_train_py_needs_no_path() -> None:
    assert apply_patch(MODEL, "@@ -1 +1 @@\n-A = 1\n+A = 2\n") == MODEL.replace("1", "2")


def test_a_file_takes_the_place_of_the_one_of_its_name() -> None:
    assert put_file(Path("kernel.c"), "int x;", TREE) == join((("lib/model.py", MODEL), ("src/kernel.c", "int x;\n")))
    assert put_file(Path("all.txt"), OTHER, TREE) == OTHER, "all of them, below headings"
    assert put_file(Path("any.py"), "B = 1\n", MODEL) == "B = 1\n"
    with pytest.raises(SettingsError, match=r"any\.py: is none of the files that may change"):
        put_file(Path("any.py"), MODEL, TREE)
