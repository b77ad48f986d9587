"""What the Kubernetes manifests must hold: valid for old and new clusters, of one piece, and the same as compose."""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kubernetes_validate.utils import SchemaNotFoundError

from services.settings import ProxySettings, WorkerSettings
from tests.support.compose_file import ComposeService, parsed, read_services
from tests.support.kubernetes_manifests import (
    FOLDER,
    OVERLAYS,
    Manifest,
    check,
    component,
    container_of,
    everything,
    named,
    of_kind,
    pod_of,
    rendered,
    variables_of,
    with_pods,
)

COMPOSE = FOLDER.parent / "core.yml"
EXAMPLE = (FOLDER.parent / ".env.example").read_text()
DOCS = FOLDER.parents[1] / "docs" / "kubernetes.md"
SECRET = "afterturn"
# Compose's services by the names of our manifests, without the version that some end in.
OURS = {
    "migrate": "migrate",
    "schedules": "schedules",
    "llm-proxy": "llm_proxy",
    "worker": "worker",
    "memory-api": "memory_api",
}
SAME = {
    "LLM_PROXY_HOST",
    "LLM_PROXY_PORT",
    "MEMORY_API_HOST",
    "MEMORY_API_PORT",
    "IMPORT_FOLDER",
    "MEM0_BACKEND",
    "WORKER_METRICS",
}
# A password's place in compose's addresses is the Secret's here.
FILLED = dict.fromkeys(
    ("POSTGRES_PASSWORD", "AFTERTURN_DB_PASSWORD", "TEMPORAL_DB_PASSWORD", "REDIS_PASSWORD", "LLM_PROXY_API_KEY"), "x"
)
# Postgres, Redis and Temporal; and where pods may ask beside names.
DATA = {5432, 6379, 7233}
TRACES = {4317, 4318}
LET_OUT = {
    "llm-proxy": {53, 80, 443, 11434, *TRACES},
    "worker": {53, *DATA, 8000, 443, *TRACES},
    "memory-api": {53, *DATA, 8000, 443, *TRACES},
}
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


@pytest.fixture
def manifests(overlay: Path) -> tuple[Manifest, ...]:
    return rendered(overlay)


def ours(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    return {_plain(manifest): manifest for manifest in with_pods(manifests)}


def _plain(manifest: Manifest) -> str:
    version = manifest["metadata"]["labels"]["app.kubernetes.io/version"]
    return str(manifest["metadata"]["name"]).removesuffix(f"-{version}")


def composed(name: str) -> tuple[ComposeService, dict[str, Any]]:
    service = OURS[name]
    return read_services(COMPOSE, FILLED)[service], parsed(COMPOSE)["services"][service]


@each_overlay
def test_a_cluster_takes_them(manifests: tuple[Manifest, ...]) -> None:
    for manifest in manifests:
        check(manifest)
    assert {_plain(manifest) for manifest in with_pods(manifests)} == set(OURS)


def set_at(path: str, value: object) -> Callable[[Manifest], None]:
    def plant(manifest: Manifest) -> None:
        *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place: Any = manifest
        for step in way:
            place = place[step]
        place[last] = value

    return plant


CONTAINER = "spec.template.spec.containers.0"
TRIGGER = "spec.triggers.0.metadata"


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("Deployment", set_at("spec.replica", 3)),
        ("Deployment", set_at("spec.selector", {"matchLabel": {}})),
        ("Deployment", set_at("apiVersion", "apps/v1beta1")),
        ("Deployment", set_at("spec.template.spec.terminationGracePeriodSeconds", "100s")),
        ("Deployment", set_at(f"{CONTAINER}.readinesProbe", {})),
        ("Deployment", set_at(f"{CONTAINER}.readinessProbe.httpGet", {"path": "/health"})),
        ("Deployment", set_at(f"{CONTAINER}.securityContext.capabilities", {"dropped": ["ALL"]})),
        ("Deployment", set_at(f"{CONTAINER}.env.0", {"nam": "LLM_PROXY_HOST"})),
        ("Deployment", set_at(f"{CONTAINER}.command", "python -m services.worker")),
        ("Job", set_at("spec.template.spec.containers", None)),
        ("NetworkPolicy", set_at("spec.egress.0.ports.0.port", {"number": 53})),
        ("PodDisruptionBudget", set_at("spec.maxUnavailable", [1])),
        ("PersistentVolumeClaim", set_at("spec.accessModes", "ReadWriteMany")),
        ("HorizontalPodAutoscaler", set_at("spec.metrics.0.resource.target.averageUtilisation", 70)),
        ("ScaledObject", set_at(f"{TRIGGER}.targetQueueSize", 50)),
        ("ScaledObject", set_at(f"{TRIGGER}.taskqueue", "memory")),
        ("ScaledObject", set_at(f"{TRIGGER}.workerDeploymentName", "afterturn")),
        ("ScaledObject", set_at("spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.window", 600)),
    ],
)
def test_the_check_finds_a_planted_fault(kind: str, plant: Callable[[Manifest], None]) -> None:
    [versioned] = [overlay for overlay in OVERLAYS if overlay.name == "versioned"]
    manifest = copy.deepcopy(of_kind(rendered(versioned), kind)[0])
    check(manifest)
    plant(manifest)
    with pytest.raises((jsonschema.ValidationError, SchemaNotFoundError)):
        check(manifest)


