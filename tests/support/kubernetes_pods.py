"""The pods of the Kubernetes manifests, to be run as compose's services are."""

from collections.abc import Mapping
from typing import Any

from tests.support.compose_file import ComposeService
from tests.support.kubernetes_manifests import Manifest, container_of, pod_of, variables_of, with_pods

# What compose calls them.
_COMPOSED = {"llm-proxy": "llm_proxy", "memory-api": "memory_api"}


def composed_name(manifest: Manifest) -> str:
    version = manifest["metadata"]["labels"]["app.kubernetes.io/version"]
    name = str(manifest["metadata"]["name"]).removesuffix(f"-{version}")
    return _COMPOSED.get(name, name)


def pods(
    manifests: tuple[Manifest, ...],
    composed: Mapping[str, ComposeService],
    settings: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, ComposeService]:
    """Give the pods by the names of compose's services, whose order they keep.

    `settings` are those of an overlay of one's own; `secrets` what the Secret holds.
    """
    return {
        composed_name(manifest): _pod(manifest, manifests, composed[composed_name(manifest)], settings, secrets)
        for manifest in with_pods(manifests)
    }


def _pod(
    manifest: Manifest,
    manifests: tuple[Manifest, ...],
    composed: ComposeService,
    settings: Mapping[str, str],
    secrets: Mapping[str, str],
) -> ComposeService:
    container = container_of(manifest)
    told = {**variables_of(manifest, manifests), **settings}
    environment = {name: value if isinstance(value, str) else _secret(value, secrets) for name, value in told.items()}
    volumes = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    return ComposeService(
        name=composed.name,
        image=container["image"].partition("/")[2],
        command=container["command"],
        environment={name: value for name, value in environment.items() if value is not None},
        mounts={place: name for name, place in volumes.items() if name != "tmp"},
        waits_for=composed.waits_for,
        health=_probe(container) if manifest["kind"] == "Deployment" else None,
        profiles=[],
        reads_env_file=False,
        runs_once=pod_of(manifest)["spec"].get("restartPolicy") == "OnFailure",
    )


def _secret(value: Any, secrets: Mapping[str, str]) -> str | None:
    reference = value["secretKeyRef"]
    assert reference.get("optional") or reference["key"] in secrets, reference
    return secrets.get(reference["key"])


def _probe(container: Manifest) -> list[str]:
    probe = container["readinessProbe"]
    if "exec" in probe:
        words: list[str] = probe["exec"]["command"]
        return words
    [port] = [port["containerPort"] for port in container["ports"] if port["name"] == probe["httpGet"]["port"]]
    return ["python", "-m", "services.http.probe", f"http://127.0.0.1:{port}{probe['httpGet']['path']}"]
