"""The container file and the Kubernetes example name flags, paths, ports and metrics that there are."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import httpx
import yaml

from pocketbert.serve.settings import KEYS, Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DOCUMENTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
KINDS = {document["kind"]: document for document in DOCUMENTS}
POD = KINDS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def flags_of(arguments):
    """Names of settings and their values, of a command line."""
    return {flag[2:].replace("-", "_"): value for flag, value in pairwise(arguments) if flag[:2] == "--"}


def test_flags_are_settings():
    entry = shlex.split(re.search(r"ENTRYPOINT \[(.*)\]", DOCKERFILE)[1].replace(",", " "))
    assert entry[:2] == ["pocketbert", "serve"]
    container, cluster = flags_of(entry), flags_of(CONTAINER["args"])
    Settings.model_validate({name: yaml.safe_load(value) for name, value in {**container, **cluster}.items()})
    assert container == {"host": "0.0.0.0", "port": "8080"}
    assert [variable["name"] for variable in CONTAINER["env"]] == [KEYS]
    assert POD["terminationGracePeriodSeconds"] > 30 + float(cluster["drain_seconds"])


def test_probes_ask_what_needs_no_key(server):
    probes = {name: CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/live",
        "liveness": "/live",
        "readiness": "/ready",
    }
    checked = re.search(r"http://127.0.0.1:8080(/\w+)", DOCKERFILE)[1]
    for path in {*(probe["path"] for probe in probes.values()), checked}:
        assert httpx.get(server.url + path).status_code == 200


def test_ports_agree():
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == 8080 and f"EXPOSE {port['containerPort']}" in DOCKERFILE
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert KINDS["Service"]["spec"]["selector"] == KINDS["Deployment"]["spec"]["template"]["metadata"]["labels"]


def test_it_grows_by_a_metric_that_there_is(server):
    (metric,) = KINDS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"\n{name}{{" in httpx.get(server.url + "/metrics").text
    (rule,) = yaml.safe_load(KINDS["ConfigMap"]["data"]["config.yaml"])["rules"]
    assert rule["name"]["as"] == name and rule["seriesQuery"].startswith(name)


def test_nobody_is_root_and_nothing_is_written():
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE) and POD["securityContext"]["runAsUser"] == 10001
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"]
    (installed,) = re.findall(r"pip install (.*)", DOCKERFILE)
    assert not {"torch", "transformers", "train"} & set(re.findall(r"\w+", installed))


def test_the_page_about_serving_names_what_there_is(server):
    text = (DEPLOY.parent / "docs" / "serve.md").read_text(encoding="utf-8")
    flags = {flag.replace("-", "_") for flag in re.findall(r"`--([a-z-]+)", text)}
    assert flags <= Settings.model_fields.keys()
    metrics = re.findall(r"^# TYPE (pocketbert_\w+)", httpx.get(server.url + "/metrics").text, re.MULTILINE)
    assert set(re.findall(r"`(pocketbert_\w+)`", text)) == {name for name in metrics if not name.endswith("_created")}
    paths = httpx.get(server.url + "/openapi.json").json()["paths"]
    routes = text.partition("## What a status")[0]
    assert set(re.findall(r"`(?:GET |POST )?(/[a-z0-9/-]*)`", routes)) >= paths.keys()
    statuses = set(re.findall(r"^\| (\d{3}) \|", text, re.MULTILINE))
    assert statuses == {"405", *paths["/predict"]["post"]["responses"]} - {"200"}
