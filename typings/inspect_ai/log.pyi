# The part of Inspect's logs that Inwit writes.
from typing import Any, Literal

class EvalLog:
    @classmethod
    def model_validate(cls, obj: Any) -> EvalLog: ...

def write_eval_log(
    log: EvalLog, location: str, format: Literal["eval", "json", "auto"] = "auto"
) -> Any: ...