@each_overlay
def test_every_variable_is_in_the_example(manifests: tuple[Manifest, ...]) -> None:
    for manifest in with_pods(manifests):
        for name in variables_of(manifest, manifests):
            assert re.search(rf"^(# )?{name}=", EXAMPLE, re.MULTILINE), name


@each_overlay
def test_images_commands_and_variables_are_those_of_compose(manifests: tuple[Manifest, ...]) -> None:
    for name, manifest in ours(manifests).items():
        service, _ = composed(name)
        container = container_of(manifest)
        assert container["image"].rpartition(":")[0].endswith(f"/{service.image.partition(':')[0]}")
        assert container["command"] == service.command
        told = variables_of(manifest, manifests)
        # Jobs are told no more than they ask for; where people find Temporal's pages only you know.
        wanted = service.environment if manifest["kind"] == "Deployment" else {"DATABASE_URL": ""}
        if name != "schedules":
            missing = set(wanted) - set(told) - {"TEMPORAL_UI_URL"}
            assert missing <= ({"DATABASE_URL", "REDIS_URL"} if name == "llm-proxy" else set())
        for same in SAME & told.keys() & service.environment.keys():
            assert told[same] == service.environment[same]


@each_overlay
def test_secrets_are_given_to_those_who_need_them(manifests: tuple[Manifest, ...]) -> None:
    given: dict[str, set[str]] = {}
    for name, manifest in ours(manifests).items():
        for variable, value in variables_of(manifest, manifests).items():
            if isinstance(value, dict):
                reference = value["secretKeyRef"]
                assert (reference["name"], reference["key"]) == (SECRET, variable)
                given.setdefault(name, set()).add(variable)
            else:
                assert not re.search(r"KEY|SECRET|PASSWORD|DATABASE_URL|REDIS_URL", variable), variable
    assert given["migrate"] == {"DATABASE_URL"}
    assert not given["llm-proxy"] & {"DATABASE_URL", "REDIS_URL", "MEM0_API_KEY", "TEMPORAL_API_KEY"}
    required = {
        value["secretKeyRef"]["key"]
        for manifest in with_pods(manifests)
        for value in variables_of(manifest, manifests).values()
        if isinstance(value, dict) and not value["secretKeyRef"].get("optional")
    }
    assert required == {"DATABASE_URL", "REDIS_URL", "LLM_PROXY_API_KEY"}
    assert all(f"`{name}`" in DOCS.read_text() for name in set().union(*given.values()))


@each_overlay
def test_probes_and_ports_are_those_of_compose(manifests: tuple[Manifest, ...]) -> None:
    for name in ("llm-proxy", "memory-api"):
        service, _ = composed(name)
        container = container_of(named(manifests, "Deployment", name))
        assert service.health is not None
        url = service.health[-1]
        port = int(url.rpartition(":")[2].partition("/")[0])
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        assert variables_of(named(manifests, "Deployment", name), manifests)[f"{OURS[name].upper()}_PORT"] == str(port)
        assert named(manifests, "Service", name)["spec"]["ports"] == [
            {"name": "http", "port": port, "targetPort": "http"}
        ]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]
            if "exec" in asked:
                assert asked["exec"]["command"] == [*service.health[:-1], f"http://127.0.0.1:{port}/health"]
            else:
                assert asked["httpGet"] == {"path": "/health", "port": "http"}
    settings = of_kind(manifests, "ConfigMap")[0]["data"]
    assert settings["LLM_PROXY_URL"] == "http://llm-proxy:8000"
    worker = container_of(ours(manifests)["worker"])
    assert worker["readinessProbe"]["exec"]["command"] == composed("worker")[0].health
    assert "livenessProbe" not in worker
    assert worker["ports"] == [{"name": "metrics", "containerPort": 9464}]


