"""The image from a folder of wheels, as for a host that may not ask a package index."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.container.stack import ROOT, Docker

PYTHON = "3.13"
"""Debian trixie's."""
LINUX = tuple(f"{kind}_x86_64" for kind in ("manylinux2014", "manylinux_2_17", "manylinux_2_28"))
SOURCES = ("appliance", "hooks", "images")
FILES = ("Makefile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml")
REQUIREMENTS = ("requirements.txt", "requirements-build.txt")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout with the wheels in their folder."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*FILES, *REQUIREMENTS):
        shutil.copy(ROOT / name, tmp_path)
    platforms = [argument for name in LINUX for argument in ("--platform", name)]
    required = [argument for name in REQUIREMENTS for argument in ("--requirement", name)]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary=:all:"]
    argv += ["--python-version", PYTHON, *platforms, "--dest", "images/wheels", *required]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=120)
    return tmp_path


@pytest.mark.timeout(300, func_only=True)
def test_the_image_is_built_from_a_folder_of_wheels_alone(docker: Docker, image: str, checkout: Path) -> None:
    """And is the one that is built online: every part in the same version."""

    def make() -> subprocess.CompletedProcess[str]:
        argv = ["make", "--silent", "image", "IMAGE=gateway-appliance:wheels", "PIP_NO_INDEX=1"]
        return subprocess.run(
            argv, cwd=checkout, env=docker.environment, capture_output=True, text=True, check=False, timeout=240
        )

    made = make()
    assert made.returncode == 0, made.stdout + made.stderr
    parts = ("run", "--rm", "--entrypoint", "cat")
    of_wheels, online = (
        docker(*parts, name, "/usr/share/gateway/sbom.json").output for name in ("gateway-appliance:wheels", image)
    )
    assert of_wheels == online
    next((checkout / "images/wheels").glob("supervisor-*.whl")).unlink()
    lacking = make()
    assert lacking.returncode != 0
    assert "No matching distribution found for supervisor" in lacking.stderr
