"""Record previews of both engines: `sudo .venv/bin/python -m tests.unit.review.record [ENGINE]`.

A small mesh is brought up beside a simulated cloud, once by the lab's engine and once by Pulumi, which has to
be on PATH with its plugins; then each case of `CASES` is previewed. Only what a review reads is kept.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lab.testing import REPOSITORY
from tests.system.simulated import TOKEN, Simulated, simulated
from tests.unit.review.cases import CASES, MESH, Case

__all__ = ["stripped"]

RECORDED: Final = Path(__file__).parent / "recorded"
_ENGINES: Final = {"lab": (sys.executable, "-m", "lab.engine"), "pulumi": ("pulumi",)}
_STACK: Final = "dev"
_URN: Final = f"urn:pulumi:{_STACK}::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node$"
_KEPT: Final = ("op", "urn", "oldState", "newState", "replaceReasons", "diffReasons", "detailedDiff")
_OF_A_STATE: Final = ("type", "urn", "custom", "id", "parent", "propertyDependencies", "protect")
_SYSCTL: Final = re.compile(r"(?<=90-wgmesh.conf <==\n)(.*?\n)(?===> /etc/hosts)", re.DOTALL)
_VALUES: Final = (
    *(
        "stdin",
        "serverType",
        "location",
        "image",
        "name",
        "rules",
        "firewallIds",
        "input",
        "nodes",
        "ipAddress",
    ),
    *("deleteProtection", "rebuildProtection"),
)


def stripped(preview: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """Return a preview without what the review does not read; `places` are paths and what stands for each."""
    text = json.dumps(preview)
    for place, name in places.items():
        text = text.replace(place, name)
    whole = json.loads(text)
    mesh = whole.get("config", {}).get("wireguard-mesh:mesh")
    return {
        "config": {} if mesh is None else {"wireguard-mesh:mesh": mesh},
        "steps": [_step(step) for step in whole.get("steps") or []],
        "diagnostics": whole.get("diagnostics") or [],
        "changeSummary": whole.get("changeSummary", {}),
    }


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: step[name] for name in _KEPT if step.get(name) is not None}
    for side in {"oldState", "newState"} & kept.keys():
        kept[side] = _state(kept[side])
    return kept


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: state[name] for name in _OF_A_STATE if state.get(name)}
    for part in ("inputs", "outputs"):
        kept[part] = {name: value for name, value in (state.get(part) or {}).items() if name in _VALUES}
    found = kept.pop("propertyDependencies", {})
    if "firewallIds" in found:
        kept["propertyDependencies"] = {"firewallIds": found["firewallIds"]}
    if isinstance(kept["inputs"].get("stdin"), str):
        kept["outputs"].pop("stdin", None)  # the same text once more
        kept["inputs"]["stdin"] = _SYSCTL.sub(_first_lines, kept["inputs"]["stdin"])
    return kept


def _first_lines(found: re.Match[str]) -> str:
    """Keep of the kernel settings, the same on all nodes, what a change of `forward` would show."""
    return "".join(found[1].splitlines(keepends=True)[:4])


@dataclass(frozen=True)
class Recorder:
    """A project folder with one engine."""

    cloud: Simulated
    folder: Path
    engine: str

    def run(self, *words: str) -> tuple[int, str]:
        """Return the exit code and what was printed to standard output."""
        home = {"PULUMI_HOME": os.environ["PULUMI_HOME"]} if "PULUMI_HOME" in os.environ else {}
        environment = {
            **home, "PYTHONPATH": str(REPOSITORY), "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_STACK": _STACK, "PULUMI_SKIP_UPDATE_CHECK": "true",
        }  # fmt: skip
        ran = subprocess.run(
            ["nsenter", f"--net=/proc/{self.cloud.process}/ns/net", "--", *_ENGINES[self.engine], *words],
            cwd=self.folder, env={**os.environ, **environment}, check=False, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=1200,
        )  # fmt: skip
        if ran.stderr:
            print(ran.stderr, file=sys.stderr)
        return ran.returncode, ran.stdout

    def configure(self, mesh: Mapping[str, Any]) -> None:
        """Write the stack file."""
        known = {"hcloud:endpoint": self.cloud.endpoint, "hcloud:token": TOKEN}
        path = self.folder / f"Pulumi.{_STACK}.yaml"
        former = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**former, "config": {**known, "wireguard-mesh:mesh": dict(mesh)}}))

    def preview(self, case: Case) -> dict[str, Any]:
        """Return one preview, stripped."""
        self.configure(case.mesh)
        replaced = [word for name in case.replace for word in ("--replace", f"{_URN}{name}")]
        code, printed = self.run("preview", "--json", *replaced)
        assert (code != 0) == case.fails, printed
        return stripped(json.loads(printed), {str(self.folder): "/mesh", str(REPOSITORY): "/mesh"})

    def record(self, case: Case) -> None:
        """Write one recording."""
        text = json.dumps(self.preview(case), sort_keys=True, indent=0)
        for secret in self._secrets():
            assert secret not in text, f"{case.name}: a secret: {secret}"
        path = RECORDED / self.engine / f"{case.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
        print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size} bytes")

    def _secrets(self) -> set[str]:
        _, printed = self.run("stack", "export", "--show-secrets")
        keys = set(re.findall(r'"plaintext": *"((?:[^"\\]|\\.)+)"', printed))
        lines = {line for key in keys for line in json.loads(f'"{key}"').encode().decode().split("\\n")}
        words = {word.strip('\\",') for line in lines for word in line.split()}
        return {word for word in words if len(word) > 40 and not word.startswith(("-----", "AAAA"))}


def main() -> None:
    """Record all cases with the engines that are named, both by default."""
    for engine in sys.argv[1:] or _ENGINES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "mesh"
            (folder / "state").mkdir(parents=True)
            (folder / "__main__.py").write_text((REPOSITORY / "__main__.py").read_text())
            runtime = f"runtime:\n  name: python\n  options:\n    virtualenv: {sys.prefix}\n"
            (folder / "Pulumi.yaml").write_text(f"name: wireguard-mesh\n{runtime}")
            with simulated(Path(name) / "cloud") as cloud:
                _record_all(Recorder(cloud, folder, engine))


def _record_all(recorder: Recorder) -> None:
    recorder.configure(MESH)
    code, printed = recorder.run("stack", "init", _STACK)
    assert code == 0, printed
    for case in CASES:
        if case.first:
            recorder.record(case)
    recorder.configure(MESH)
    code, printed = recorder.run("up", "--yes", "--skip-preview")
    assert code == 0, printed
    for case in CASES:
        if not case.first:
            recorder.record(case)


if __name__ == "__main__":
    main()
