"""What Prometheus reads: each thing counted once, whichever gateway did it, in a bounded number of series."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import event

from service import metrics
from service.app import create_app
from service.http.access import UNMATCHED
from service.metrics import OTHER, Metrics
from service.settings import Settings
from service.store import jobs, keys
from service.store.database import Database
from service.store.models import Job
from tests.service.calls import code, generate, settled, train, wait_until
from tests.service.conftest import Valkey, serving
from tests.service.hand import Hand, gateway_of

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


def series(client: TestClient) -> dict[str, float]:
    """`name{label="value",…}` to its value, labels by name."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.mark.both_databases
def test_the_life_of_jobs(client: TestClient, hand: Hand) -> None:
    done, failed, canceled, waiting = (generate(client, erase=["church"])["id"] for _ in range(4))
    now = series(client)
    assert now['clearway_jobs_accepted_total{kind="generate"}'] == 4
    assert now['clearway_jobs{kind="generate",status="queued"}'] == 4
    assert now['clearway_jobs{kind="train",status="queued"}'] == 0
    assert now['clearway_oldest_queued_seconds{kind="generate"}'] > 0
    assert now['clearway_oldest_queued_seconds{kind="train"}'] == 0
    assert not any("ended" in name for name in now)
    wait_until(lambda: series(client)["clearway_sweeps_total{}"] > now["clearway_sweeps_total{}"])

    hand.finish(hand.take_generation(), stage_seconds={"encode": 0.2, "denoise": 40.0})
    hand.fail("generate", hand.take_generation(), "out_of_memory")
    for generation_id in (done, failed):
        wait_until(lambda id_=generation_id: settled(client, id_))
    assert client.post(f"/generations/{canceled}/cancel").is_success
    assert client.post(f"/generations/{canceled}/cancel").is_success  # again: it ended once
    train(client)
    hand.finish_training(hand.take_training())
    wait_until(lambda: client.get("/erasers/golf ball/1").json()["status"] == "candidate")

    now = series(client)
    assert {name: value for name, value in now.items() if name.startswith("clearway_jobs_ended_total")} == {
        'clearway_jobs_ended_total{code="",kind="generate",status="succeeded"}': 1,
        'clearway_jobs_ended_total{code="out_of_memory",kind="generate",status="failed"}': 1,
        'clearway_jobs_ended_total{code="cancelled",kind="generate",status="canceled"}': 1,
        'clearway_jobs_ended_total{code="",kind="train",status="succeeded"}': 1,
    }
    assert now['clearway_jobs{kind="generate",status="queued"}'] == 1
    assert now['clearway_queue_wait_seconds_count{kind="generate"}'] == 2  # not of what was canceled before it began
    assert now['clearway_stage_seconds_sum{kind="generate",stage="denoise"}'] == 40
    assert now['clearway_stage_seconds_bucket{kind="generate",le="30.0",stage="denoise"}'] == 0
    assert now['clearway_stage_seconds_bucket{kind="generate",le="60.0",stage="denoise"}'] == 1
    assert now['clearway_stage_seconds_sum{kind="train",stage="train"}'] == 4
    assert now['clearway_eraser_uses_total{concept="church",version="1"}'] == 1
    assert client.delete(f"/generations/{waiting}").status_code == 204
    now = series(client)
    assert now['clearway_jobs{kind="generate",status="queued"}'] == 0
    assert now['clearway_jobs_ended_total{code="cancelled",kind="generate",status="canceled"}'] == 2


def test_the_wait_in_line_is_measured(client: TestClient, hand: Hand) -> None:
    waited = generate(client)["id"]
    with gateway_of(client).database.write() as session:
        job = jobs.get(session, waited)
        assert job is not None
        job.created_at = job.created_at.replace(year=job.created_at.year - 1)
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, waited))
    now = series(client)
    assert now['clearway_queue_wait_seconds_bucket{kind="generate",le="7200.0"}'] == 0
    assert now['clearway_queue_wait_seconds_count{kind="generate"}'] == 1


