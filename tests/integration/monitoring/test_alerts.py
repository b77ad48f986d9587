"""By Prometheus' own tool: the rules can be read, and each alert fires when it shall, and not before."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import programs

COMPOSE = Path(__file__).parents[3] / "compose" / "prometheus"
CASES = Path(__file__).with_name("alerts.yml")


@pytest.mark.parametrize(
    "asked",
    [
        ("check", "rules", COMPOSE / "alerts.yml"),
        ("check", "config", "--syntax-only", COMPOSE / "prometheus.yml"),
        ("test", "rules", CASES),
    ],
    ids=["rules", "configuration", "alerts"],
)
def test_promtool_finds_nothing_wrong(asked: tuple[str | Path, ...]) -> None:
    done = subprocess.run([programs() / "promtool", *asked], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_of_each_alert_there_is_a_case_that_fires_and_one_that_does_not() -> None:
    groups = yaml.safe_load((COMPOSE / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == alerts
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == alerts


def test_each_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((COMPOSE / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "cure"}
        assert rule["for"]
