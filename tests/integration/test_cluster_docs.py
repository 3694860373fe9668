"""How configs/README.md says a cluster is started: run as it stands there, on loopback; Kubernetes by its manifest."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import yaml

from tests import ROOT
from tests.support.dask_processes import free_port, with_children_ended

README = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## On a cluster\n")[2].partition("\n## ")[0]
MANIFEST = ROOT / "configs" / "kubernetes" / "cluster.yaml"
HOSTED = ("--port", "--nworkers")  # what follows --host in the lines of the scheduler and of the workers
NOWHERE = "http://127.0.0.1:9"
SBATCH = """#!/bin/sh
cp "$1" {folder}/job-$$.sh
setsid bash {folder}/job-$$.sh > {folder}/job-$$.log 2>&1 &
echo "Submitted batch job $!"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTION, flags=re.M | re.S)


def script_with(word: str, replaced: dict[str, str]) -> str:
    """The block of Python that has a word in it, with each text replaced: it stands there exactly once."""
    (script,) = (block for block in blocks("python") if word in block)
    for old, new in replaced.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return script


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What all processes here share: a cache of their own, and no network."""
    home = tmp_path_factory.mktemp("home")
    own = {name: str(home) for name in ("IMGCLUSTER_CACHE", "TORCH_HOME", "HF_HOME")}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **own, "IMGCLUSTER_WEIGHTS_MIRROR": NOWHERE, "PYTHONPATH": str(ROOT), "PATH": programs}


def clone(folder: Path) -> Path:
    """The parts of the repository that the commands use."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "data").mkdir()
    (folder / "data" / "stage").symlink_to(ROOT / "data" / "stage")
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> bytes:
    """The clusters that one machine finds."""
    folder = clone(tmp_path_factory.mktemp("local"))
    command = [sys.executable, "-m", "imgcluster", "run", "configs/cluster.yaml", "--set", "engine=local"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return (folder / "outputs" / "cluster" / "clusters.csv").read_bytes()


def check(folder: Path, done: subprocess.CompletedProcess[str], expected: bytes, workers: int) -> None:
    assert done.returncode == 0, done.stderr
    assert re.search(rf"\b{workers} workers?\b", done.stderr)  # a run begins with the first that is there
    assert (folder / "outputs" / "cluster" / "clusters.csv").read_bytes() == expected


# ---- several terminals


@contextmanager
def running(line: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A terminal in which a command goes on, and its children with it."""
    with (folder / f"{line.split()[1]}.log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(line), cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with_children_ended(process)


def in_terminals(folder: Path, environment: dict[str, str], replaced: dict[str, str]) -> Any:
    """Run the three lines, with other text in the place of some."""
    text = blocks("sh")[0]
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    scheduler, worker, run = text.splitlines()
    with running(scheduler, folder, environment), running(worker, folder, environment):
        return subprocess.run(
            shlex.split(run), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
        )


def ports() -> dict[str, str]:
    return {"8786": str(free_port()), "8787": str(free_port())}


@pytest.mark.slow
def test_several_terminals(tmp_path: Path, environment: dict[str, str], expected: bytes) -> None:
    check(clone(tmp_path), in_terminals(tmp_path, environment, ports()), expected, workers=2)


@pytest.mark.slow
def test_by_tls(tmp_path: Path, environment: dict[str, str], expected: bytes) -> None:
    """The flags and the environment that the README names; who has another certificate is not let in."""
    for folder in (clone(tmp_path), tmp_path / "strange"):
        write_certificate(folder)
    (flags,) = re.findall(r"`(--protocol tls .*?)`", SECTION, flags=re.S)
    with_flags = {f"--host 127.0.0.1 {flag}": f"--host 127.0.0.1 {' '.join(flags.split())} {flag}" for flag in HOSTED}
    replaced = {"tcp://": "tls://", **with_flags, **ports()}
    known = dict(re.findall(r"^export (\w+)=(.*)$", blocks("sh")[1], flags=re.M))
    assert len(known) == 3
    stranger = {**environment, **{name: f"strange/{file}" for name, file in known.items()}}
    refused = in_terminals(tmp_path, stranger, {**replaced, '"}}': '", patience: 5}}'})
    assert refused.returncode == 1
    assert "no Dask scheduler answers at tls://127.0.0.1:" in refused.stderr
    check(tmp_path, in_terminals(tmp_path, {**environment, **known}, replaced), expected, workers=2)


def write_certificate(folder: Path) -> None:
    """One that has signed itself, which serves as the authority too."""
    from distributed.security import Security

    folder.mkdir(exist_ok=True)
    own = Security.temporary()
    (folder / "ca.pem").write_text(own.tls_ca_file)
    (folder / "cert.pem").write_text(own.tls_client_cert)
    (folder / "key.pem").write_text(own.tls_client_key)


# ---- SSH


@pytest.mark.slow
def test_by_ssh(tmp_path: Path, environment: dict[str, str], expected: bytes) -> None:
    """The script over real connections, to an SSH server of this test that does what a machine's would."""
    with ssh_server(clone(tmp_path), environment) as (port, commands):
        options = {"username": "me", "port": port, "client_keys": [str(tmp_path / "key")], "known_hosts": None}
        addresses = '"10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3"'
        replaced = {
            addresses: '"127.0.0.1", "127.0.0.1", "127.0.0.1"',
            '{"username": "me"}': repr(options),
            '{"interface": "eth0", "d': '{"interface": "lo", "d',
            '{"interface": "eth0", "n': '{"interface": "lo", "n',
            "127.0.0.1:8787": "127.0.0.1:0",
            "/shared/imgcluster/bin/python": sys.executable,
        }
        (tmp_path / "ssh.py").write_text(script_with("SSHCluster", replaced))
        done = python(tmp_path / "ssh.py", environment)
    check(tmp_path, done, expected, workers=2)
    scheduler, *workers = [command for command in commands if "dask_spec" in command]
    assert '"cls": "distributed.Scheduler"' in scheduler
    assert len(workers) == 2
    for worker in workers:
        assert '"opts": {"interface": "lo", "nthreads": 4, "memory_limit": "8GiB"}' in worker


def python(script: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, script.name]
    return subprocess.run(
        command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


@contextmanager
def ssh_server(folder: Path, environment: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Run what comes over SSH in a shell, as whoever runs the test; yields the port, and the commands as they come."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(folder / "key")
    key.write_public_key(folder / "key.pub")
    commands: list[str] = []

    async def shell(process: Any) -> None:
        commands.append(process.command)
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        here = await asyncio.create_subprocess_shell(
            process.command, cwd=folder, env=environment, start_new_session=True, **pipes
        )
        await process.redirect(here.stdin, here.stdout, here.stderr)
        ended = asyncio.ensure_future(here.wait())
        await asyncio.wait({ended, asyncio.ensure_future(process.wait_closed())}, return_when="FIRST_COMPLETED")
        with suppress(ProcessLookupError):
            os.killpg(here.pid, signal.SIGKILL)
        process.exit(await ended)

    async def listen() -> Any:
        users = str(folder / "key.pub")
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], authorized_client_keys=users, process_factory=shell
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(60)
    try:
        yield server.get_port(), commands
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


# ---- SLURM


@pytest.mark.slow
def test_by_slurm(tmp_path: Path, environment: dict[str, str], expected: bytes) -> None:
    """The script, with jobs that begin at once: the `sbatch` of this test has no queue."""
    (clone(tmp_path) / "bin").mkdir()
    write_program(tmp_path / "bin" / "sbatch", SBATCH.format(folder=shlex.quote(str(tmp_path))))
    write_program(tmp_path / "bin" / "scancel", '#!/bin/sh\nfor job in "$@"; do kill -KILL -- "-$job"; done\n')
    replaced = {
        '"eth0"': '"lo"',
        "127.0.0.1:8787": "127.0.0.1:0",
        "/shared/imgcluster/bin/python": sys.executable,
        "jobs=20": "jobs=1",
    }
    (tmp_path / "slurm.py").write_text(script_with("SLURMCluster", replaced))
    done = python(tmp_path / "slurm.py", {**environment, "PATH": f"{tmp_path / 'bin'}:{environment['PATH']}"})
    check(tmp_path, done, expected, workers=1)
    (job,) = tmp_path.glob("job-*.sh")
    lines = job.read_text().splitlines()
    assert [line for line in lines if line.startswith("#SBATCH")] == [
        "#SBATCH -J dask-worker",
        "#SBATCH -p cpu",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=16G",
        "#SBATCH -t 04:00:00",
    ]
    assert "export TORCH_HOME=/shared/cache/torch" in lines
    assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://127.0.0.1:")
    assert "--nthreads 8 --memory-limit 16.00GiB --nanny" in lines[-1]


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


# ---- Kubernetes


def test_kubernetes_manifest_has_what_the_operator_asks_for() -> None:
    """Required by the CRD of dask-kubernetes 2026.3.0 (deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml).

    Beyond that, what its controller does with a worker: DASK_WORKER_NAME and the scheduler's address are set by it.
    """
    manifest = yaml.safe_load(MANIFEST.read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    scheduler, worker = manifest["spec"]["scheduler"], manifest["spec"]["worker"]
    assert set(scheduler) == {"spec", "service"}
    assert set(worker) == {"spec", "replicas"}
    named = {port["name"]: port["containerPort"] for port in scheduler["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"]: port["port"] for port in scheduler["service"]["ports"]} == named
    assert named == {"tcp-comm": 8786, "http-dashboard": 8787}
    cluster = manifest["metadata"]["name"]
    assert scheduler["service"]["selector"]["dask.org/cluster-name"] == cluster
    assert f"service/{cluster}-scheduler 8786:8786" in SECTION
    assert f"daskworkergroup {cluster}-default" in " ".join(SECTION.split())


def test_kubernetes_worker_takes_the_cores_that_it_asks_for(tmp_path: Path) -> None:
    from distributed.cli.dask_worker import main

    (container,) = yaml.safe_load(MANIFEST.read_text())["spec"]["worker"]["spec"]["containers"]
    program, command, *flags = container["args"]
    assert (program, command) == ("dask", "worker")
    given = main.make_context("worker", list(flags)).params  # as the program itself reads them
    resources = container["resources"]
    assert str(given["nthreads"]) == resources["requests"]["cpu"] == resources["limits"]["cpu"]
    assert given["memory_limit"].removesuffix("B") == resources["requests"]["memory"] == resources["limits"]["memory"]
    assert given["name"] == "$(DASK_WORKER_NAME)"


def test_kubernetes_manifest_has_no_secret() -> None:
    manifest = yaml.safe_load(MANIFEST.read_text())
    for role in ("worker", "scheduler"):
        (container,) = manifest["spec"][role]["spec"]["containers"]
        assert [variable["name"] for variable in container["env"]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        for variable in container["env"]:
            assert set(variable) == {"name", "valueFrom"}
            assert variable["valueFrom"]["secretKeyRef"] == {"name": "bucket", "key": variable["name"]}


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / "configs" / target).exists(), target