@each_overlay
def test_a_pod_is_waited_for_as_long_as_its_work_may_take(manifests: tuple[Manifest, ...]) -> None:
    longest = {
        "worker": WorkerSettings().shutdown_seconds,
        "llm-proxy": ProxySettings().completion_timeout + 5,
        "memory-api": 65,
    }
    for name, seconds in longest.items():
        manifest = ours(manifests)[name]
        container = container_of(manifest)
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        waited = pod_of(manifest)["spec"]["terminationGracePeriodSeconds"]
        assert waited - before > seconds
        assert waited - before == float(composed(name)[1]["stop_grace_period"].removesuffix("s"))
        assert bool(before) == (name != "worker")  # nobody is sent to a worker


@each_overlay
def test_pods_may_do_nothing_but_run(manifests: tuple[Manifest, ...]) -> None:
    for manifest in with_pods(manifests):
        pod, container = pod_of(manifest)["spec"], container_of(manifest)
        assert pod["automountServiceAccountToken"] is False
        # A Service called llm-proxy would else set LLM_PROXY_PORT to an address.
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]  # noqa: S108
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert pod["serviceAccountName"] in {
            account["metadata"]["name"] for account in of_kind(manifests, "ServiceAccount")
        }


@each_overlay
def test_what_is_named_is_there(manifests: tuple[Manifest, ...]) -> None:
    labels = [pod_of(manifest)["metadata"]["labels"] for manifest in with_pods(manifests)]
    there = {kind: {m["metadata"]["name"] for m in of_kind(manifests, kind)} for kind in {m["kind"] for m in manifests}}
    for manifest in manifests:
        assert manifest["metadata"]["namespace"] == "afterturn"
        for path, value in everything(manifest):
            if path.endswith((".selector", ".labelSelector", ".podSelector")):
                wanted = value.get("matchLabels", value)
                assert any(wanted.items() <= found.items() for found in labels), (manifest["metadata"]["name"], path)
            if path.endswith(".scaleTargetRef"):
                assert value["name"] in there["Deployment"]
            if path.endswith(".persistentVolumeClaim"):
                assert value["claimName"] in there["PersistentVolumeClaim"]
        if manifest["kind"] == "Deployment":
            assert manifest["spec"]["selector"]["matchLabels"].items() <= pod_of(manifest)["metadata"]["labels"].items()


@each_overlay
def test_everything_is_closed_but_what_is_needed(manifests: tuple[Manifest, ...]) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    closed = policies["afterturn"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed
    pods = [pod_of(manifest)["metadata"]["labels"] for manifest in with_pods(manifests)]
    assert all(closed["podSelector"]["matchLabels"].items() <= labels.items() for labels in pods)
    let_in = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: spec["ingress"][0]["ports"]
        for spec in policies.values()
        if "ingress" in spec
    }
    assert let_in == {
        "llm-proxy": [{"protocol": "TCP", "port": 8000}],
        "memory-api": [{"protocol": "TCP", "port": 8080}],
        "worker": [{"protocol": "TCP", "port": 9464}],
    }
    for name, manifest in ours(manifests).items():
        out = {port for rule in rules_for(policies, manifest, "egress") for port in ports_of(rule)}
        assert out == LET_OUT.get(name, {53, *DATA}), name
    wide = [value for _, value in everything(policies) if isinstance(value, dict) and value.get("cidr") == "0.0.0.0/0"]
    assert wide
    assert all("169.254.0.0/16" in block["except"] for block in wide)


@each_overlay
def test_prometheus_is_let_in_wherever_it_is(manifests: tuple[Manifest, ...]) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(manifests, "NetworkPolicy")}
    for name, manifest in ours(manifests).items():
        if manifest["kind"] == "Deployment":
            from_anywhere = [rule for rule in rules_for(policies, manifest, "ingress") if "from" not in rule]
            told_at = {port["containerPort"] for port in container_of(manifest)["ports"]}
            assert {port for rule in from_anywhere for port in ports_of(rule)} == told_at, name


