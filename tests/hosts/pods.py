"""A small runner of the pods of an indexed Job: their commands on machines, and what their exit codes lead to.

It reads launch/kubernetes/*.yaml, and does what Kubernetes would with the fields that it reads: the command of the
container, for each index; names of the headless service; podFailurePolicy. Paths of volumes and the program `pannsdist`
are replaced by those of this machine. It is not Kubernetes: no image, no limits, no probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import launching
import network
import yaml

FOLDER = launching.PROJECT / "launch" / "kubernetes"
FAIL, IGNORE, COUNT = "FailJob", "Ignore", "Count"


def documents(name: str) -> dict[str, dict[str, Any]]:
    """The objects of a file by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))}


@dataclass(frozen=True)
class IndexedJob:
    """The job of a file: its specification, and the name of the pod of index N below the headless service."""

    spec: dict[str, Any]
    prefix: str
    subdomain: str

    @classmethod
    def read(cls, name: str) -> IndexedJob:
        found = documents(name)
        if "Job" in found:
            job, service = found["Job"], found["Service"]
            assert service["spec"]["clusterIP"] == "None"
            assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
            assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
            return cls(job["spec"], job["metadata"]["name"], service["metadata"]["name"])
        jobset = found["JobSet"]
        (replicated,) = jobset["spec"]["replicatedJobs"]
        assert replicated["replicas"] == 1
        prefix = f"{jobset['metadata']['name']}-{replicated['name']}-0"
        return cls(replicated["template"]["spec"], prefix, jobset["spec"]["network"]["subdomain"])

    @property
    def pod(self) -> dict[str, Any]:
        """The specification of each pod."""
        return self.spec["template"]["spec"]

    @property
    def command(self) -> list[str]:
        """The command of the training container."""
        (container,) = self.pod["containers"]
        return container["command"]

    def name(self, index: int) -> str:
        """The name of a pod, as the others know it."""
        return f"{self.prefix}-{index}.{self.subdomain}"

    def option(self, name: str) -> str:
        return self.command[self.command.index(name) + 1]

    def action(self, code: int) -> str:
        """What an exit code of the container leads to."""
        for rule in self.spec["podFailurePolicy"]["rules"]:
            if (codes := rule.get("onExitCodes")) and code in codes["values"]:
                assert codes["operator"] == "In"
                assert codes["containerName"] == self.pod["containers"][0]["name"]
                return rule["action"]
        return COUNT

    def start(
        self, hosts: list[network.Host], work: Path, settings: Path, env: Mapping[str, str]
    ) -> list[network.Command]:
        """Start every pod, each on a machine of its own, with `settings` as the file of the volume."""
        started = []
        for index, host in enumerate(hosts[: self.spec["completions"]]):
            words = [word.replace("/settings/settings.yaml", str(settings)) for word in self.command]
            assert words[0] == "pannsdist"
            started.append(host.start(*words[1:], cwd=work, env={**env, "JOB_COMPLETION_INDEX": str(index)}))
        return started
