"""Makes the Grafana dashboards and the Prometheus rules: `python -m scripts.dashboards`."""
