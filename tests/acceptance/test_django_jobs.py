"""The example of jobs, from its compose file: over HTTP, through the ORM, in a browser, under load and with kills."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

from tests.acceptance.commands import CommandLine
from tests.acceptance.django_jobs import COMPOSE, DOCKERFILE, DUMP, EXAMPLE, PROJECT, Jobs, Load, run_python
from tests.acceptance.tables import check_of, rows
from tests.processes import eventually
from tests.running.files import made_up, read
from tests.running.system import System

SECRETS = made_up(EXAMPLE)
PARTS = ("worker", "web", "rabbitmq", "redis", "db")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    description = read(EXAMPLE / "compose.yaml", SECRETS, tmp_path_factory.mktemp("volumes"))
    with System(description) as system:
        jobs = Jobs(system)
        yield jobs
        jobs.client.close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page()
        browser.close()


# ----------------------------------------------------------------------------------------------------------- over HTTP


def test_numbers_of_any_width_are_computed(jobs: Jobs) -> None:
    power, fibonacci = jobs.create("power", 1000), jobs.create("fibonacci", 20)
    found = jobs.ended(power)
    assert found["status"] == "finished"
    assert found["result"] == 2**1000
    assert found["updated_at"] > found["created_at"]
    assert jobs.ended(fibonacci)["result"] == 6765
    assert jobs.ended(jobs.create("power", 3321))["result"] == 2**3321
    assert jobs.ended(jobs.create("power", 0))["result"] == 1


def test_what_cannot_be_computed_is_refused_naming_the_field(jobs: Jobs) -> None:
    before = jobs.client.get("/jobs/").json()["count"]
    refused = [
        ({"type": "power", "argument": -1}, "argument"),
        ({"type": "fibonacci", "argument": "many"}, "argument"),
        ({"type": "power", "argument": 2**40}, "argument"),
        ({"type": "root", "argument": 1}, "type"),
        ({"type": "power"}, "argument"),
    ]
    for body, field in refused:
        answer = jobs.client.post("/jobs/", json=body)
        assert (answer.status_code, list(answer.json())) == (400, [field]), body
    assert jobs.client.get("/jobs/").json()["count"] == before
    failed = jobs.ended(jobs.create("power", 5000))
    assert (failed["status"], failed["result"]) == ("failed", None), "more digits than a result may have"


def test_jobs_are_created_listed_and_looked_at_and_nothing_else(jobs: Jobs) -> None:
    for _ in range(11):
        jobs.create("power", 1)
    first = jobs.client.get("/jobs/").json()
    assert len(first["results"]) == 10
    assert first["next"].endswith("/jobs/?page=2")
    second = jobs.client.get(first["next"]).json()
    assert second["previous"].endswith("/jobs/")
    assert second["results"][0]["url"] not in [each["url"] for each in first["results"]]
    one = first["results"][0]
    assert set(one) == {"url", "type", "status", "created_at", "updated_at", "argument", "result"}
    assert jobs.client.get(one["url"]).json()["argument"] == one["argument"]
    assert [jobs.client.request(method, one["url"]).status_code for method in ("PUT", "DELETE")] == [405, 405]


# ----------------------------------------------------------------------------------------------------- through the ORM


def test_a_negative_argument_is_a_failed_job_through_the_orm(jobs: Jobs) -> None:
    code = "found = [Job.objects.create(type=kind, argument=-1).pk for kind in ('fibonacci', 'power')]"
    for number in jobs.shell(code):
        found = jobs.ended(f"/jobs/{number}/")
        assert (found["status"], found["result"]) == ("failed", None)
    failures = json.loads(jobs.manage("penstock", "list", "--status", "failure", "--task", "fib", "--json"))["items"]
    assert "n >= 0" in str(failures[0]["result"])


def test_a_job_is_queued_when_its_transaction_is_committed(jobs: Jobs) -> None:
    found = jobs.shell(
        """
import time
with transaction.atomic():
    job = Job.objects.create(type="power", argument=7)
    time.sleep(1)
    job.refresh_from_db()
    found = {"pk": job.pk, "inside": job.status}
before = Job.objects.count()
try:
    with transaction.atomic():
        lost = Job.objects.create(type="power", argument=7)
        found["lost"] = lost.task_id
        raise KeyError
except KeyError:
    found["more"] = Job.objects.count() - before
