"""A Django project: its settings, its transactions, its commands and its database connections."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import CommandLine
from tests.processes import Launched, clean_environment, launched

SETTINGS = """
SECRET_KEY = "only for this test"
INSTALLED_APPS = ["django.contrib.contenttypes", "penstock.integrations.django", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "data.db"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING = {"version": 1}  # which by default silences every logger that was there before
PENSTOCK = {"BROKER_URL": "sqlite:///queue.db", "THREADS": 1}
CELERY_TASK_IGNORE_RESULT = False
CELERY_DEFAULT_QUEUE = "jobs"
"""

MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

MODELS = """
from django.db import models


class Order(models.Model):
    name = models.CharField(max_length=20)
"""

TASKS = """
from django.db import connection
from penstock.integrations.django import app
from shop.models import Order

before = []


@app.task
def ship(number: int) -> str:
    return Order.objects.get(id=number).name


@app.task
async def aship(number: int) -> str:
    return (await Order.objects.aget(id=number)).name


@app.task
def connections() -> bool:
    "Whether the connection of the task before was closed."
    Order.objects.count()
    before.append(connection.connection)
    if len(before) == 1:
        return False
    try:
        before[-2].execute("SELECT 1")
    except Exception:
        return True
    return False
"""


class Project:
    """A project in a folder, with the commands of a person who works with it."""

    def __init__(self, folder: Path, settings: str = SETTINGS) -> None:
        self.folder = folder
        files = {
            "manage.py": MANAGE,
            "mysite/__init__.py": "",
            "mysite/settings.py": settings,
            "shop/__init__.py": "",
            "shop/models.py": MODELS,
            "shop/tasks.py": TASKS,
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def ok(self, *arguments: str) -> str:
        done = self.manage(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shell(self, code: str) -> Any:
        """What `code` leaves in `found`, run as `manage.py shell -c` would."""
        prelude = "import json\nfrom shop.models import Order\nfrom shop.tasks import ship, aship, connections\n"
        lines = self.ok("shell", "--no-imports", "-c", f"{prelude}{code}\nprint('FOUND', json.dumps(found))")
        return json.loads(lines.rpartition("FOUND ")[2])

    def show(self, task_id: str) -> Any:
        return json.loads(self.ok("penstock", "show", task_id, "--json"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.ok("makemigrations", "shop")
    project.ok("migrate")
    return project


@pytest.fixture
def worker(project: Project) -> Iterator[Launched]:
    with launched("worker", "mysite", "--processes", "1", cwd=project.folder) as worker:
        yield worker


def test_tasks_are_found_and_run_and_their_connections_closed(project: Project, worker: Launched) -> None:
    name = project.shell("one = Order.objects.create(name='tea'); found = ship.delay(one.id).get(timeout=60)")
    assert name == "tea"
    assert project.shell("found = aship.delay(Order.objects.get().id).get(timeout=60)") == "tea"
    assert project.shell("found = [connections.delay().get(timeout=60) for _ in range(3)]") == [False, True, True]
    assert (project.folder / "queue.db").exists()
    assert "ready: mysite" in worker.printed(), "its log is not silenced by the project's LOGGING"
    assert project.shell("from penstock.integrations.django import app; found = [app.name, app.queues]") == [
        "mysite",
        ["jobs"],
    ]


def test_what_is_submitted_in_a_transaction_is_queued_when_that_is_committed(project: Project) -> None:
    found = project.shell(
        """
from django.db import transaction
from penstock.integrations.django import app
def known(result):
    async def look(submitter):
        return await submitter.backends.results.records.get([result.id])
    return result.id in app.portal.call(look)
found = {}
with transaction.atomic():
    one = Order.objects.create(name="tea")
    result = ship.delay(one.id)
    found["inside"] = known(result)
found["after"] = known(result)
try:
    with transaction.atomic():
        lost = ship.delay(1)
        raise KeyError
except KeyError:
    found["rolled back"] = known(lost)
with transaction.atomic():
    try:
        ship.delay("no number")
    except Exception as error:
        found["refused"] = type(error).__name__
found["id"] = result.id
"""
    )
    assert found.pop("id")
    assert found == {"inside": False, "after": True, "rolled back": False, "refused": "InvalidArguments"}


def test_a_project_may_queue_at_once(tmp_path: Path) -> None:
    project = Project(tmp_path, SETTINGS.replace('"THREADS": 1', '"ON_COMMIT": False'))
    found = project.shell(
        """
from django.db import transaction
with transaction.atomic():
    task_id = ship.delay(1).id
    transaction.set_rollback(True)
found = task_id
"""
    )
    assert project.show(found)["status"] == "PENDING"


def test_manage_py_penstock_is_the_command_line_of_the_project(project: Project) -> None:
    folder = project.folder
    worker = Launched([sys.executable, str(folder / "manage.py"), "penstock", "worker", "--processes", "1"], folder)
    try:
        worker.prints("ready: mysite")
        project.shell("found = Order.objects.create(name='tea').id")
        done = project.ok("penstock", "submit", "ship", "[1]", "--wait", "--json", "--settings=mysite.settings")
        assert json.loads(done)["result"] == "tea"
        assert worker.stop() == 0, worker.printed()
    finally:
        worker.clean()
    assert project.manage("penstock", "show", "nothing").returncode == 1
    called = "from django.core.management import call_command; call_command('penstock', 'list'); found = 1"
    assert project.shell(called) == 1
    assert "Commands:" in project.ok("penstock", "--help")


def test_celerys_idiom_of_a_module_that_tasks_import_the_app_from(project: Project) -> None:
    settings = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n'
    conf = "from penstock.integrations.django import app\n__all__ = ['app']\n"
    (project.folder / "mysite/celeryconf.py").write_text(settings + conf)
    (project.folder / "shop/tasks.py").write_text(
        TASKS.replace("from penstock.integrations.django import app", "from mysite.celeryconf import app")
    )
    line = CommandLine(project.folder)
    with launched("worker", "mysite.celeryconf", "--processes", "1", cwd=project.folder):
        done = line.ok("submit", "--app", "mysite.celeryconf", "connections", "--wait", "--json")
        assert done.json["status"] == "SUCCESS"


def test_a_deployment_names_the_project_as_it_was_named(project: Project) -> None:
    text = CommandLine(project.folder).ok("deploy", "compose", "mysite", "--broker", "redis").out
    assert '"penstock", "worker", "mysite"' in text


def test_faulty_settings_are_told_in_one_line(tmp_path: Path) -> None:
    project = Project(tmp_path, SETTINGS.replace('"THREADS"', '"THREDS"'))
    line = CommandLine(tmp_path)
    told = line("worker", "mysite")
    assert told.code == 1
    assert "THREDS" in told.err
    assert "THREADS" in told.err
    assert "Traceback" not in told.err
    told = line("worker", "penstock.integrations.django:app")
    assert told.code == 1
    assert "DJANGO_SETTINGS_MODULE" in told.err
    assert "THREDS" in project.manage("penstock", "list").stderr


def test_connections_of_a_parent_are_not_used_by_its_forked_children(project: Project) -> None:
    found = project.shell(
        """
import os
from django.db import connection
Order.objects.count()
mine = connection.connection
child = os.fork()
if child == 0:
    Order.objects.count()
    os._exit(7 if connection.connection is not mine else 8)
found = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), connection.connection is mine]
"""
    )
    assert found == [7, True]
