"""A command whose exit codes mean something: to be called as it cannot be is none of them."""

from typing import Any, cast

import typer
from typer.core import TyperCommand

from inwit.ledger.verify import MISUSE

# Of click, which typer has beside it or within it: only this is its own name in both.
_UsageError = cast("type[Exception]", typer.BadParameter.__base__)


class MisusedCommand(TyperCommand):
    """Exits with 3, and not with click's 2, where an option or an argument is not one."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """As every command does."""
        try:
            return super().make_context(*arguments, **named)
        except _UsageError as error:
            cast("Any", error).exit_code = MISUSE
            raise
