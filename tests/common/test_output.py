"""Nothing stops what is written for a person: real pipes, a real full device, descriptors that were closed."""

import os
import subprocess
import sys
from pathlib import Path

WORDS = (
    "from autoresearch_ray.common.output import STDOUT, STDERR, open_standard_streams\n"
    "from rich.console import Console\n"
)
LINE = 'Console(file=STDOUT.as_it_is()).print("grün → ok")\nSTDOUT.write("more\\n")\nSTDERR.write("the end\\n")\n'


def shell(command: str, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell's command around `"$PYTHON" -c "$CODE"`."""
    variables = os.environ | {"PYTHON": sys.executable, "CODE": WORDS + code} | environment
    return subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True, timeout=60)


def test_what_a_stream_cannot_spell_is_escaped() -> None:
    done = shell('"$PYTHON" -c "$CODE"', LINE, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "gr\\xfcn \\u2192 ok\nmore\n"), done.stderr


def test_a_reader_who_leaves_ends_nothing_and_is_told_once() -> None:
    many = "for number in range(20_000): STDOUT.write(f'{number}\\n')\n"
    done = shell('"$PYTHON" -c "$CODE" | head -1; exit ${PIPESTATUS[0]}', many + LINE)
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert done.stderr == "stdout: Broken pipe; nothing more is shown there, the work goes on\nthe end\n"


def test_a_full_disk_ends_nothing() -> None:
    done = shell('"$PYTHON" -c "$CODE" >/dev/full', LINE)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "stdout: No space left on device; nothing more is shown there, the work goes on\nthe end\n"


def test_a_stream_that_was_closed_later_ends_nothing() -> None:
    done = shell('"$PYTHON" -c "$CODE"', "import io, sys\nsys.stdout = io.StringIO()\nsys.stdout.close()\n" + LINE)
    assert done.returncode == 0 and done.stderr.endswith("the end\n"), done.stderr
    assert "stdout: I/O operation on closed file; nothing more is shown there" in done.stderr


def test_closed_streams_end_nothing_and_no_file_takes_their_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened = f"import sys\nopen_standard_streams()\nfile = open({str(tmp_path / 'file')!r})\n"
    code = opened + "assert file.fileno() > 2 and sys.stdin and sys.stderr\n" + LINE
    done = shell('"$PYTHON" -c "$CODE" <&- >&- 2>&-', code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_stands_in_for_a_stream_is_written_to() -> None:
    code = "import io, sys\nsys.stdout = io.StringIO()\n" + LINE + "STDERR.write(sys.stdout.getvalue())\n"
    done = shell('"$PYTHON" -c "$CODE"', code)
    assert (done.returncode, done.stderr) == (0, "the end\ngrün → ok\nmore\n")
