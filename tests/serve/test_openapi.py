"""The server answers as its own description says, to whatever a generator makes of that."""

from collections import Counter

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS

NOT_ASKED = {
    "positive_data_acceptance",  # what a description cannot say: that a text needs a gap, or a name be that of a model
    "unsupported_method",  # HEAD and OPTIONS are answered below the routes
}


def test_no_answer_contradicts_the_description(server):
    schema = schemathesis.openapi.from_url(server.url + "/openapi.json")
    checks = [check for check in CHECKS.get_all() if check.__name__ not in NOT_ASKED]
    statuses = Counter[int]()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE:

            @settings(
                max_examples=25,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                statuses[case.call_and_validate(checks=checks, timeout=20).status_code] += 1

            if mode is schemathesis.GenerationMode.POSITIVE or operation.body or operation.query:
                ask()
    # Both what is right and what is wrong was generated.
    assert statuses[200] > 100 and statuses[422] > 100, statuses


def test_every_route_tells_how_it_refuses(server):
    paths = httpx.get(server.url + "/openapi.json").json()["paths"]
    posts = {path for path, methods in paths.items() if "post" in methods}
    assert posts == {
        *("/", "/predict", "/rerank", "/embed", "/similarity", "/v1/embeddings"),
        *("/tokens", "/answer", "/zero-shot", "/fill-mask", "/tokenize"),
    }
    refusals = {"401", "404", "408", "413", "415", "422", "424", "429", "503"}
    assert all(refusals <= paths[path]["post"]["responses"].keys() for path in posts)
