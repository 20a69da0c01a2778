"""What the older systems' descriptions name is in the examples, or in their tables; what the tables name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.acceptance.tables import code, files, rows, table

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"

#: every name, port, path, flag, variable and setting of each description, in the order in which it has them
THEN = {
    "flask_api": """
        redis
        redis-server --appendonly yes --protected-mode no --requirepass SECRETPASSWORD
        6379
        10000
        /data
        PaaS Logs
        PaaS Timeseries
        TCP health check
        <username>.lb.<cluster>.containers.ovh.net
        telnet
        AUTH SECRETPASSWORD
        +OK
        PING
        +PONG
        hostname:LIKE:<hostname>
        brouberol/ovh-containers-demo
        5000
        /usr/src/app/entrypoint.sh api
        Dockerfile
        entrypoint.sh
        CELERY_BROKER_URI
        redis://:SECRETPASSWORD@…:10000/0
        CELERY_RESULT_BACKEND
        redis://:SECRETPASSWORD@…:10000/1
        HAPROXY_0_MODE
        HAPROXY_0_VHOST
        api.<username>.lb.<cluster>.containers.ovh.net
        HTTP health check
        10001
        Hello world!
        /usr/src/app/entrypoint.sh celery_worker
        no health check for workers
        POST /tasks
        task_id
        GET /tasks/<id>
        children
        result
        status
        traceback
    """,
    "kubernetes": """
        NUM_MINIONS
        examples/celery-rabbitmq/
        rabbitmq-service.json
        rabbitmq-service
        Service
        v1beta1
        port
        5672
        containerPort
        selector
        app: taskQueue
        labels
        name
        kubectl create -f
        cluster/kubectl.sh
        rabbitmq-controller.json
        rabbitmq-controller
        ReplicationController
        desiredState
        replicas
        replicaSelector
        podTemplate
        manifest
        rabbitmq
        dockerfile/rabbitmq
        cpu: 100
        hostPort
        celery-controller.json
        celery-controller
        celery
        endocode/celery-app-add
        FROM dockerfile/celery
        celery_conf.py
        /data/celery_conf.py
        run_tasks.py
        /data/run_tasks.py
        /usr/local/bin/run.sh
        C_FORCE_ROOT 1
        /bin/bash
        RABBITMQ_SERVICE_SERVICE_HOST
        amqp://guest@%s//
        backend='amqp'
        @app.task
        add(x, y)
        5 seconds
        flower-controller
        flower
        endocode/flower
        5555
        flower --broker=amqp://guest:guest@${RABBITMQ_SERVICE_SERVICE_HOST:localhost}:5672//
        kubectl get pods
        Tasks
        celery_conf.add
    """,
    "django_jobs": """
        Dockerfile
        fig.yml
        myproject/manage.py
        myproject/myproject/celeryconf.py
        myproject/myproject/__init__.py
        myproject/myproject/models.py
        myproject/myproject/serializers.py
        myproject/myproject/settings.py
        myproject/myproject/tasks.py
        myproject/myproject/urls.py
        myproject/myproject/views.py
        myproject/myproject/wsgi.py
        requirements.txt
        run_celery.sh
        run_web.sh
        python:2.7
        /app
        pip install
        adduser
        myuser
        django==1.7.2
        celery==3.1.17
        Djangorestframework==3.0.3
        psycopg2==2.5.4
        redis==2.10.3
        db
        postgres:9.4
        POSTGRES_PASSWORD
        mysecretpassword
        redis:2.8.19
        tutum/rabbitmq
        RABBITMQ_PASS
        mypass
        5672:5672
        15672
        web
        ./run_web.sh
        volumes: .:/app
        8000:8000
        links:
        db:db
        rabbitmq:rabbit
        redis:redis
        worker
        ./run_celery.sh
        su -m myuser
        migrate
        runserver 0.0.0.0:8000
        celery worker -A myproject.celeryconf -Q default
        -n default@%h
        BASE_DIR
        SECRET_KEY
        DEBUG
        TEMPLATE_DEBUG
        ALLOWED_HOSTS
        INSTALLED_APPS
        django.contrib.staticfiles
        rest_framework
        MIDDLEWARE_CLASSES
        REST_FRAMEWORK
        DEFAULT_PERMISSION_CLASSES
        rest_framework.permissions.AllowAny
        PAGINATE_BY
        ROOT_URLCONF
        WSGI_APPLICATION
        TIME_ZONE
        USE_TZ
        CELERY_ENABLE_UTC
        CELERY_TIMEZONE
        LANGUAGE_CODE
        USE_I18N
        USE_L10N
        STATIC_URL
        django.db.backends.postgresql_psycopg2
        DB_ENV_DB
        DB_ENV_POSTGRES_USER
        DB_ENV_POSTGRES_PASSWORD
        DB_PORT_5432_TCP_ADDR
        DB_PORT_5432_TCP_PORT
        REDIS_PORT
        REDIS_DB
        REDIS_HOST
        REDIS_PORT_6379_TCP_ADDR
        RABBIT_HOSTNAME
        RABBIT_PORT_5672_TCP
        localhost:5672
        tcp://
        BROKER_URL
        RABBIT_ENV_USER
        RABBIT_ENV_RABBITMQ_PASS
        RABBIT_ENV_VHOST
        BROKER_HEARTBEAT
        ?heartbeat=30
        BROKER_POOL_LIMIT
        BROKER_CONNECTION_TIMEOUT
        CELERY_DEFAULT_QUEUE
        CELERY_QUEUES
        Queue('default', Exchange('default'), routing_key='default')
        CELERY_ALWAYS_EAGER
        CELERY_ACKS_LATE
        CELERY_TASK_PUBLISH_RETRY
        CELERY_DISABLE_RATE_LIMITS
        CELERY_IGNORE_RESULT
        CELERY_SEND_TASK_ERROR_EMAILS
        CELERY_TASK_RESULT_EXPIRES
        CELERY_RESULT_BACKEND
        CELERY_REDIS_MAX_CONNECTIONS
        CELERY_TASK_SERIALIZER
        CELERY_ACCEPT_CONTENT
        CELERYD_HIJACK_ROOT_LOGGER
        CELERYD_PREFETCH_MULTIPLIER
        CELERYD_MAX_TASKS_PER_CHILD
        DJANGO_SETTINGS_MODULE
        app.config_from_object
        app.autodiscover_tasks
        @app.task
        class PowerTask(app.Task)
        update_job
        power
        fib
        TASK_MAPPING
        fibonacci
        pending
        started
        finished
        failed
        type
        status
        created_at
        updated_at
        argument = models.PositiveIntegerField()
        result = models.IntegerField(null=True)
        JobSerializer
        JobViewSet
        DefaultRouter
        jobs
        api-auth/
        fig build
        fig up
        fig ps
        fig scale worker=5
        dockerdjangocelery_worker_1
    """,
    "nginx_flask": """
        gunicorn
        nginx
        rabbitmq
        flask/standalone_app.py
        pip3 install -r requirements.txt
        python3 ./standalone_app.py
        8080
        start_local_celery.sh
        /flask/heavy
        /flask
        my_network
        /document_root
        /db
        backend.db
        do_heavy_task.delay
        build.sh
        8000
        docker logs -f my_celery_container
        list_queues.sh
        monitor_queue.sh
        ./locust --host http://localhost:8000/
        8089
        launch_celery_worker.sh
        /flask/status?task_id=xxxxx
        /flask/tasks
    """,
}


@pytest.mark.parametrize("example", THEN)
def test_all_that_a_description_names_is_in_its_example_or_in_its_table(example: str) -> None:
    known = "\n".join((files(EXAMPLES / example), *rows(EXAMPLES / example / "README.md")))
    named = [line.strip() for line in THEN[example].splitlines() if line.strip()]
    assert [name for name in named if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", known)] == []


@pytest.mark.parametrize("example", THEN)
def test_all_that_a_table_says_there_is_now_is_in_the_example_or_in_what_tests_it(example: str) -> None:
    test = HERE / ("test_django_jobs.py" if example == "django_jobs" else f"test_example_{example}.py")
    known = files(EXAMPLES / example) + test.read_text()
    named = [name for _, now in table(EXAMPLES / example / "README.md") for name in code(now)]
    assert [name for name in named if name not in known] == []
    assert len(rows(EXAMPLES / example / "README.md")) == len(set(rows(EXAMPLES / example / "README.md")))
