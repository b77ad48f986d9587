"""The figures that dashboard and alerts of the compose folder read."""

import json
import re
from pathlib import Path

import yaml

_OURS = re.compile(r"\b((?:afterturn|memory_api|llm_proxy|service|temporal)_[a-z0-9_]+)\b")
# Labels and jobs that look like figures.
_NO_FIGURES = {"service_name"}
# Told once a step or a decision failed, Mem0 was compared, or a schedule ran, for the first time.
NOT_AT_ONCE = {
    "temporal_activity_execution_failed_total",
    "temporal_workflow_task_execution_failed_total",
    "afterturn_mem0_last_drift",
    "afterturn_schedule_last_run_seconds",
}


def figures_read(folder: Path, prefix: str = "") -> set[str]:
    """Give the names of what they read, or of those that begin so."""
    return {
        name for expression in expressions(folder) for name in _OURS.findall(expression) if name.startswith(prefix)
    } - (_NO_FIGURES)


def expressions(folder: Path) -> list[str]:
    dashboard = json.loads((folder / "grafana" / "dashboards" / "afterturn.json").read_text())
    rules = yaml.safe_load((folder / "prometheus" / "alerts.yml").read_text())
    read = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    read += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert all(read)
    return read


def figures_told(*texts: str) -> set[str]:
    """Give the names of what `/metrics` says: those that it describes, and those of its lines."""
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    names = {line.split("{")[0].split(" ")[0] for line in lines}
    families = re.findall(r"^# TYPE (\S+) counter$", "\n".join(texts), flags=re.MULTILINE)
    return names | {name if name.endswith("_total") else f"{name}_total" for name in families} | set(families)
