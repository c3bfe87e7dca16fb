"""Every cluster file passes what can be checked without a cloud, and a planted mistake of each kind is caught."""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from checks import (
    REFUSALS,
    Config,
    lint_shell,
    validate_for_aws,
    validate_for_gcp,
    validate_for_kubernetes,
    validate_for_ray,
)
from packaging.requirements import Requirement
from packaging.version import Version

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "experiments" / "clusters"
AWS, GCP, LOCAL = ROOT / "cluster.yaml", CLUSTERS / "gcp.yaml", CLUSTERS / "local.yaml"
KUBERAY, SLURM, SETUP = CLUSTERS / "kuberay.yaml", CLUSTERS / "slurm.sh", CLUSTERS / "setup.sh"
DOWN, PAGE = CLUSTERS / "down.sh", CLUSTERS / "page.sh"
RAY_FILES = tuple(path for path in (AWS, *sorted(CLUSTERS.glob("*.yaml"))) if "cluster_name:" in path.read_text())


def load(path: Path) -> Config:
    """The file as plain data."""
    config: Config = yaml.safe_load(path.read_text())
    return config


@pytest.mark.parametrize("path", RAY_FILES, ids=lambda path: path.name)
def test_ray_accepts_the_cluster_file(path: Path) -> None:
    prepared = validate_for_ray(load(path))
    assert prepared["cluster_name"] == "autoresearch"


def test_aws_accepts_every_node_type() -> None:
    validate_for_aws(load(AWS))


def test_google_accepts_every_node_type() -> None:
    validate_for_gcp(load(GCP))


def test_kubernetes_accepts_the_job() -> None:
    validate_for_kubernetes(list(yaml.safe_load_all(KUBERAY.read_text())))


@pytest.mark.parametrize("path", [SLURM, SETUP, DOWN, PAGE], ids=lambda path: path.name)
def test_the_shell_scripts_are_clean(path: Path) -> None:
    lint_shell(path)
    assert os.access(path, os.X_OK)


def wrong_key(config: Config) -> None:
    config["max_worker"] = config.pop("max_workers", 3)


def head_of_no_type(config: Config) -> None:
    config["head_node_type"] = "haed"


def misspelt_field(config: Config) -> None:
    config["available_node_types"]["t4"]["node_config"]["InstanceTyp"] = "g4dn.xlarge"


def number_for_a_text(config: Config) -> None:
    config["available_node_types"]["t4"]["node_config"]["ImageId"] = 7


def unknown_market(config: Config) -> None:
    config["available_node_types"]["t4"]["node_config"]["InstanceMarketOptions"]["MarketType"] = "sport"


def misspelt_google_field(config: Config) -> None:
    config["available_node_types"]["t4"]["node_config"]["guestAccelerator"] = []


@pytest.mark.parametrize(
    ("path", "check", "plant"),
    [
        (AWS, validate_for_ray, wrong_key),
        (AWS, validate_for_ray, head_of_no_type),
        (AWS, validate_for_aws, misspelt_field),
        (AWS, validate_for_aws, number_for_a_text),
        (AWS, validate_for_aws, unknown_market),
        (GCP, validate_for_gcp, misspelt_google_field),
        (LOCAL, validate_for_ray, wrong_key),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", None)),
)
def test_a_planted_mistake_is_caught(
    path: Path, check: Callable[[Config], Any], plant: Callable[[Config], None]
) -> None:
    config = load(path)
    plant(config)
    with pytest.raises(REFUSALS):
        check(config)


@pytest.mark.parametrize(
    "mistake",
    [
        ("containers:", "container:"),
        ("containerPort: 6379", "containerPort: six"),
        ("minReplicas: 0", "minReplica: 0"),
        ("storage: 20Gi", "storage: {size: 20}"),
    ],
)
def test_a_planted_mistake_in_the_kubernetes_file_is_caught(mistake: tuple[str, str]) -> None:
    text = KUBERAY.read_text()
    assert mistake[0] in text
    with pytest.raises(REFUSALS):
        validate_for_kubernetes(list(yaml.safe_load_all(text.replace(*mistake))))


@pytest.mark.parametrize("mistake", ["if true; then\n", 'rm -rf "$HOME/"$1\n', "cd $HOME/$1\n"])
def test_a_planted_mistake_in_a_shell_script_is_caught(mistake: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.sh"
    bad.write_text(SLURM.read_text() + mistake)
    with pytest.raises(subprocess.CalledProcessError):
        lint_shell(bad)


@pytest.mark.parametrize("path", RAY_FILES, ids=lambda path: path.name)
def test_dashboards_listen_on_loopback_and_nodes_carry_the_token(path: Path) -> None:
    config = load(path)
    (start,) = [line for line in config["head_start_ray_commands"] if "--head" in line]
    assert "--dashboard-host=127.0.0.1" in start
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("setup.sh" in line for line in config["setup_commands"])
    assert "RAY_AUTH_MODE=token" in SETUP.read_text()
    mounted = [Path(local) for local in config["file_mounts"].values() if not local.startswith("~")]
    assert all((ROOT / local).exists() for local in mounted)


def test_t4_workers_are_spot_start_at_none_and_end_for_good() -> None:
    config = load(AWS)
    for name in ("t4", "t4x4"):
        node_type = config["available_node_types"][name]
        assert node_type["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        assert node_type["min_workers"] == 0
    assert config["available_node_types"]["t4"]["node_config"]["InstanceType"] == "g4dn.xlarge"
    assert config["available_node_types"]["t4x4"]["node_config"]["InstanceType"] == "g4dn.12xlarge"
    assert config["provider"]["cache_stopped_nodes"] is False


def test_constraints_pin_every_dependency_within_its_range() -> None:
    lines = [line for line in (CLUSTERS / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.partition("==")[0].replace("_", "-"): Version(line.partition("==")[2]) for line in lines}
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        wanted = Requirement(text)
        if wanted.marker is None:
            assert pinned[wanted.name.lower().replace("_", "-")] in wanted.specifier, text
    (version,) = re.findall(r'rayVersion: "(.*)"', KUBERAY.read_text())
    assert version == str(pinned["ray"])
