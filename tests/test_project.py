"""What stands beside the package agrees with it: versions, licences, issue forms, the workflow, deployments."""

from __future__ import annotations

import fnmatch
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
import yaml

import emobridge

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "emobridge"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "RELEASING.md",
    "SECURITY.md",
    "docs/deploy.md",
    "docs/hub.md",
)
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    newest = re.search(r"^## \[([\d.]+)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest[1] == citation["version"] == emobridge.__version__
    assert f"emobridge:{emobridge.__version__}" in text_of("deploy/kubernetes.yaml")


def test_one_licence():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert " AND ".join(citation["license"]) == PROJECT["project"]["license"]
    assert PROJECT["project"]["license"] in text_of("Containerfile")
    assert all((ROOT / file).is_file() for file in PROJECT["project"]["license-files"])


def test_the_changelog_is_one_screen():
    assert len(text_of("CHANGELOG.md").splitlines()) <= 60


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page)):
        assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).exists(), target


def test_the_workflow_runs_every_python_of_the_classifiers():
    versions = [name.rpartition(" ")[2] for name in PROJECT["project"]["classifiers"] if ":: 3." in name]
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_the_workflow_may_only_read_and_ends():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"].values():
        assert "permissions" not in job and job["timeout-minutes"] <= 90


def test_paths_and_targets_in_the_workflow_exist():
    script = "\n".join(str(step.get("run", "")) for job in WORKFLOW["jobs"].values() for step in job["steps"])
    for path in re.findall(r"\btests/[\w/.]+", script):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\bmake (\w+)", script):
        assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_ask_and_name_each_answer_once(form):
    body = yaml.safe_load(form.read_text(encoding="utf-8"))["body"]
    names = [field["id"] for field in body if field["type"] != "markdown"]
    assert len(names) == len(set(names)) >= 2
    assert any(field.get("validations", {}).get("required") for field in body)


def test_every_file_of_the_package_goes_into_the_wheel():
    packed = PROJECT["tool"]["setuptools"]["package-data"]["emobridge"]
    left_out = PROJECT["tool"]["setuptools"]["exclude-package-data"]["emobridge"]
    files = (path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.is_file())
    others = [name for name in files if not name.endswith((".py", ".pyc", "README.md"))]
    assert "py.typed" in others
    missing = [name for name in others if not any(fnmatch.fnmatch(name, rule) for rule in (*packed, *left_out))]
    assert not missing, missing


def served_options():
    command = typer.main.get_command(__import__("emobridge.cli.main", fromlist=["app"]).app).commands["serve"]
    return {option for parameter in command.params for option in parameter.opts}


def test_what_is_deployed_has_the_options_of_serve():
    unit = re.search(r"^ExecStart=(.*?[^\\])$", text_of("deploy/emobridge.service"), re.MULTILINE | re.DOTALL)[1]
    deployment = next(
        part for part in yaml.safe_load_all(text_of("deploy/kubernetes.yaml")) if part["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    image = re.search(r"^CMD (\[.*\])$", text_of("Containerfile"), re.MULTILINE)[1]
    documented = re.findall(r"^\s+emobridge serve [^`\n]*", text_of("docs/deploy.md"), re.MULTILINE)
    commands = [shlex.split(unit.replace("\\\n", " ")), container["args"], yaml.safe_load(image)]
    commands += [shlex.split(line) for line in documented]
    assert len(commands) > 3
    for words in commands:
        assert "serve" in words
        assert {word for word in words if word.startswith("--")} <= served_options(), words


def test_containers_have_no_rights_that_they_do_not_need():
    lines = text_of("Containerfile").splitlines()
    images = [line for line in lines if line.startswith("FROM ")]
    assert len(images) == 2 and ":latest" not in text_of("Containerfile")
    assert lines.index("USER 10001:10001") > lines.index(images[-1])
    deployment = next(
        part for part in yaml.safe_load_all(text_of("deploy/kubernetes.yaml")) if part["kind"] == "Deployment"
    )
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 10001 and pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
