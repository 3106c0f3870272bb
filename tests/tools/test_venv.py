"""tools/venv.sh on Pythons that are none: scripts that say which they are. No network, no real environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "venv.sh"
FAKE = """#!/bin/sh
# {version}, lacking the modules: {lacks}
case "$1" in
-c)
    echo "{version}"
    for lacking in {lacks}; do
        case "$2" in *"$lacking"*) exit 1 ;; esac
    done ;;
-m)
    mkdir -p "$3/bin" && : > "$3/pyvenv.cfg" || exit 1
    sed 's/ensurepip/nothing/' "$0" > "$3/bin/python" && chmod +x "$3/bin/python"
    echo "made by $0" > "$3/made" ;;
esac
"""


class Machine:
    """A machine that has the system's tools and some Pythons."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "programs"
        self.programs.mkdir()
        for tool in ("cat", "chmod", "env", "grep", "ls", "mkdir", "rm", "sed", "sh", "touch", "tr"):
            place = next(Path(path) / tool for path in ("/usr/bin", "/bin") if (Path(path) / tool).exists())
            (self.programs / tool).symlink_to(place)
        self.environment = folder / ".venv"

    def add(self, name: str, version: str, lacks: str = "") -> Path:
        """A Python; `lacks`: modules it cannot import, as words of a shell."""
        return self.write(self.programs / name, FAKE.format(version=version, lacks=lacks))

    def write(self, file: Path, text: str) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.environment / 'bin'}{os.pathsep}{self.programs}"  # as the Makefile has it
        command = ["/bin/sh", str(SCRIPT), *arguments]
        return subprocess.run(
            command, cwd=self.folder, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=120
        )

    def made_by(self) -> str:
        return Path((self.environment / "made").read_text().split()[-1]).name


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_python_that_fits_makes_the_environment(machine: Machine) -> None:
    machine.add("python3.13", "3 13", "ensurepip")  # Debian's without python3.13-venv
    machine.write(machine.programs / "python3.12", "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    machine.add("python3.11", "3 11")
    machine.add("python3", "3 10")
    done = machine.run(".venv")
    assert done.returncode == 0, done.stderr
    assert machine.made_by() == "python3.11"
    assert machine.run("--sound", ".venv").returncode == 0


def test_where_none_fits_it_says_so_with_each_and_makes_nothing(machine: Machine) -> None:
    machine.add("python3.13", "3 13", "ensurepip")
    machine.write(machine.programs / "python3.11", "#!/bin/sh\nexit 127\n")
    machine.add("python3", "3 10")
    done = machine.run(".venv")
    assert done.returncode == 1
    for said in (
        "Python 3.11 or newer, with venv, is needed",
        "python3.13 has no venv (Debian: apt-get install python3.13-venv)",
        "python3.12 is not there",
        "python3.11 does not start",
        "python3 is 3.10",
        "make PYTHON=",
    ):
        assert said in done.stderr
    assert not machine.environment.exists()


def test_a_sound_environment_stays(machine: Machine) -> None:
    machine.add("python3.12", "3 12")
    assert machine.run(".venv").returncode == 0
    (machine.environment / "installed").touch()
    machine.add("python3.13", "3 13")
    assert machine.run(".venv").returncode == 0
    assert (machine.environment / "installed").exists()


@pytest.mark.parametrize("fault", ["old", "gone", "no pip", "half", "empty", "link"])
def test_an_environment_of_no_use_is_made_anew(machine: Machine, fault: str) -> None:
    machine.add("python3.10", "3 10")
    machine.add("python3.12", "3 12")
    folder = machine.environment
    if fault == "old":
        command = [machine.programs / "python3.10", "-m", "venv", folder]
        subprocess.run(command, env={"PATH": str(machine.programs)}, check=True)
        (folder / "bin" / "python3").symlink_to("python")  # stands before the others in the Makefile's PATH
        (folder / "bin" / "python3.11").symlink_to("python")
    elif fault == "gone":
        (folder / "bin").mkdir(parents=True)
        (folder / "pyvenv.cfg").touch()
        (folder / "bin" / "python").symlink_to(machine.folder / "uninstalled" / "python3.11")
    elif fault == "no pip":
        machine.write(folder / "bin" / "python", FAKE.format(version="3 12", lacks="pip"))
        (folder / "pyvenv.cfg").touch()
    elif fault == "half":
        folder.mkdir()
        (folder / "pyvenv.cfg").touch()
    elif fault == "empty":
        folder.mkdir()
    else:
        folder.symlink_to(machine.folder / "moved away")
    (folder / "stale").touch() if fault in ("old", "gone", "no pip", "half") else None
    assert machine.run("--sound", ".venv").returncode != 0
    done = machine.run(".venv")
    assert done.returncode == 0, done.stderr
    assert "it is made anew" in done.stdout
    assert machine.made_by() == "python3.12"
    assert not (folder / "stale").exists()


def test_a_python_that_is_named_is_the_one(machine: Machine) -> None:
    machine.add("python3.13", "3 13")
    named = machine.add("mine", "3 12")
    assert machine.run(".venv").returncode == 0
    assert machine.run("--sound", ".venv", str(named)).returncode != 0
    assert machine.run(".venv", str(named)).returncode == 0
    assert machine.made_by() == "mine"
    machine.add("old", "3 9")
    done = machine.run(".venv", "old")
    assert done.returncode == 1
    assert "old is 3.9" in done.stderr
    assert machine.made_by() == "mine"  # what was of use is there still


def test_what_is_no_environment_is_not_deleted(machine: Machine) -> None:
    machine.add("python3.12", "3 12")
    (machine.folder / "thesis").mkdir()
    (machine.folder / "thesis" / "chapter1.tex").touch()
    done = machine.run("thesis")
    assert done.returncode == 1
    assert "is no environment that venv made; move it away" in done.stderr
    assert (machine.folder / "thesis" / "chapter1.tex").exists()


def test_the_makefile_asks_the_script() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "sh tools/venv.sh $(VENV) $(PYTHON)" in text
    assert "$(shell sh tools/venv.sh --sound $(VENV) $(PYTHON) || echo broken)" in text
