"""Each error code of the catalogue has its row in `error_codes.py`; each request there gives exactly
its code and status; `docs/api-notes.md` says the same."""

import os
import re

import pytest
from document import BY_BARE, ROOT, bare, find
from error_codes import ROWS

CATALOGUE = ROOT / "crates/base/src/api_error/catalogue.rs"
NOTES = ROOT / "docs/api-notes.md"
TITLE = "## Which request causes which code\n"


def catalogue():
    """Code to status, in the catalogue's order."""
    entries = re.findall(r'^    [A-Z_]+ "(DBS\.\d{6})" (\d{3}) ', CATALOGUE.read_text(), re.MULTILINE)
    return {code: int(status) for code, status in entries}


def chapter():
    """The chapter of the notes that the rows make."""
    order = list(catalogue())
    caused = sorted((row for row in ROWS if row.request), key=lambda row: row.code)
    reasons = {}
    for row in sorted((row for row in ROWS if not row.request), key=lambda row: order.index(row.code)):
        reasons.setdefault(row.text, []).append(f"`{row.code}`")
    lines = [TITLE, "`tests/api/error_codes.py` has these tables as data and makes each request against a running system;",
             "`UPDATE=1` with `tests/api/test_error_codes.py` writes this chapter.", "",
             "| code | status | caused by |", "|---|---|---|"]
    lines += [f"| `{row.code}` | {row.status} | {row.text} |" for row in caused]
    lines += ["", "Codes that no request causes:", "", "| codes | why |", "|---|---|"]
    lines += [f"| {', '.join(codes)} | {why} |" for why, codes in reasons.items()]
    return "\n".join(lines) + "\n"


def test_each_code_has_its_row():
    codes = [row.code for row in ROWS]
    assert len(codes) == len(set(codes)), [code for code in codes if codes.count(code) > 1]
    assert set(codes) == set(catalogue())


def test_statuses_are_the_catalogues_or_that_of_an_unknown_object():
    for row in ROWS:
        if row.request:
            assert row.status in (catalogue()[row.code], 404), row


def test_the_notes_say_the_same():
    text = NOTES.read_text()
    head, rest = text.split(TITLE, 1)
    after = rest[rest.index("\n## "):] if "\n## " in rest else ""
    wanted = head + chapter() + after
    if os.environ.get("UPDATE"):
        NOTES.write_text(wanted)
    else:
        assert text == wanted, "docs/api-notes.md is not what tests/api/error_codes.py says; run it with UPDATE=1"


@pytest.mark.parametrize("row", [row for row in ROWS if row.request], ids=lambda row: row.code)
def test_the_request_causes_the_code(world, row):
    operation = find(row.needs)
    if operation is None:
        pytest.skip(f"{row.needs} is not served")
    answer = row.request(world)
    assert (answer.code, answer.status) == (row.code, row.status), answer
    method, path = answer.request.split("?")[0].split(" ")
    made = BY_BARE.get(bare(row.needs))
    if row.status != 405 and method == made.method:
        made.check(answer)
