"""A SLURM of one node on this machine, with its own folder, key and ports: munged, slurmctld, slurmd, no systemd.

    python -m tests.slurm FOLDER        # until it is told to stop; prints what to export for sbatch and squeue

It takes root and Debian's slurm-wlm and munge. Jobs of the partition `low`, which is the default, are preempted by
those of `high`: told by SIGTERM, killed GRACE seconds later, and put back into the queue.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
GRACE = 30  # SLURM's default
CPUS = 2
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=2
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait={grace}
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4096 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF
"""


def lacking() -> str | None:
    """Why no SLURM can be started here; None if one can."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd and slurmctld of a test are started by root"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, a SLURM runs; what its commands need in the environment.

    Raises:
        AssertionError: it does not come up within a minute; with the end of its logs.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, ports=_free_ports(2), grace=GRACE, cpus=CPUS))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # nothing uses it; 22.05 cannot do without one
    environment = {"SLURM_CONF": str(conf), "PATH": PATH}
    commands = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}",
         f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"],
        ["slurmctld", "-D", "-c", "-f", str(conf)],
        ["slurmd", "-D", "-c", "-f", str(conf)],
    )  # fmt: skip
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as output:
                daemons.append(
                    subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
                )
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists(), folder)
        _until(lambda: "idle" in _ask(environment, "sinfo", "--noheader", "--format=%T"), folder)
        yield environment
    finally:
        _ask(environment, "scancel", "--full", "--signal=KILL", f"--user={os.geteuid()}")
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _ask(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def _until(ready: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            logs = "\n".join(f"{file}: {file.read_text(errors='replace')[-1500:]}" for file in folder.glob("*.out"))
            raise AssertionError(f"SLURM does not come up\n{logs}")
        time.sleep(0.2)


def main(folder: Path) -> None:
    """Run one until this process is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with running(folder.absolute()) as environment:
        for name, value in environment.items():
            print(f"export {name}={value}", flush=True)  # noqa: T201
        signal.pause()


if __name__ == "__main__":
    typer.run(main)