"""
    )
    assert found["inside"] == "pending"
    assert found["more"] == 0
    assert jobs.ended(f"/jobs/{found['pk']}/")["result"] == 128
    unknown = jobs.system["web"][0].inside(("python", "myproject/manage.py", "penstock", "show", found["lost"]))
    assert unknown.returncode == 1, "what was rolled back was never queued"


def test_a_job_that_is_saved_as_pending_once_more_runs_once_more(jobs: Jobs) -> None:
    url = jobs.create("power", 3)
    number = jobs.ended(url)["url"].rstrip("/").rpartition("/")[2]
    before = jobs.ended(url)["updated_at"]
    jobs.shell(f"job = Job.objects.get(pk={number})\njob.status = 'pending'\njob.argument = 4\njob.save()\nfound = 1")
    eventually(lambda: (now := jobs.ended(url))["updated_at"] > before and now["result"] == 16)


# --------------------------------------------------------------------------------------------------------- in a browser


def test_a_person_schedules_jobs_and_logs_in_with_the_pages(jobs: Jobs, page: Page) -> None:
    jobs.shell(
        "from django.contrib.auth.models import User\n"
        "User.objects.create_user('ada', password='a long secret of hers')\nfound = 1"
    )
    page.goto(jobs.url)
    page.get_by_role("link", name=f"{jobs.url}/jobs/").click()
    form = page.locator("#post-object-form form")
    form.locator("select[name=type]").select_option("power")
    form.locator("input[name=argument]").fill("-2")
    form.get_by_role("button", name="POST").click()
    assert "greater than or equal to 0" in page.locator("#post-object-form").inner_text()
    form.locator("input[name=argument]").fill("100")
    form.get_by_role("button", name="POST").click()
    assert "201 Created" in page.locator(".response-info").inner_text()
    page.locator(".response-info a[href*='/jobs/']").first.click()
    job = re.search(r"/jobs/\d+/$", page.url)
    assert job is not None
    jobs.ended(job[0])
    page.reload()
    assert str(2**100) in page.locator(".response-info").inner_text()

    page.get_by_role("link", name="Log in").click()
    assert "/api-auth/login/" in page.url
    page.locator("input[name=username]").fill("ada")
    page.locator("input[name=password]").fill("a long secret of hers")
    page.locator("input[type=submit], button[type=submit]").first.click()
    page.locator("a.dropdown-toggle", has_text="ada").click()
    assert page.evaluate("getComputedStyle(document.querySelector('.navbar')).position") != "static", "it has its style"
    page.locator("#logoutForm button, a:has-text('Log out')").first.click()
    page.get_by_role("link", name="Log in").wait_for()


# --------------------------------------------------------------------------------------------------------- then and now

Check = Callable[[dict[str, Any], Jobs], object]
SETTINGS_OF = """
import logging
from django.conf import settings
from myproject.celeryconf import app
import myproject.tasks as tasks
names = [name for name in dir(settings) if name.isupper()]
power = tasks.power.options
class PowerTask(app.Task):
    def run(self, n):
        return 2 ** n
found = {
    "names": names,
    "broker": app.settings.broker_url,
    "results": app.settings.result_backend,
    "queues": app.queues,
    "eager": app.settings.eager,
    "expires": app.settings.result_expires,
    "per_child": app.settings.max_tasks_per_child,
    "ignored": [power.ignore_result, app.tasks["PowerTask"].options.ignore_result],
    "tasks": sorted(app.tasks),
    "called": PowerTask()(5),
    "root": len(logging.getLogger().handlers),
    "installed": list(settings.INSTALLED_APPS),
    "page": settings.REST_FRAMEWORK,
    "rate limits": [name for task in app.tasks.values() for name in dir(task.options) if "rate" in name],
    "debug": settings.DEBUG,
    "secret": settings.SECRET_KEY,
    "engine": settings.DATABASES["default"]["ENGINE"],
    "l10n": getattr(settings, "USE_L10N", True),
    "middleware": list(settings.MIDDLEWARE),
    "result": Job._meta.get_field("result").max_digits,
}
"""

#: how many connections a process has after submissions of several threads
CONNECTIONS = """
import os
from concurrent.futures import ThreadPoolExecutor
import myproject.tasks as tasks
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: tasks.look_after.delay(), range(20)))
places = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
own = {os.readlink(each) for each in places if os.path.lexists(each)}
lines = [line.split() for line in open("/proc/self/net/tcp")][1:]
ports = [int(line[2].rpartition(":")[2], 16) for line in lines if f"socket:[{line[9]}]" in own]
found = {"broker": ports.count(5672), "results": ports.count(6379)}
"""
#: how many of many jobs are still with the broker when the first has begun
WAITING = """
import time
from myproject.celeryconf import app
last = [Job.objects.create(type="fibonacci", argument=26) for _ in range(60)][-1]
async def look(opened):
    return await opened.backends.broker.depth()
