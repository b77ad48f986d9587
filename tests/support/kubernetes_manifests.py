"""The manifests of compose/kubernetes as a cluster would get them: put together by Kustomize, and checked by schemas.

`python -m tests.support.kubernetes_manifests` finds Kustomize, or builds it, and renders every overlay.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.support.go_programs import KUSTOMIZE
from tests.support.keda_schema import SCALED_OBJECT

FOLDER = Path(__file__).parents[2] / "compose" / "kubernetes"
OVERLAYS = sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml"))
# The oldest in which a pod may sleep before it stops.
OLDEST, NEWEST = "1.30", "1.37"

Manifest = dict[str, Any]


@cache
def rendered(folder: Path) -> tuple[Manifest, ...]:
    done = subprocess.run([*_kustomize(), str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def check(manifest: Manifest) -> None:
    """Raise `jsonschema.ValidationError` where a cluster would refuse it, or leave something out."""
    if manifest["kind"] == "ScaledObject":
        jsonschema.Draft202012Validator(SCALED_OBJECT).validate(manifest)
        manifest = _autoscaler_of(manifest)
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(manifest, version, strict=True)


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    [found] = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def with_pods(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    return of_kind(manifests, "Deployment", "Job")


def pod_of(manifest: Manifest) -> Manifest:
    pod: Manifest = manifest["spec"]["template"]
    return pod


def container_of(manifest: Manifest) -> Manifest:
    [container] = pod_of(manifest)["spec"]["containers"]
    return dict(container)


def variables_of(manifest: Manifest, manifests: tuple[Manifest, ...]) -> dict[str, Any]:
    """Give what a program finds in its environment: texts, and keys of secrets as they are referred to."""
    container, found = container_of(manifest), {}
    for source in container.get("envFrom", ()):
        found.update(named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"])
    for variable in container.get("env", ()):
        found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return found


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"]["app.kubernetes.io/component"])


def everything(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value in a manifest, with where it stands."""
    yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from everything(child, f"{path}.{key}")


def _autoscaler_of(scaled: Manifest) -> Manifest:
    """Give the autoscaler that KEDA makes of it, as far as its behaviour is written down."""
    behaviour = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", **scaled["spec"]["scaleTargetRef"]}
    spec = {"scaleTargetRef": target, "maxReplicas": scaled["spec"]["maxReplicaCount"], "behavior": behaviour}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {}, "spec": spec}


def _kustomize() -> list[str]:
    """Use what the machine has: the program itself, or kubectl, which brings it along."""
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    return [str(KUSTOMIZE.build() / "kustomize"), "build"]


if __name__ == "__main__":
    for overlay in OVERLAYS:
        sys.stdout.write(f"{overlay.name}: {len(rendered(overlay))} manifests\n")
