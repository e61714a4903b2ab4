"""What a witness remembers, asks and keeps in its file; without a gateway."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from inwit.client import Forked, Witness
from inwit.client.checkpoints import Checkpoint, read_header, read_note
from inwit.client.parsing import Fields
from tests.client.logs import Clock, Log

RIGHT, WRONG, FORKED = Log(), Log("wrong"), Log("wrong", fork=20)


def settle(witness: Witness, log: Log) -> None:
    """Answer all that the witness asks."""
    for question in witness.questions():
        witness.settle(question, Fields(log.proof(question.old.size, question.new.size)))


def ask(witness: Witness, log: Log) -> int:
    """Answer what one call would ask; how much that was."""
    asked = 0
    for question in witness.due():
        witness.settle(question, Fields(log.proof(question.old.size, question.new.size)))
        asked += 1
    return asked


def test_questions_are_asked_once_a_minute() -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    witness.observe(RIGHT.header(1))
    asked: list[float] = []
    for size in range(2, 150):
        clock.now += 1
        witness.observe(RIGHT.header(size))
        if list(islice(witness.due(), 1)):
            asked.append(clock.now)
            settle(witness, RIGHT)

    assert asked == [1, 61, 121]


def test_a_round_goes_on_through_all_that_was_open_as_it_began() -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    for size in range(1, 22):
        witness.observe(RIGHT.header(size))
    asked = [ask(witness, RIGHT) for _ in range(3)]
    witness.observe(RIGHT.header(30))

    assert asked == [8, 8, 4]
    assert ask(witness, RIGHT) == 0
    clock.now = 60
    assert ask(witness, RIGHT) == 1
    assert (witness.newest, witness.unproven_s) == (RIGHT.note(30), 0)


def test_how_long_it_is_that_nothing_was_proven() -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    for size in (17, 18, 19):
        clock.now += 10
        witness.observe(RIGHT.header(size))

    assert witness.unproven_s == 10
    (newest, _older) = witness.questions()
    witness.settle(newest, Fields(RIGHT.proof(17, 19)))
    assert witness.newest == RIGHT.note(19)
    assert witness.unproven_s == 10, "18 was shown and not proven"
    settle(witness, RIGHT)
    assert witness.unproven_s == 0


@pytest.mark.parametrize("more", [1, 12, 300])
def test_a_checkpoint_is_not_forgotten_because_others_follow(more: int) -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    for size in (20, 22):
        witness.observe(RIGHT.header(size))
        settle(witness, RIGHT)
    witness.observe(WRONG.header(23))
    for size in range(24, 24 + more):
        clock.now += 1
        witness.observe(RIGHT.header(size))
        (question, *_) = witness.questions()
        witness.settle(question, Fields(RIGHT.proof(question.old.size, question.new.size)))

    assert witness.unproven_s == more
    with pytest.raises(Forked) as raised:
        settle(witness, RIGHT)
    assert read_note(raised.value.shown).size == 23


def test_what_cannot_be_proven_keeps_nothing_else_waiting() -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    for size in (20, 23):
        witness.observe(RIGHT.header(size))
    for question in witness.due():
        witness.put_off(question)
    assert list(witness.due()) == [], "not before the next round"
    for size in (24, 25, 26):
        witness.observe(RIGHT.header(size))
    clock.now = 60

    asked: list[int] = []
    for question in witness.due():
        asked.append(question.shown.size)
        if question.shown.size == 23:
            witness.put_off(question)
        else:
            witness.settle(question, Fields(RIGHT.proof(question.old.size, question.new.size)))

    assert asked == [26, 25, 24, 23]
    assert (witness.newest, witness.unproven_s) == (RIGHT.note(26), 60)
    witness.observe(RIGHT.header(27))
    (first, last) = witness.questions()
    assert (first.shown.size, last.shown.size) == (27, 23)


def test_what_is_too_much_to_keep_counts_as_unproven(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    witness = Witness(clock=clock)
    shown = [Checkpoint("log.example", size, bytes(32), f"{size}") for size in range(1, 1030)]
    for each in shown:
        clock.now += 1
        witness.observe_note(each)
    open_ones = list(witness.questions())

    assert len(open_ones) == 1024
    assert (open_ones[0].shown.size, open_ones[-1].shown.size) == (1029, 2), "both ends are kept"
    assert caplog.text.count("some are not kept") == 1
    assert witness.unproven_s == 1029 - 2
    for each in open_ones:
        nothing = Fields({"old": each.old.size, "new": each.new.size, "proof": []})
        with pytest.raises(Forked):
            witness.settle(each, nothing)
    assert list(witness.questions()) == []
    assert witness.unproven_s == 1029 - 1025, "for as long as it lives"


def test_sizes_are_remembered_whether_they_were_proven_or_not() -> None:
    witness = Witness()
    for size in (10, 30, 25, 40):
        witness.observe(RIGHT.header(size))

    for size in (10, 25, 30, 40):
        with pytest.raises(Forked) as raised:
            witness.observe(WRONG.header(size))
        assert read_note(raised.value.kept).size == read_note(raised.value.shown).size == size


def test_of_many_sizes_the_last_ones_are_remembered() -> None:
    witness = Witness()
    for size in range(1, 200):
        witness.observe(RIGHT.header(size))
        settle(witness, RIGHT)

    with pytest.raises(Forked):
        witness.observe(WRONG.header(199 - 127))
    witness.observe(WRONG.header(1))  # forgotten, so it counts as one that lags
    with pytest.raises(Forked):
        settle(witness, RIGHT)


def test_two_halves_of_a_log_are_told_apart_whichever_is_asked() -> None:
    """Both have 20 entries in common, so that each proof holds; together they cannot."""
    for first, second in ((RIGHT, FORKED), (FORKED, RIGHT)):
        witness = Witness(every=0)
        witness.observe(RIGHT.header(20))
        witness.observe(first.header(30))
        settle(witness, first)
        witness.observe(second.header(35))
        with pytest.raises(Forked):
            settle(witness, second)


def test_only_what_is_proven_is_kept(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "checkpoint")
    witness.observe(RIGHT.header(17))
    witness.observe(RIGHT.header(40))

    assert (tmp_path / "checkpoint").read_text() == RIGHT.note(17)


def test_processes_that_share_a_file_are_one_witness(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    one, other = Witness(file), Witness(file)
    one.observe(RIGHT.header(17))
    one.observe(RIGHT.header(40))
    settle(one, RIGHT)
    other.observe(RIGHT.header(30))

    assert file.read_text() == RIGHT.note(40), "the newer one stays"
    settle(other, RIGHT)
    assert other.newest == RIGHT.note(40)
    with pytest.raises(Forked):
        Witness(file).observe(WRONG.header(40))


def test_a_process_sees_by_the_file_that_another_saw_a_fork(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    witness = Witness(file)
    witness.observe(RIGHT.header(3))
    file.write_text(WRONG.note(20))
    witness.observe(RIGHT.header(20))

    with pytest.raises(Forked) as raised:
        settle(witness, RIGHT)

    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(20), WRONG.note(20))


@pytest.mark.parametrize("held", [b"", b"\xff", b"PRIVATE+KEY+a", RIGHT.note(17).encode()[:-1]])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "checkpoint"
    file.write_bytes(held)

    with pytest.raises(ValueError, match="something else"):
        Witness(file)

    assert file.read_bytes() == held


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        Witness(tmp_path / "missing" / "checkpoint")


@pytest.mark.parametrize("every", [-1, float("nan")])
def test_every_is_a_number_of_seconds(every: float) -> None:
    with pytest.raises(ValueError, match="every"):
        Witness(every=every)


def test_a_file_that_cannot_be_written_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    witness = Witness(folder / "checkpoint")
    witness.observe(RIGHT.header(17))
    (folder / "checkpoint").unlink()
    folder.rmdir()
    folder.write_text("in the way")
    caplog.set_level(logging.WARNING)

    witness.observe(RIGHT.header(40))
    settle(witness, RIGHT)

    assert witness.newest == RIGHT.note(40)
    assert "could not be kept" in caplog.text


def test_threads_share_a_witness(tmp_path: Path) -> None:
    file, asked, lock = tmp_path / "checkpoint", list[str](), threading.Lock()
    headers = [RIGHT.header(size) for size in range(1, 121)]
    proofs = {(a, b): RIGHT.proof(a, b) for b in range(1, 121) for a in (*range(1, b, 7), b - 1)}
    witness = Witness(file, every=0)

    def look(at: int) -> None:
        witness.observe(headers[at])
        for question in witness.due():
            sizes = (question.old.size, question.new.size)
            with lock:
                asked.append(str(sizes))
            witness.settle(question, Fields(proofs.get(sizes) or RIGHT.proof(*sizes)))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(look, list(range(120)) * 3))
    settle(witness, RIGHT)

    assert asked
    assert witness.newest == RIGHT.note(120)
    assert file.read_text() == RIGHT.note(120)
    with pytest.raises(Forked):
        witness.observe(WRONG.header(120))


def test_a_witness_shows_what_it_has() -> None:
    witness = Witness()
    assert repr(witness) == "Witness(nothing yet)"
    witness.observe(RIGHT.header(17))
    assert repr(witness) == "Witness(log.example 17)"
    assert read_header(RIGHT.header(17)).note not in repr(witness)


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    """Two threads ask at once; the one that asked about less is told last."""
    witness = Witness()
    witness.observe(RIGHT.header(17))
    witness.observe(RIGHT.header(40))
    (late,) = witness.questions()
    witness.observe(RIGHT.header(50))
    settle(witness, RIGHT)

    witness.settle(late, Fields(RIGHT.proof(17, 40)))

    assert witness.newest == RIGHT.note(50)


def test_what_was_shown_while_a_larger_one_was_proven_is_asked_about() -> None:
    witness = Witness()
    witness.observe(RIGHT.header(17))
    witness.observe(RIGHT.header(40))
    (larger,) = witness.questions()
    witness.observe(WRONG.header(30))
    witness.settle(larger, Fields(RIGHT.proof(17, 40)))

    assert witness.newest == RIGHT.note(40)
    assert witness.unproven_s > 0
    with pytest.raises(Forked) as raised:
        settle(witness, RIGHT)
    assert (raised.value.kept, raised.value.shown) == (RIGHT.note(40), WRONG.note(30))


def test_a_file_that_can_be_read_and_not_replaced_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    witness = Witness(tmp_path / ("x" * 250))  # the name beside it is too long
    witness.observe(RIGHT.header(17))

    assert witness.newest == RIGHT.note(17)
    assert "could not be kept" in caplog.text
    assert list(tmp_path.iterdir()) == []
