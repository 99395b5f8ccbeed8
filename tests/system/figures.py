"""Figures of a run, written into a document."""

from pathlib import Path


def write(file, mark, lines):
    """Puts lines between `<!-- mark -->` and the next `<!-- end -->` of a document."""
    file = Path(file)
    mark = f"<!-- {mark} -->\n"
    before, rest = file.read_text().split(mark, 1)
    after = rest.split("<!-- end -->\n", 1)[1]
    file.write_text(before + mark + "\n".join(lines) + "\n<!-- end -->\n" + after)
