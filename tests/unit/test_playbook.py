"""Runbooks: what ships is whole, and what is wrong in one's own is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.playbooks.load import LARGEST_BYTES, PlaybookError, load_playbooks, parse_playbook
from store.record.span import NS_PER_S

FRONT = "---\nname: slow-tail\ntitle: Slow tail\nseverity: SEV2\n---\n"


def test_the_shipped_runbook_has_the_eight_steps_with_their_keys() -> None:
    book = load_playbooks()["runaway-loop"]
    assert (book.title, book.severity, book.escalate_after_ns) == ("Runaway loop", "SEV1", 15 * 60 * NS_PER_S)
    assert [step.number for step in book.steps] == list(range(1, 9))
    assert [step.title for step in book.steps] == [
        "Read the session, not the error log",
        "Stop the agent",
        "Read the blast radius; mark every write",
        "Keep the evidence",
        "Which layer: prompt, model, tool, upstream?",
        "Tell whoever was touched",
        "Decide: roll back, half-open, leave off",
        "Add the failing input to the evals",
    ]
    assert {step.number: step.key for step in book.steps if step.key} == {1: "Enter", 2: "K", 3: "b", 4: "e"}
    assert "Do not undo a write marked unknown" in book.steps[2].body
    assert all(step.body and not step.body.startswith(" ") for step in book.steps)
    assert book.about.startswith("The agent repeats")
    assert "- [ ]" not in book.about


def test_every_shipped_file_is_a_runbook_named_as_its_file() -> None:
    folder = Path(__file__).resolve().parents[2] / "runbooks" / "playbooks"
    assert {path.stem for path in folder.glob("*.md")} == set(load_playbooks())


def test_an_own_runbook_is_added_and_may_replace_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(FRONT + "Why.\n\n- [ ] Look `b`\n\n  at it\n  - twice\n- [x] Act\n")
    own = FRONT.replace("slow-tail", "runaway-loop")
    (tmp_path / "b.md").write_text(own + "- [ ] Ours\n")
    books = load_playbooks(tmp_path)
    book = books["slow-tail"]
    assert book.about == "Why."
    assert [(step.title, step.key, step.body) for step in book.steps] == [
        ("Look", "b", "at it\n- twice"),
        ("Act", None, ""),
    ]
    assert books["runaway-loop"].steps[0].title == "Ours"
    assert load_playbooks(tmp_path / "absent") == load_playbooks()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- [ ] x\n", "front matter"),
        (FRONT.replace("severity", "colour: red\nseverity") + "- [ ] x\n", "unknown key colour"),
        (FRONT.replace("title: Slow tail\n", "") + "- [ ] x\n", "the key title is missing"),
        (FRONT.replace("SEV2", "SEV9") + "- [ ] x\n", "severity"),
        (FRONT.replace("slow-tail", "../x") + "- [ ] x\n", "name"),
        (FRONT.replace("---\nname", "---\nescalate_after: soon\nname") + "- [ ] x\n", "'soon' is not an age"),
        (FRONT.replace("---\nname", "---\nname: twice\nname") + "- [ ] x\n", "name is given twice"),
        (FRONT.replace("title:", "title") + "- [ ] x\n", "line 3"),
        (FRONT + "no list at all\n", "no step"),
        (FRONT + "- [ ] x\n- y\n", "step 2"),
        (FRONT + "- [ ] `K`\n", "no title"),
        (FRONT.replace("SEV2", "!!python/object:os.system") + "- [ ] x\n", "severity"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(PlaybookError, match=r"own\.md") as caught:
        parse_playbook(text, "own.md")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "big.md"
    path.write_text(FRONT + "x" * LARGEST_BYTES)
    with pytest.raises(PlaybookError, match="no runbook"):
        load_playbooks(tmp_path)
    path.write_bytes(b"---\n\xff\n---\n")
    with pytest.raises(PlaybookError, match="cannot be read"):
        load_playbooks(tmp_path)
    path.write_text(FRONT + "- [ ] x\n")
    (tmp_path / "again.md").write_text(FRONT + "- [ ] x\n")
    with pytest.raises(PlaybookError, match="already has the name slow-tail"):
        load_playbooks(tmp_path)