@pytest.mark.both_databases
def test_a_scrape_asks_the_same_of_one_job_and_of_many(client: TestClient) -> None:
    database = gateway_of(client).database
    said: list[tuple[int, str]] = []

    def scrape() -> list[str]:
        """The statements of this thread; the gateway has others."""
        said.clear()
        gateway_of(client).metrics.text()
        return [sql for thread, sql in said if thread == threading.get_ident() and sql != "BEGIN"]

    event.listen(database.engine, "before_cursor_execute", lambda _c, _cursor, sql, *_: said.append((threading.get_ident(), sql)))
    first = generate(client)["id"]
    once = scrape()
    assert len(once) == 5
    assert series(client)['clearway_jobs{kind="generate",status="queued"}'] == 1
    with database.write() as session:
        for number in range(499):
            if (key_id := f"k{number % 5}") == f"k{number}":
                keys.insert(session, key_id=key_id, name=key_id, role="user", secret_sha256=f"{number:064}")
            jobs.insert(session, job_id=f"gen_z{number}", kind="generate", model="toy", key_id=key_id, plan={}, labels={})
        session.get_one(Job, first).created_at -= timedelta(days=1)
    assert scrape() == once
    now = series(client)
    assert now['clearway_jobs{kind="generate",status="queued"}'] == 500
    assert now['clearway_oldest_queued_seconds{kind="generate"}'] == pytest.approx(24 * 3600, abs=60)


@pytest.mark.both_databases
def test_the_oldest_is_found_whether_it_waits_or_was_rung_for(client: TestClient) -> None:
    database = gateway_of(client).database
    made = [generate(client)["id"] for _ in range(6)]  # two of them do not fit into the window
    for id_ in made:
        with database.read() as session:
            assert jobs.oldest_queued(session, "generate") == session.get_one(Job, id_).created_at
            assert jobs.oldest_queued(session, "train") is None
        assert client.delete(f"/generations/{id_}").is_success
    with database.read() as session:
        assert jobs.oldest_queued(session, "generate") is None


def test_requests_by_template_not_by_path(client: TestClient) -> None:
    made = [generate(client)["id"] for _ in range(2)]
    for path in (*(f"/generations/{id_}" for id_ in made), "/generations/none", "/v1/models/a/b", "/secret/words", "/%00"):
        client.get(path)
    client.put("/generate", json={})
    client.post("/generate", content=b"x" * 2**20)
    client.request("BREW", "/generate")
    now = series(client)
    assert now['clearway_http_requests_total{method="POST",route="/generate",status="202"}'] == 2
    assert now['clearway_http_requests_total{method="GET",route="/generations/{id}",status="200"}'] == 2
    assert now['clearway_http_requests_total{method="GET",route="/generations/{id}",status="404"}'] == 1
    assert now['clearway_http_requests_total{method="GET",route="/v1/models/{id}",status="404"}'] == 1
    assert now[f'clearway_http_requests_total{{method="GET",route="{UNMATCHED}",status="404"}}'] == 2
    assert now[f'clearway_http_requests_total{{method="POST",route="{UNMATCHED}",status="413"}}'] == 1
    assert sum(value for name, value in now.items() if 'method="other"' in name and "requests_total" in name) == 1
    assert now['clearway_http_request_seconds_count{method="GET",route="/generations/{id}"}'] == 3
    text = client.get("/metrics").text
    assert not any(word in text for word in ("secret", "BREW", *made))


def test_a_defect_is_counted_as_what_the_client_saw(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(gateway_of(client).catalogue), "cards", lambda _: 1 / 0)
    quiet = TestClient(client.app, headers=dict(client.headers), raise_server_exceptions=False)
    assert quiet.get("/models").status_code == 500
    assert series(client)['clearway_http_requests_total{method="GET",route="/models",status="500"}'] == 1


