"""How uvicorn is told to serve; tests/process has it at work."""

import re
from pathlib import Path

from fastapi import FastAPI

from inwit.config import load_settings
from inwit.serve import KEEP_ALIVE_S, server_config

_NGINX_S = 60  # upstream-keepalive-timeout of ingress-nginx
_OPERATE = Path(__file__).parents[1] / "docs/operate.md"


def test_a_proxy_closes_idle_connections_before_a_gateway_does() -> None:
    config = server_config(FastAPI(), load_settings())

    assert config.timeout_keep_alive == KEEP_ALIVE_S > _NGINX_S
    assert re.search(rf"idle time .* below {KEEP_ALIVE_S} s", _OPERATE.read_text())
