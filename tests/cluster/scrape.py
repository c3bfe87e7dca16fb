"""Metrics as Prometheus reads them."""

import urllib.request

import ray
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "ray_autoresearch_"


def scrape(address: str, run: str) -> dict[tuple[str, str], float]:
    """A run's metrics that a node serves at HOST:PORT, by name and by their own label besides `run` ("" without)."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, "".join(sample.labels.get(key, "") for key in ("status", "state", "direction"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX) and sample.labels.get("run") == run
    }


def this_node() -> str:
    """Where the node of this driver serves its metrics."""
    (node,) = [node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id()]
    return f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
