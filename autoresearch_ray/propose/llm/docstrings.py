"""Whether a line of Python stands within a triple-quoted string: a code fence there belongs to the file.

Read line by line, so that a text which breaks off, or is no Python at all, is read as well.
"""

import re

STRING = re.compile(r"""#.*|'{3}|"{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")  # a comment, a string or a triple quote
END = {quote: re.compile(rf"(?:\\.|.)*?{quote}") for quote in ("'" * 3, '"' * 3)}


def open_quote(line: str, quote: str) -> str:
    """The triple quote that is open behind this line, if `quote` was open before it; "" for none."""
    at = 0
    while True:
        found = END[quote].match(line, at) if quote else STRING.search(line, at)
        if found is None:
            return quote
        at = found.end()
        quote = "" if quote or found[0] not in END else found[0]
