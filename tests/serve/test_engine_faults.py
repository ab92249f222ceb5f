"""An engine that raises, answers with NaN, hangs or dies: its text fails, all others are answered."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serving import FAULTY, post, serving

from exported import exported

FINE = "the cat saw a dog"


@pytest.mark.parametrize("word", ["dull", "broken", "horse", "owl"])
def test_a_poison_text_fails_alone(faulty, word):
    with httpx.Client(base_url=faulty.url, timeout=60) as client, ThreadPoolExecutor(12) as threads:

        def ask(number):
            text = f"the {word}" if number == 5 else f"{FINE} {'very ' * (number % 4)}"
            return client.post("/predict", json={"inputs": text})

        answers = list(threads.map(ask, range(12)))
    assert [answer.status_code for answer in answers] == [424 if number == 5 else 200 for number in range(12)]
    assert answers[5].json()["error_type"] == "Backend" and word not in answers[5].text
    expected = post(faulty, "/predict", {"inputs": FINE + " "}).json()
    assert answers[0].json()[0]["score"] == pytest.approx(expected[0]["score"], abs=1e-4)
    wait_until_ready(faulty)
    assert httpx.get(faulty.url + "/health").status_code == 200


def restarts(running):
    """Workers that were replaced."""
    lines = httpx.get(running.url + "/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("pocketbert_worker_restarts_total"))


def wait_until_ready(running):
    end = time.monotonic() + 20
    while httpx.get(running.url + "/ready").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_is_gone_is_not_ready_and_comes_back(faulty):
    before = restarts(faulty)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(post, faulty, "/predict", {"inputs": "an owl"})
        seen = set()
        while not asked.done():
            seen.add(httpx.get(faulty.url + "/ready").status_code)
            assert httpx.get(faulty.url + "/live").status_code == 200
    assert asked.result().status_code == 424 and 503 in seen
    wait_until_ready(faulty)
    assert restarts(faulty) == before + 2  # once, and once more to be sure whose fault it is


def test_health_is_tried_where_the_last_batch_failed():
    with serving({"model": exported("classification")}, FAULTY) as running:
        assert post(running, "/predict", {"inputs": "dull"}).status_code == 424
        assert httpx.get(running.url + "/health").status_code == 200


def test_a_client_that_leaves_is_not_computed():
    with serving(
        {"model": exported("classification")}, FAULTY, batch_timeout=1.5, streams=1, deadline=60_000
    ) as running:
        with ThreadPoolExecutor(1) as threads, httpx.Client(base_url=running.url) as client:
            hanging = threads.submit(post, running, "/predict", {"inputs": "the horse"})  # holds the only stream
            time.sleep(0.3)
            for _ in range(8):
                with pytest.raises(httpx.ReadTimeout):
                    client.post("/predict", json={"inputs": "owl"}, timeout=0.05)
            assert hanging.result().status_code == 424
        wait_until_ready(running)
        assert post(running, "/predict", {"inputs": FINE}).status_code == 200
        assert restarts(running) == 2  # of the text that hangs; none of those that would have killed it
        assert [line["status"] for line in running.lines() if line["event"] == "request"].count(499) == 8


def test_the_log_holds_no_text(faulty):
    post(faulty, "/predict", {"inputs": "dull secret"})
    post(faulty, "/predict", {"secret": "secret"})
    assert "secret" not in faulty.log.read_text()