def rules_for(policies: dict[str, Any], manifest: Manifest, direction: str) -> list[dict[str, Any]]:
    """Give what any policy lets a manifest's pods do."""
    labels = pod_of(manifest)["metadata"]["labels"]
    return [
        rule
        for spec in policies.values()
        if spec["podSelector"]["matchLabels"].items() <= labels.items()
        and all(labels[one["key"]] in one["values"] for one in spec["podSelector"].get("matchExpressions", ()))
        for rule in spec.get(direction, ())
    ]


def ports_of(rule: dict[str, Any]) -> set[int]:
    return {port["port"] for port in rule["ports"]}


def test_each_version_of_the_workers_has_its_own_pods(tmp_path: Path) -> None:
    """The next version is applied beside the one that works, and takes none of its pods."""
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "overlays" / "versioned"
    kustomization = overlay / "kustomization.yaml"
    text = kustomization.read_text()
    [version] = re.findall(r"newTag: &version (\S+)", text)
    kustomization.write_text(text.replace(version, "sha-1a2b3c.4"))
    registry = "registry.example.org:5000"
    kustomization.write_text(kustomization.read_text().replace("registry.example.org", registry))
    old, new = rendered(FOLDER / "overlays" / "versioned"), rendered(overlay)
    for manifests, tag in ((old, version), (new, "sha-1a2b3c.4")):
        worker = named(manifests, "Deployment", f"worker-{tag}")
        assert variables_of(worker, manifests)["TEMPORAL_WORKER_BUILD_ID"] == tag
        assert variables_of(worker, manifests)["TEMPORAL_DEPLOYMENT_NAME"] == "afterturn"
        assert container_of(worker)["image"].endswith(f"/afterturn/worker:{tag}")
        assert worker["spec"]["selector"]["matchLabels"]["app.kubernetes.io/version"] == tag
        budget = named(manifests, "PodDisruptionBudget", f"worker-{tag}")
        assert budget["spec"]["selector"] == worker["spec"]["selector"]
        assert {job["metadata"]["name"] for job in of_kind(manifests, "Job")} == {f"migrate-{tag}", f"schedules-{tag}"}
        [scaler] = of_kind(manifests, "ScaledObject")
        assert scaler["metadata"]["name"] == "worker"
        assert scaler["spec"]["scaleTargetRef"] == {"name": f"worker-{tag}"}
    # What is no worker's goes over in place.
    for name in ("llm-proxy", "memory-api"):
        kept, changed = named(old, "Deployment", name), named(new, "Deployment", name)
        assert kept["spec"]["selector"] == changed["spec"]["selector"]
        assert "app.kubernetes.io/version" not in kept["spec"]["selector"]["matchLabels"]


def test_a_scaler_asks_the_temporal_of_the_settings() -> None:
    manifests = rendered(FOLDER / "overlays" / "versioned")
    settings = of_kind(manifests, "ConfigMap")[0]["data"]
    [scaler] = of_kind(manifests, "ScaledObject")
    asked = [trigger["metadata"] for trigger in scaler["spec"]["triggers"]]
    assert [one["taskQueue"] for one in asked] == WorkerSettings().task_queues.split(",")
    for one in asked:
        assert (one["endpoint"], one["namespace"]) == (settings["TEMPORAL_ADDRESS"], settings["TEMPORAL_NAMESPACE"])
    # Who scales decides the number, not who applies.
    scaled = {"worker-1.5.0", "memory-api"}
    assert {m["metadata"]["name"] for m in of_kind(manifests, "Deployment") if "replicas" not in m["spec"]} == scaled


def test_commands_of_the_documentation_name_what_there_is() -> None:
    text = DOCS.read_text()
    commands = re.findall(r"^kubectl .*$", text, flags=re.MULTILINE)
    assert commands
    folders = {found for command in commands for found in re.findall(r"compose/kubernetes/\S+", command)}
    assert {FOLDER.parents[1] / folder for folder in folders} == set(OVERLAYS)
    manifests = rendered(FOLDER / "overlays" / "versioned")
    names = {m["metadata"]["name"] for overlay in OVERLAYS for m in of_kind(rendered(overlay), "Deployment")}
    for command in commands:
        assert set(re.findall(r"deployment/(\S+)", command)) <= names
    assert component(manifests[0]) == "set-up"
    before = [m for m in manifests if component(m) == "set-up"]
    assert {m["kind"] for m in before} >= {
        "ConfigMap",
        "ServiceAccount",
        "NetworkPolicy",
        "Job",
        "PersistentVolumeClaim",
    }
    assert "Deployment" not in {m["kind"] for m in before}
