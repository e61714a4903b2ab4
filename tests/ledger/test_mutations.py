"""Whatever is done to a log, the verifier finds it; and a log that nobody touched is intact."""

import base64
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from inwit.ledger import bundle, verify
from tests.ledger.mutations import MUTATIONS, Evidence
from tests.ledger.signed_world import SignedWorld, cut_to, notes_in

TIMES = int(os.environ.get("LEDGER_MUTATIONS", "8"))  # of each kind


@dataclass
class Whole:
    """A ledger as it was written, its bundle, and the checkpoint that an auditor kept."""

    world: SignedWorld
    folder: Path
    kept: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[Whole]:
    world = SignedWorld()
    world.live()
    folder = tmp_path_factory.mktemp("whole")
    world.bundle(folder / "bundle")
    kept = folder / "kept"
    shutil.copy(folder / "bundle/checkpoint", kept)
    yield Whole(world, folder / "bundle", kept)
    world.close()


def told(folder: Path, *arguments: str) -> tuple[int, str]:
    """What a person is told, and the exit code. Nothing but `Misuse` may be raised."""
    try:
        code, lines = verify.run([str(folder), *arguments])
    except verify.Misuse as error:
        return verify.MISUSE, str(error)
    return code, "\n".join(lines)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_mutation_is_found(whole: Whole, tmp_path: Path, kind: str) -> None:
    mutation, found, missed = MUTATIONS[kind], 0, list[str]()
    for seed in range(TIMES):
        folder = tmp_path / str(seed)
        shutil.copytree(whole.folder, folder)
        mutation.do(Evidence(folder, whole.world, Random(f"{kind} {seed}")))  # noqa: S311  # the same in every run
        kept = ["--previous", str(whole.kept)] if mutation.kept else []
        code, words = told(folder, "--key", whole.world.vkey, *kept)
        if code == mutation.told:
            found += 1
        else:
            missed.append(f"seed {seed}: exit code {code}\n{words}")
        shutil.rmtree(folder)
    print(f"{kind}: {TIMES} made, {found} found")  # noqa: T201  # for whoever runs it with -s
    assert not missed, missed[0]


@pytest.mark.parametrize("width", [1, 4, 16, 1 << 16])
def test_what_nobody_touched_is_intact(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(verify, "PART", width)  # files of other sizes, for roots across them
    monkeypatch.setattr(bundle, "_FILE", width)
    folder = whole.world.bundle(tmp_path / "bundle")
    keys, kept = [verify.key_of(whole.world.vkey)], verify.kept_notes(whole.kept)

    for processes in (1, 2):
        result = verify.verify_bundle(folder, keys, kept, processes)

        assert (result.code, result.tampered.lines(), result.gaps.lines()) == (0, [], [])
        assert (result.checkpoints, result.signatures) == (8, 8)
        assert result.log.outcomes == {"released": 12, "failed": 1}
        assert result.openings == result.log.commitments


def test_a_bundle_that_nothing_outside_vouches_for_says_so(whole: Whole) -> None:
    code, words = told(whole.folder, "--key", whole.world.vkey)

    assert code == verify.INCOMPLETE
    assert "nothing outside this bundle vouches for it" in words


def test_a_cut_tail_that_nobody_kept_a_checkpoint_of_is_not_found_and_that_is_told(
    whole: Whole, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(whole.folder, folder)
    cut_to(folder, -1)
    code, words = told(folder, "--key", whole.world.vkey)

    assert code == verify.INCOMPLETE
    assert "were not cut or replaced before anybody outside kept a checkpoint" in words


def test_a_kept_checkpoint_has_many_forms(whole: Whole, tmp_path: Path) -> None:
    header, folder = tmp_path / "header", tmp_path / "folder"
    header.write_text(base64.b64encode(whole.kept.read_bytes()).decode() + "\n")
    folder.mkdir()
    for number, each in enumerate(notes_in(whole.folder)):
        (folder / f"{number}.checkpoint").write_text(each["note"])
    (tmp_path / "empty").mkdir()
    key = ("--key", whole.world.vkey)

    for form in (whole.kept, header, folder):
        assert told(whole.folder, *key, "--previous", str(form))[0] == verify.INTACT
    assert told(whole.folder, *key, "--previous", str(tmp_path / "empty"))[0] == verify.MISUSE


def test_an_auditor_with_todays_key_alone_can_verify_all_of_it(whole: Whole) -> None:
    newest = whole.world.signing
    assert newest is not None

    assert told(whole.folder, "--key", newest[-1].vkey, "--previous", str(whole.kept))[0] == 0
