"""Policies brought into force while the gateway runs: whole, or not at all."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from inwit.errors import LedgerError, PolicyError, SetupError
from inwit.labels import Reload
from inwit.ledger.database import Database
from inwit.ledger.policies import read
from inwit.ledger.tables import METADATA
from inwit.policy.policy import Policy
from inwit.reload import PolicyReloader
from tests.fakes_policy_folder import (
    FolderBeingWritten,
    opened,
    policy_text,
    swap_link,
    versions,
    write_policies,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_policies(tmp_path / "policies", default="1", support="1")


def counted(outcome: Reload) -> float:
    labels = {"outcome": outcome.value}
    return REGISTRY.get_sample_value("inwit_policy_reloads_total", labels) or 0.0


def in_force(name: str, version: str) -> bool:
    digest = hashlib.sha256(policy_text(name, version).encode()).hexdigest()
    labels = {"policy": name, "version": version, "digest": digest}
    return REGISTRY.get_sample_value("inwit_policy_info", labels) == 1.0


async def test_a_start_brings_the_folder_into_force_and_keeps_its_texts(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)

    assert versions(reloader) == {"default": "1", "support": "1"}
    assert reloader.book.problems == ()
    for name, policy in reloader.book.current.items():
        kept = await read(database, policy.ref.digest)
        assert kept is not None
        assert kept.text == (folder / f"{name}.yaml").read_bytes()


async def test_a_change_is_in_force_at_the_next_look_and_not_in_what_is_under_way(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    under_way, since, before = reloader.book.current, reloader.book.loaded, counted(Reload.OK)
    write_policies(folder, support="2", children="1")

    assert await reloader.look() is Reload.OK
    assert versions(reloader) == {"default": "1", "support": "2", "children": "1"}
    assert {name: policy.ref.version for name, policy in under_way.items()} == {
        "default": "1",
        "support": "1",
    }
    assert reloader.book.loaded > since
    assert counted(Reload.OK) == before + 1
    assert await read(database, reloader.book.current["support"].ref.digest) is not None


async def test_the_metrics_name_what_is_in_force_and_no_more(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    assert in_force("support", "1")
    write_policies(folder, support="2", newcomer="1")
    (folder / "default.yaml").unlink()
    await reloader.look()

    assert in_force("support", "2")
    assert in_force("newcomer", "1")
    assert not in_force("support", "1")
    assert not in_force("default", "1")
    blocked = {"policy": "newcomer", "action": "block", "enforcement": "full"}
    assert REGISTRY.get_sample_value("inwit_responses_total", blocked) == 0.0


async def test_a_folder_as_it_was_is_compiled_only_when_asked(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    current, since = reloader.book.current, reloader.book.loaded
    before = counted(Reload.UNCHANGED)
    os.utime(folder / "default.yaml")

    assert await reloader.look() is None
    assert await reloader.look(asked=True) is Reload.UNCHANGED
    assert (reloader.book.current, reloader.book.loaded) == (current, since)
    assert counted(Reload.UNCHANGED) == before + 1


async def test_one_bad_file_keeps_all_that_was_and_is_named_with_its_line(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    write_policies(folder, default="2")
    bad = folder / "support.yaml"
    bad.write_text(policy_text("support", "2") + "no_such_key: 1\n")
    line = len(bad.read_text().splitlines())
    before = counted(Reload.REFUSED)

    assert await reloader.look() is Reload.REFUSED
    assert versions(reloader) == {"default": "1", "support": "1"}
    assert in_force("default", "1")
    assert counted(Reload.REFUSED) == before + 1
    (problem,) = reloader.book.problems
    assert problem.startswith(f"{bad}:{line}:")
    assert "no_such_key" in problem

    write_policies(folder, support="2")
    assert await reloader.look() is Reload.OK
    assert versions(reloader) == {"default": "2", "support": "2"}
    assert reloader.book.problems == ()


async def test_a_bad_file_put_back_as_it_was_leaves_no_problem(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    (folder / "support.yaml").write_text("name: [")
    assert await reloader.look() is Reload.REFUSED
    write_policies(folder, support="1")

    await reloader.look()

    assert reloader.book.problems == ()
    assert versions(reloader) == {"default": "1", "support": "1"}


SPOILINGS: dict[str, Callable[[Path], object]] = {
    "no policy left": lambda folder: [file.unlink() for file in folder.iterdir()],
    "no folder left": shutil.rmtree,
    "a name for two": lambda folder: shutil.copy(folder / "default.yaml", folder / "x.yaml"),
    "not UTF-8": lambda folder: (folder / "support.yaml").write_bytes(b"\xff"),
    "a folder in the place of a file": lambda folder: (folder / "x.yml").mkdir(),
    "a link to nothing": lambda folder: (folder / "x.yaml").symlink_to("nowhere"),
    "an empty file": lambda folder: (folder / "support.yaml").write_bytes(b""),
}


@pytest.mark.parametrize("spoiling", SPOILINGS)
async def test_whatever_is_wrong_with_the_folder_keeps_what_was(
    folder: Path, database: Database, spoiling: str
) -> None:
    reloader = await opened(folder, database)
    SPOILINGS[spoiling](folder)

    assert await reloader.look() is Reload.REFUSED
    assert versions(reloader) == {"default": "1", "support": "1"}
    assert reloader.book.problems


async def test_texts_that_cannot_be_kept_keep_the_policies_out_of_force(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    write_policies(folder, support="2")
    await database.write(lambda db: db.execute(sa.text("DROP TABLE policies")))

    assert await reloader.look() is Reload.REFUSED
    assert versions(reloader)["support"] == "1"
    assert reloader.book.problems

    await database.write(METADATA.create_all)
    assert await reloader.look() is Reload.OK  # without another change of the folder
    assert versions(reloader)["support"] == "2"


def no_second_version(policies: Mapping[str, Policy]) -> None:
    if any(policy.ref.version == "2" for policy in policies.values()):
        raise SetupError("There is no classifier by that name.")


async def test_the_check_may_refuse_what_compiles(folder: Path, database: Database) -> None:
    reloader = await opened(folder, database, no_second_version)
    write_policies(folder, support="2")

    assert await reloader.look() is Reload.REFUSED
    assert reloader.book.problems == ("There is no classifier by that name.",)
    assert versions(reloader)["support"] == "1"
    digest = hashlib.sha256((folder / "support.yaml").read_bytes()).hexdigest()
    assert await read(database, digest) is None


def broken_check(_policies: Mapping[str, Policy]) -> None:
    raise ZeroDivisionError


async def test_an_error_that_nobody_expected_is_a_problem_like_others(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    broken = PolicyReloader(folder, database, check=broken_check, settle_s=0.001)

    assert await broken.look() is Reload.REFUSED
    assert "ZeroDivisionError" in broken.book.problems[0]
    assert await reloader.look(asked=True) is Reload.UNCHANGED


async def test_a_start_with_a_bad_folder_fails_and_says_why(
    folder: Path, database: Database
) -> None:
    write_policies(folder, support="2")
    with pytest.raises(SetupError, match="classifier"):
        await opened(folder, database, no_second_version)
    await database.write(lambda db: db.execute(sa.text("DROP TABLE policies")))
    with pytest.raises(LedgerError):
        await opened(folder, database)
    (folder / "support.yaml").write_text("name: [")
    with pytest.raises(PolicyError, match=r"support\.yaml:1"):
        await opened(folder, database)


async def test_a_change_that_leaves_size_and_time_as_they_were_is_seen(
    folder: Path, database: Database
) -> None:
    reloader = await opened(folder, database)
    file = folder / "support.yaml"
    before = file.stat()
    file.write_text(policy_text("support", "2"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size

    assert await reloader.look() is Reload.OK
    assert versions(reloader)["support"] == "2"


async def test_a_folder_swapped_by_its_link_is_seen(tmp_path: Path, database: Database) -> None:
    folder = tmp_path / "mounted"
    swap_link(folder, {"support.yaml": policy_text("support", "1")}, "first")
    reloader = await opened(folder, database)

    swap_link(folder, {"support.yaml": policy_text("support", "2")}, "second")

    assert await reloader.look() is Reload.OK
    assert versions(reloader) == {"support": "2"}


async def test_a_file_is_not_taken_half_written_even_where_that_half_compiles(
    folder: Path, database: Database
) -> None:
    whole = policy_text("support", "2") + "# What follows is written last.\n# The end.\n"
    halves = [whole[: whole.index("# What") + length] for length in (0, 10, 20)]
    written = FolderBeingWritten(folder)
    reloader = await opened(written, database)

    steps = iter([*(("support.yaml", half) for half in halves), ("support.yaml", whole)])
    written.steps = steps
    assert await reloader.look() is Reload.OK

    taken = reloader.book.current["support"].ref.digest
    assert taken == hashlib.sha256(whole.encode()).hexdigest()
    for half in halves:
        assert await read(database, hashlib.sha256(half.encode()).hexdigest()) is None


async def test_a_folder_that_never_rests_is_left_for_later(
    folder: Path, database: Database
) -> None:
    written = FolderBeingWritten(folder)
    reloader = await opened(written, database)
    written.steps = (("support.yaml", policy_text("support", f"{n}")) for n in range(10, 10_000))

    assert await reloader.look() is Reload.REFUSED
    assert "changed while it was read" in reloader.book.problems[0]
    assert versions(reloader)["support"] == "1"

    written.steps = iter(())
    assert await reloader.look() is Reload.OK


async def test_what_is_compiled_is_what_was_read_and_is_kept(
    folder: Path, database: Database
) -> None:
    written = FolderBeingWritten(folder)
    reloader = await opened(written, database)
    rest = ("", "")  # the folder is listed twice for each of the two looks, and then compiled
    steps = [("support.yaml", policy_text("support", "2")), rest, rest, rest]
    written.steps = iter([*steps, ("support.yaml", policy_text("support", "3"))])

    assert await reloader.look() is Reload.REFUSED
    assert "changed while it was read" in reloader.book.problems[0]
    assert versions(reloader)["support"] == "1"

    assert await reloader.look() is Reload.OK
    assert versions(reloader)["support"] == "3"
    assert await read(database, reloader.book.current["support"].ref.digest) is not None
