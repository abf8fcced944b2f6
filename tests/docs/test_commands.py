"""Every command on a page of the documentation runs from the installed wheels, or stands in a table with the reason."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import packing
import pytest
import table
from snippets import ROOT, all_snippets, snippets
from table import CHECKOUT, ROWS, RUN, TESTED, chosen, rows_for

pytestmark = pytest.mark.slow

SNIPPETS = all_snippets()
RUNNING = [
    pytest.param(snippet, row, id=str(snippet), marks=pytest.mark.long if row.long else ())
    for snippet in SNIPPETS
    for row in rows_for(snippet)
    if row in RUN
]


def test_each_command_of_the_documentation_has_one_row():
    assert table.problems(SNIPPETS) == []


def test_each_row_is_about_a_command_of_the_documentation():
    used = [row for snippet in SNIPPETS for row in rows_for(snippet)]
    assert [row for row in ROWS if row not in used] == []


@pytest.mark.parametrize("row", TESTED, ids=lambda row: row.page)
def test_the_other_test_exists_and_reads_the_page(row):
    path, _, name = row.test.partition("::")
    code = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name}(" in code
    assert Path(row.page).name in code


PAGE = """# New

```
pannsdist list-pets   # all
pannsdist tag \\
    a.wav
```

```console
$ pannsdist feed
done
```

```text
pannsdist output
```

```python
import pets
```
"""


def test_a_new_command_is_reported_with_its_page_and_line():
    found = snippets("docs/en/new.md", PAGE)
    assert [(one.line, one.text) for one in found] == [
        (4, "pannsdist list-pets"),
        (5, "pannsdist tag a.wav"),
        (10, "pannsdist feed"),
        (19, "import pets\n"),
    ]
    reported = table.problems(found)
    assert [line.partition(": ")[0] for line in reported] == [
        "docs/en/new.md:4 pannsdist list-pets",
        "docs/en/new.md:10 pannsdist feed",
        "docs/en/new.md:19 import pets",
    ]


@pytest.mark.parametrize(("snippet", "row"), RUNNING)
def test_the_command_runs(snippet, row, request):
    outcome = request.getfixturevalue("long" if row.long else "short")[snippet.text]
    assert outcome.code == 0, f"{outcome.command}\n{outcome.output}"
    assert re.search(row.shows, outcome.output, re.MULTILINE), f"{outcome.command}\n{outcome.output}"
    work = request.getfixturevalue("place").work
    assert (work / row.leaves).exists(), f"{outcome.command} leaves no {row.leaves}\n{outcome.output}"


@pytest.mark.long
def test_a_checkout_is_installed_as_the_readme_says(place, wheels, tmp_path):
    checkout, scripts = wheels.parent / "source", packing.fresh_python(tmp_path / "venv")
    env = {**place.env, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    commands = [[scripts / "python", "-m", *shlex.split(text)] for text in chosen(CHECKOUT)]
    for command in (*commands, [scripts / "pannsdist", "plugins", "list"]):
        done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^model +efficientat_mn04 +pannsdist-efficientat", done.stdout, re.MULTILINE)


def test_the_commands_run_from_the_wheels(place):
    script = place.work / "where.py"
    script.write_text("import pannsdist, pannsdist_esc50\nprint(pannsdist.__file__, pannsdist_esc50.__file__)\n")
    (outcome,) = place.outcomes([f"python {script}"], "where")
    assert [path.startswith(str(place.scripts.parent)) for path in outcome.output.split()] == [True, True], (
        outcome.output
    )
