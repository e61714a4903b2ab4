"""Policy folders as operators leave them: whole, half-written, and swapped by a link."""

import re
from collections.abc import Iterator
from pathlib import Path, PosixPath

from inwit.ledger.database import Database
from inwit.policy.loader import PACKAGED
from inwit.reload import Check, PolicyReloader, accept_all


def policy_text(name: str = "default", version: str = "1") -> str:
    """The packaged default policy under another name and version."""
    text = (PACKAGED / "default.yaml").read_text()
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", text, count=1)
    return re.sub(r"(?m)^version: .*$", f'version: "{version}"', text, count=1)


def write_policies(folder: Path, **versions: str) -> Path:
    """A file for each policy, named as it is; gives the folder."""
    folder.mkdir(exist_ok=True)
    for name, version in versions.items():
        (folder / f"{name}.yaml").write_text(policy_text(name, version))
    return folder


class FolderBeingWritten(PosixPath):
    """A folder in which an editor has come one step further each time that someone lists it."""

    steps: Iterator[tuple[str, str]] = iter(())

    def glob(self, pattern: str) -> Iterator[Path]:  # pyright: ignore[reportIncompatibleMethodOverride]  # 3.13 takes more
        for name, text in [next(self.steps, ("", ""))]:
            if name:
                (self / name).write_text(text)
        return super().glob(pattern)


def swap_link(folder: Path, files: dict[str, str], edition: str) -> None:
    """Bring files into `folder` as Kubernetes does a ConfigMap: a link `..data` is replaced."""
    target = folder / f"..{edition}"
    target.mkdir(parents=True)
    for name, text in files.items():
        (target / name).write_text(text)
    fresh = folder / "..data_tmp"
    fresh.symlink_to(target.name)
    fresh.rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


async def opened(folder: Path, database: Database, check: Check = accept_all) -> PolicyReloader:
    """What stands in the folder, in force; it settles at once."""
    reloader = PolicyReloader(folder, database, check=check, settle_s=0.001)
    await reloader.open()
    return reloader


def versions(reloader: PolicyReloader) -> dict[str, str]:
    """The versions in force, by name."""
    return {name: policy.ref.version for name, policy in reloader.book.current.items()}