found, until = 0, time.monotonic() + 60
while not (found and Job.objects.filter(status="started").exists()) and time.monotonic() < until:
    last.refresh_from_db()
    assert last.status == "pending", "none waited"
    found = next(each.ready for each in app.portal.call(look) if each.name == "default")
"""


@pytest.fixture(scope="module")
def facts(jobs: Jobs) -> dict[str, Any]:
    """What the running example is set to."""
    found: dict[str, Any] = jobs.shell(SETTINGS_OF)
    compose = yaml.safe_load(COMPOSE)
    for line in ("manage.py penstock workers", "manage.py penstock queues", "manage.py penstock list --status failure"):
        found[line] = json.loads(jobs.manage(*line.split()[1:], "--json"))["items"]
    return {**found, "services": compose["services"], "web": (EXAMPLE / "run_web.sh").read_text()}


def pickled(*_: Any) -> bool:
    """Another serializer is refused at the start."""
    code = "import myproject.settings as it; it.CELERY_TASK_SERIALIZER = 'pickle'; import myproject.celeryconf"
    done = run_python(code)
    return done.returncode == 1 and "only JSON travels" in done.stderr


def ignores_status(jobs: Jobs) -> bool:
    made = jobs.client.post("/jobs/", json={"type": "power", "argument": 2, "status": "failed"}).json()
    return bool(made["status"] == "pending" and jobs.ended(made["url"])["result"] == 4)


def runs_again(jobs: Jobs) -> bool:
    """A job that its worker had begun when it was killed is finished."""
    url = jobs.create("fibonacci", 31)
    eventually(lambda: jobs.client.get(url).json()["status"] != "pending", every=0.05)
    starts = jobs.system["worker"][0].starts
    jobs.system["worker"][0].kill()
    return bool(jobs.ended(url)["result"] == 1346269 and jobs.system["worker"][0].starts == starts + 1)


#: For each row of the README, what shows that it is so.
ROWS: dict[str, Check] = {
    "`fig.yml`": lambda facts, _: set(facts["services"]) == {"db", "redis", "rabbitmq", "web", "worker"},
    "`fig scale worker=5`": lambda facts, _: "container_name" not in facts["services"]["worker"],
    "`dockerdjangocelery_worker_1`": lambda *_: "\nname: django-jobs\n" in COMPOSE,
    "`fig ps`": lambda facts, _: len(facts["manage.py penstock workers"]) == 1,
    "`links:`": lambda facts, _: (
        {"RABBIT_PORT_5672_TCP", "DB_PORT_5432_TCP_ADDR", "REDIS_PORT_6379_TCP_ADDR"}
        <= set(facts["services"]["worker"]["environment"])
    ),
    "`postgres:9.4`": lambda facts, _: facts["services"]["db"]["image"] == "postgres:17",
    "`redis:2.8.19`": lambda facts, _: (
        facts["services"]["redis"]["image"] == "redis:7-alpine"
        and {"--requirepass", "--appendonly"} <= set(facts["services"]["redis"]["command"])
    ),
    "`tutum/rabbitmq`": lambda facts, _: facts["services"]["rabbitmq"]["image"] == "rabbitmq:3.13",
    "`python:2.7`": lambda *_: "FROM python:3.12-slim" in DOCKERFILE,
    "`mysecretpassword`": lambda *_: set(SECRETS) == set(re.findall(r"\$\{(\w+):\?", COMPOSE)),
    "`RABBITMQ_PASS`": lambda facts, jobs: (
        "RABBITMQ_PASS" not in facts["services"]["rabbitmq"]["environment"]
        and jobs.system.units["rabbitmq"].environment["RABBITMQ_DEFAULT_PASS"] == SECRETS["RABBITMQ_PASSWORD"]
    ),
    "`15672`": lambda facts, _: [each["name"] for each in facts["manage.py penstock queues"]] == ["default"],
    "`adduser myuser`": lambda *_: "useradd" in DOCKERFILE and "myuser" in DOCKERFILE and "USER 10001" in DOCKERFILE,
    "`volumes: .:/app`": lambda facts, _: "COPY . ." in DOCKERFILE and "volumes" not in facts["services"]["web"],
    "`runserver 0.0.0.0:8000`": lambda facts, _: (
        "exec gunicorn" in facts["web"]
        and "--bind=0.0.0.0:8000" in DOCKERFILE
        and facts["services"]["web"]["ports"] == ["8000:8000"]
    ),
    "`celery worker -A myproject.celeryconf -Q default`": lambda *_: (
        "penstock worker myproject.celeryconf -Q default" in (EXAMPLE / "run_celery.sh").read_text()
    ),
    "`-n default@%h`": lambda facts, _: re.fullmatch(
        r"myproject-\d+@.+", facts["manage.py penstock workers"][0]["name"]
    ),
    "`django==1.7.2`": lambda *_: all(
        name in (EXAMPLE / "requirements.txt").read_text()
        for name in ("penstock[django,rabbitmq,redis]", "psycopg", "djangorestframework")
    ),
    "`SECRET_KEY` in the code": lambda facts, _: facts["secret"] == SECRETS["DJANGO_SECRET_KEY"],
    "`DEBUG = True`": lambda facts, _: (
        facts["debug"] is False and '"debug": true' in run_python(DUMP, DEBUG="1").stdout
    ),
    "`MIDDLEWARE_CLASSES`": lambda facts, _: len(facts["middleware"]) > 3,
    "`PAGINATE_BY`": lambda facts, _: facts["page"]["PAGE_SIZE"] == 10,
    "`USE_L10N`": lambda facts, _: facts["l10n"] is True,
    "`app.config_from_object`": lambda facts, _: (
        "penstock.integrations.django" in facts["installed"] and {"power", "fib"} <= set(facts["tasks"])
    ),
    "`class PowerTask(app.Task)`": lambda facts, _: facts["called"] == 32 and "PowerTask" in facts["tasks"],
    "`argument = models.PositiveIntegerField()`": lambda _, jobs: (
        jobs.client.post("/jobs/", json={"type": "power", "argument": -1}).status_code == 400
    ),
    "`result = models.IntegerField(null=True)`": lambda facts, _: facts["result"] == 1000,
    "`status` in a POST": lambda _, jobs: ignores_status(jobs),
    "`django.db.backends.postgresql_psycopg2`": lambda facts, _: facts["engine"] == "django.db.backends.postgresql",
    "`Queue('default', Exchange('default'), routing_key='default')`": lambda facts, _: facts["queues"] == ["default"],
    "`BROKER_URL`": lambda facts, _: re.fullmatch(
        r"amqp://admin:\w+@[\d.]+:5672/\?heartbeat=30&connection_timeout=10", facts["broker"]
    ),
    "`BROKER_POOL_LIMIT`": lambda _, jobs: jobs.shell(CONNECTIONS) == {"broker": 2, "results": 1},
    "`CELERY_ENABLE_UTC`": lambda facts, _: all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", each["created_at"])
        for each in facts["manage.py penstock list --status failure"]
    ),
    "`CELERY_DEFAULT_QUEUE`": lambda facts, _: facts["queues"] == ["default"],
    "`CELERY_ALWAYS_EAGER`": lambda facts, _: (
        [facts["eager"], facts["expires"], facts["ignored"]] == [False, 600, [True, True]]
    ),
    "`CELERY_ACKS_LATE`": lambda _, jobs: runs_again(jobs),
    "`CELERY_TASK_PUBLISH_RETRY`": lambda facts, _: (
        "CELERY_TASK_PUBLISH_RETRY" in facts["names"] and "look_after" in facts["tasks"]
    ),
    "`CELERY_DISABLE_RATE_LIMITS`": lambda facts, _: facts["rate limits"] == [],
    "`CELERY_SEND_TASK_ERROR_EMAILS`": lambda facts, _: (
        {"FAILURE"} == {each["status"] for each in facts["manage.py penstock list --status failure"]}
    ),
    "`CELERY_RESULT_BACKEND`": lambda facts, _: (
        facts["results"].startswith(f"redis://:{SECRETS['REDIS_PASSWORD']}@") and facts["results"].endswith(":6379/0")
    ),
    "`CELERY_TASK_SERIALIZER`": pickled,
    "`CELERYD_HIJACK_ROOT_LOGGER`": lambda facts, _: facts["root"] == 0,
    "`CELERYD_PREFETCH_MULTIPLIER`": lambda _, jobs: jobs.shell(WAITING) > 0,
    "`CELERYD_MAX_TASKS_PER_CHILD`": lambda facts, _: facts["per_child"] == 1000,
}


def test_every_row_of_the_table_has_its_test() -> None:
    assert sorted(check_of(row, ROWS) for row in rows(EXAMPLE / "README.md")) == sorted(ROWS)


@pytest.mark.parametrize("row", rows(EXAMPLE / "README.md"))
def test_a_row_of_then_and_now_is_true(row: str, facts: dict[str, Any], jobs: Jobs) -> None:
    assert ROWS[check_of(row, ROWS)](facts, jobs)


@pytest.mark.parametrize(
    ("variables", "where", "value"),
    [
        ({"DB_PORT_5432_TCP_ADDR": "10.1.1.1"}, "HOST", "10.1.1.1"),
        ({"DB_PORT_5432_TCP_PORT": "5433"}, "PORT", "5433"),
        ({"DB_ENV_DB": "jobs"}, "NAME", "jobs"),
        ({"DB_ENV_POSTGRES_USER": "ada"}, "USER", "ada"),
        ({"DB_ENV_POSTGRES_PASSWORD": "secret"}, "PASSWORD", "secret"),
        ({"REDIS_PORT_6379_TCP_ADDR": "10.1.1.2"}, "results", "redis://10.1.1.2:6379/0"),
        ({"REDIS_ENV_PASSWORD": "a/b"}, "results", "redis://:a%2Fb@127.0.0.1:6379/0"),
        ({}, "broker", "amqp://admin:mypass@localhost:5672/?heartbeat=30"),
        ({"RABBIT_PORT_5672_TCP": "tcp://r:1"}, "broker", "amqp://admin:mypass@r:1/?heartbeat=30"),
        (
            {"RABBIT_ENV_USER": "me", "RABBIT_ENV_RABBITMQ_PASS": "p@ss", "RABBIT_ENV_VHOST": "jobs"},
            "broker",
            "amqp://me:p%40ss@localhost:5672/jobs?heartbeat=30",
        ),
        ({"BROKER_URL": "amqp://a:b@c//"}, "broker", "amqp://a:b@c//?heartbeat=30"),
    ],
)
def test_the_links_variables_are_honoured(variables: dict[str, str], where: str, value: str) -> None:
    assert json.loads(run_python(DUMP, **variables).stdout)[where] == value


def test_the_files_are_valid() -> None:
    specification = json.loads((Path(__file__).parents[1] / "schemas" / "compose-spec.json").read_text())
    jsonschema_rs.validate(specification, yaml.safe_load(COMPOSE))
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, EXAMPLE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    changes = ["makemigrations", "--check", "--dry-run", "--settings", "myproject.settings"]
    code = f"import sys; from django.core.management import execute_from_command_line as run; run(['', *{changes}])"
    checked = run_python(code)
    assert checked.returncode == 0, "the migrations are those of the models"


def test_the_compose_file_says_what_penstock_deploy_says() -> None:
    line = CommandLine(PROJECT)
    options = ("--broker", "rabbitmq", "--backend", "redis", "-Q", "default")
    text = line.ok("deploy", "compose", "myproject.celeryconf", *options, "--name", "jobs").out
    deployed, ours = yaml.safe_load(text)["services"], yaml.safe_load(COMPOSE)["services"]
    assert ours["rabbitmq"]["hostname"] == deployed["rabbitmq"]["hostname"]
    for service in ("redis", "rabbitmq", "worker"):
        for key in ("healthcheck", "stop_grace_period", "restart", "volumes"):
            assert ours[service].get(key) == deployed[service].get(key), (service, key)
    assert ours["redis"] == deployed["redis"]
    assert ours["rabbitmq"]["image"] == deployed["rabbitmq"]["image"]
    words = [each for each in deployed["worker"]["command"] if each not in ("--queues", "default")]
    assert [*words[:3], *ours["worker"]["command"][1:]] == words


# ------------------------------------------------------------------------------------------------ under load, and kills


@pytest.mark.timeout(400)
def test_five_workers_and_one_of_each_part_killed_and_no_job_lost(jobs: Jobs) -> None:
    with Load(jobs) as load:
        jobs.system.scale("worker", 5)

        def workers() -> int:
            return len(json.loads(jobs.manage("penstock", "workers", "--json"))["items"])

        # one that an earlier test has killed is listed until its time is over
        eventually(lambda: workers() == 5, every=0.5, what="five workers")
        for part in PARTS:
            before = len(load.accepted)
            instance = jobs.system[part][0]
            starts = instance.starts
            instance.kill()
            eventually(lambda: instance.starts > starts, within=60)  # noqa: B023 (called here and now)
            jobs.system.wait(part)
            eventually(lambda: len(load.accepted) > before + 5, within=90)  # noqa: B023
        jobs.system.scale("worker", 2)
    assert len(load.accepted) > 50
    for url in load.accepted:
        jobs.ended(url)
    results = jobs.shell("found = {str(job.pk): [job.status, int(job.result or 0)] for job in Job.objects.all()}")
    for url, argument in load.accepted.items():
        number = url.rstrip("/").rpartition("/")[2]
        assert results[number] == ["finished", 2**argument], url
