"""A small script of several files, in several languages."""

from candidates import TRAIN

from autoresearch_ray.records.source_files import Files, join, split

KERNEL = """#include <stdio.h>
/* BLOCK = 3; // search int(1, 8) */
#define BLOCK 64                // rows a block; search log_int(8, 256)
#define OFFSET (-0.5)
static const int HEADS = 4;     /* search int(1, 8) */
const float SCALE = 0.1f;       // of it; search log(0.001, 1)
const char *words = "// not a comment; search int(1, 8)";

static int twice(int x) {
    return 2 * x;  // one
}

int main(void) {
    int hidden = 32;
    /* over
       two lines */
    printf("%d /* no comment */\\n", twice(hidden));
    return 0;
}
"""
CONFIG = """# how it learns
optimizer: adam   # search choice("adam", "sgd")
model:
  lr: 0.1         # search log(0.001, 1)
  note: it's plain  # and this is not
  text: |
    # kept
  nesterov: true  # search choice(true, false)
"""
MODEL = '''"""A model."""

from pathlib import Path

WIDTH = 64  # search log_int(8, 256)
DEPTH = 2


def build(width=WIDTH):
    """Of this width."""
    return [width] * DEPTH
'''
SHELL = """#!/bin/bash
LR=0.1  # search log(0.01, 1)
cat <<EOF
# kept
EOF
echo "$LR" '# kept' ${LR#x}  # gone
"""
FILES: Files = (
    ("conf/config.yaml", CONFIG),
    ("kernel.c", KERNEL),
    ("model.py", MODEL),
    ("run.sh", SHELL),
    ("train.py", TRAIN),
)
TREE = join(FILES)
PATHS = tuple(path for path, _ in FILES)


def with_file(path: str, *edits: tuple[str, str], tree: str = TREE) -> str:
    """The tree with these replacements in one file."""
    files = dict(split(tree))
    for old, new in edits:
        assert old in files[path], (path, old)
        files[path] = files[path].replace(old, new)
    return join(tuple(files.items()))
