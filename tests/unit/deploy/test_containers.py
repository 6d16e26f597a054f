"""What can be known of the container files without a container engine: what they refer to is there, and nobody is root.

`hadolint` and `kubernetes-validate` judge them too, where they are installed; neither is small.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import nodepass
from nodepass.config import ServerConfig
from nodepass.fleet.file import read_file
from nodepass.fleet.listeners import listeners_of
from tests.harness import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
USER = 65532
FILE = "/etc/nodepass/tunnels.toml"
"""What the image runs."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def the(name: str) -> str:
    """The last instruction of this name."""
    return [rest for each, rest in instructions() if each == name][-1]


def test_the_image_is_built_in_two_stages_and_runs_as_nobody_of_note() -> None:
    froms = [rest for name, rest in instructions() if name == "FROM"]
    assert froms[0].endswith(" AS build")
    assert len(froms) == 2
    assert the("USER") == f"{USER}:{USER}"
    assert f"--uid {USER}" in the("RUN")
    assert json.loads(the("ENTRYPOINT")) == ["nodepass"]
    assert json.loads(the("CMD")) == ["run", FILE]


def test_all_that_is_copied_is_there_and_is_let_through() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copies = [rest.split()[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = {source for copy in copies for source in copy}
    assert {source for source in sources if (ROOT / source).exists()} == sources
    assert {source for source in sources if any(fnmatch.fnmatch(source, each) for each in let_through)} == sources


RUN = f"nodepass run {FILE}"
URL = "nodepass master://:9090/run"


def words(command: str) -> bytes:
    """What `/proc/PID/cmdline` has of a program that has not changed it."""
    return b"".join(word.encode() + b"\0" for word in command.split())


def title(command: str) -> bytes:
    """What is there of one that has called itself this."""
    return command.encode() + bytes(8)


def healthy(folder: Path, command: bytes, code: int) -> bool:
    """What the image's check says of a first process with this command line, where `nodepass status` exits with `code`."""
    program = folder / "nodepass"
    program.write_text(f'#!/bin/sh\n[ "$*" = status ] && exit {code}\n')
    program.chmod(0o755)
    first = folder / "cmdline"
    first.write_bytes(command)
    *shell, check = json.loads(the("HEALTHCHECK").partition("CMD ")[2])
    assert check.count("/proc/1/cmdline") == 1
    done = subprocess.run(
        [*shell, check.replace("/proc/1/cmdline", str(first))],
        env={"PATH": f"{folder}:/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    assert done.returncode in {0, 1}
    return done.returncode == 0


@pytest.mark.parametrize("code", range(5))
@pytest.mark.parametrize(
    "command",
    [
        words(RUN),
        words(f"/opt/nodepass/bin/python3 /opt/nodepass/bin/{RUN}"),
        words(f"/sbin/docker-init -- {RUN}"),
        title(RUN),
        title("nodepass run a file"),
    ],
    ids=["words", "script", "init", "title", "title of a path with spaces"],
)
def test_a_file_of_tunnels_is_healthy_when_they_are(tmp_path: Path, command: bytes, code: int) -> None:
    assert healthy(tmp_path, command, code) == (code in {0, 4})


@pytest.mark.parametrize("form", [words, title])
@pytest.mark.parametrize("command", ["nodepass server://:10101/:8080", URL, f"/sbin/docker-init -- {URL}", "nodepass demo"])
def test_anything_else_is_healthy_while_it_runs(tmp_path: Path, form: Callable[[str], bytes], command: str) -> None:
    assert healthy(tmp_path, form(command), 3)


def test_a_real_process_is_asked_how_it_is(tmp_path: Path) -> None:
    file = tmp_path / "tunnels.toml"
    file.write_text(
        f'[tunnels.web]\nrole = "forwarder"\nlisten = "127.0.0.1:{free_port()}"\ntargets = "127.0.0.1:{free_port()}"\n'
    )
    environ = {"NP_RUNTIME_DIR": str(tmp_path / "own")}
    with Process([sys.executable, "-m", "nodepass", "run", str(file)], env=environ) as process:
        process.wait_for("Forwarding ")
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert healthy(tmp_path, command, 0)
        assert not healthy(tmp_path, command, 3)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_composed_service() -> None:
    whole = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    service = whole["services"]["tunnels"]
    context = (DOCKER / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).is_file()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == [f"/run/nodepass:uid={USER},gid={USER},mode=0700"]
    (folder,) = service["volumes"]
    path = DOCKER / folder["source"] / PurePath(FILE).name
    assert folder["target"] == str(PurePath(FILE).parent)
    assert folder["type"] == "bind"
    assert folder["read_only"] is True
    file, report = read_file(path, {}, offline=True)
    assert report.problems == []
    assert file is not None
    (entry,) = file.entries.values()
    assert isinstance(entry.config, ServerConfig)
    (secret,) = service["secrets"]
    assert f'"/run/secrets/{secret}"' in path.read_text(encoding="utf-8")
    assert secret in whole["secrets"]
    bound = {str(listener.endpoint.port) for listener in listeners_of(entry.config) if listener.is_tcp}
    assert {port.split(":")[1] for port in service["ports"]} == bound


def test_a_container_sees_a_file_that_took_the_place_of_another() -> None:
    """It would not where that file is mounted, and not its folder."""
    page = (ROOT / "docs" / "howto" / "docker.md").read_text(encoding="utf-8")
    mounts = re.findall(r'-v "\$PWD/([^:]*):([^:]*):ro"', page)
    assert set(mounts) == {("home", str(PurePath(FILE).parent))}
    assert f"<!-- file: home/{PurePath(FILE).name} -->" in page


@pytest.mark.parametrize("path", ["docs/howto/docker.md", "deploy/docker/compose.yaml"])
def test_a_host_needs_nothing_but_docker_for_a_key(path: str) -> None:
    makers = re.findall(r".*nodepass genkey", (ROOT / path).read_text(encoding="utf-8"))
    assert makers
    assert all("docker run --rm nodepass genkey" in maker for maker in makers)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_pods_are_restricted_and_probed(path: Path) -> None:
    (pod,) = [each["spec"]["template"]["spec"] for each in documents(path) if "template" in each.get("spec", {})]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"livenessProbe", "readinessProbe"} <= container.keys()
    # Of an emptyDir everybody is an owner: a socket's folder is below it.
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert re.findall(r"NP_RUNTIME_DIR=(\S+)/own", the("ENV")) == [place for place in places if place.startswith("/run")]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    claims = (
        {claim["metadata"]["name"] for each in documents(path) for claim in each["spec"].get("volumeClaimTemplates", ())}
        if path.stem == "master"
        else set()
    )
    assert mounts == {volume["name"] for volume in pod["volumes"]} | claims


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_image_that_was_built_is_the_one_that_runs(path: Path) -> None:
    """Of an image without a version, or with `latest`, a cluster asks a registry, although a node has it."""
    (pod,) = [each["spec"]["template"]["spec"] for each in documents(path) if "template" in each.get("spec", {})]
    (container,) = pod["containers"]
    assert container["image"] == f"nodepass:{nodepass.__version__}"
    assert container["imagePullPolicy"] == "IfNotPresent"
    for file in (ROOT / "deploy" / "README.md", DOCKER / "Dockerfile"):
        assert f"-t {container['image']} ." in file.read_text(encoding="utf-8"), file


def test_the_client_gets_the_key_of_its_server() -> None:
    text = (ROOT / "deploy" / "kubernetes" / "client.yaml").read_text(encoding="utf-8")
    (command,) = re.findall(r"kubectl create secret .*", text)
    assert "genkey" not in command


def test_the_file_of_the_config_map_is_good(tmp_path: Path) -> None:
    (text,) = [
        each["data"]["tunnels.toml"] for path in MANIFESTS for each in documents(path) if each["kind"] == "ConfigMap"
    ]
    (tmp_path / "t.toml").write_text(text)
    file, report = read_file(tmp_path / "t.toml", {}, offline=True)
    assert report.problems == []
    assert file is not None
    assert list(file.entries) == ["web"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_would_take_them(path: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        validator.validate(document, "1.30", strict=True)