@pytest.mark.both_databases
def test_several_gateways_count_each_end_once(settings: Settings, client: TestClient, hand: Hand) -> None:
    with TestClient(create_app(settings), headers=dict(client.headers)) as second:
        made = [generate(one)["id"] for one in (client, second) * 4]
        for _ in made:
            hand.finish(hand.take_generation())
        for id_ in made:
            wait_until(lambda id_=id_: settled(second, id_))
            second.get(f"/generations/{id_}")
        generate(second)
        both = [series(one) for one in (client, second)]
    for name, total in (
        ('clearway_jobs_accepted_total{kind="generate"}', 9),
        ('clearway_jobs_ended_total{code="",kind="generate",status="succeeded"}', 8),
        ('clearway_queue_wait_seconds_count{kind="generate"}', 8),
    ):
        assert sum(one.get(name, 0) for one in both) == total
    assert {one['clearway_jobs{kind="generate",status="queued"}'] for one in both} == {1}


def test_labels_are_bounded(monkeypatch: pytest.MonkeyPatch, client: TestClient, hand: Hand) -> None:
    monkeypatch.setattr(metrics, "MAX_ERASERS", 2)
    monkeypatch.setattr(metrics, "MAX_STAGES", 1)
    made = generate(client, erase=["church"])["id"]
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, made))
    with gateway_of(client).database.read() as session:
        job = jobs.get(session, made)
    assert job is not None
    small = Metrics()
    for number in range(5):
        use = {"concept": f"concept {number}", "version": number}
        job.result = {"stage_seconds": {f"stage {number}": 1.0, "unmeasured": None}, "erasers": [use, use]}
        small.ended(job)
    text = small.text().decode()
    assert 'clearway_eraser_uses_total{concept="concept 1",version="1"} 2.0' in text
    assert f'clearway_eraser_uses_total{{concept="{OTHER}",version="{OTHER}"}} 6.0' in text
    assert f'clearway_stage_seconds_count{{kind="generate",stage="{OTHER}"}} 4.0' in text
    assert "concept 2" not in text


def test_workers_and_what_is_away(client: TestClient, hand: Hand, valkey: Valkey) -> None:
    hand.be_seen()
    now = series(client)
    assert now['clearway_workers{kind="generate",state="idle"}'] == 1
    assert now['clearway_workers{kind="train",state="busy"}'] == 0
    assert (now["clearway_database_up{}"], now["clearway_redis_up{}"]) == (1, 1)
    valkey.stop()
    try:
        assert series(client)["clearway_redis_up{}"] == 0
    finally:
        valkey.start()


def test_the_token_opens_it_without_a_database_and_opens_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings.model_copy(update={"metrics_token": SecretStr("scrape")})) as client:
        scraper = TestClient(client.app, headers={"authorization": "Bearer scrape"})
        assert series(scraper)["clearway_database_up{}"] == 1
        assert series(client)
        for path in ("/keys", "/models", "/generations"):
            assert code(scraper.get(path)) == "unauthorized"
        monkeypatch.setattr(Database, "read", away)
        assert series(scraper)["clearway_database_up{}"] == 0
        assert code(client.get("/metrics")) == "database_unavailable"


def away(_: Database) -> None:
    from sqlalchemy.exc import OperationalError

    raise OperationalError("select", {}, Exception())


def test_who_may_not_read_them(client: TestClient, user: TestClient) -> None:
    assert code(user.get("/metrics")) == "forbidden"
    for token in (b"", b"ck_nobody", "é".encode()):
        answer = TestClient(client.app).get("/metrics", headers={b"authorization": b"Bearer " + token})
        assert code(answer) == "unauthorized"


def test_every_metric_is_in_the_readme(client: TestClient) -> None:
    text = client.get("/metrics").text + Metrics().text().decode()
    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert len(names) == 17
    assert {name for name in names if f"`{name}`" not in README} == set()
