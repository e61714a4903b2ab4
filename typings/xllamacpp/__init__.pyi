"""The part of xllamacpp that Inwit uses; the wheel carries no types."""

class _Model:
    path: str

class _Cpu:
    n_threads: int

class CommonParams:
    model: _Model
    model_alias: set[str]
    api_keys: list[str]
    port: int
    n_parallel: int
    n_ctx: int
    cache_ram_mib: int
    cpuparams: _Cpu
    ui: bool
    endpoint_slots: bool

class Server:
    listening_address: str
    def __init__(self, params: CommonParams) -> None: ...
