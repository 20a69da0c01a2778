import os
from pathlib import Path
from urllib.parse import quote

from django.db import InterfaceError, OperationalError

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only for this machine")

# SECURITY WARNING: don't run with debug turned on in production!
DEBUG = os.environ.get("DEBUG", "") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *os.environ.get("ALLOWED_HOSTS", "").split(",")]

# Application definition

INSTALLED_APPS = (
    "django.contrib.staticfiles",
    # these three are for the browsable API's login
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "penstock.integrations.django",
    "myproject",
)

MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ("rest_framework.permissions.AllowAny",),
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 10,
}

ROOT_URLCONF = "myproject.urls"
WSGI_APPLICATION = "myproject.wsgi.application"
LOGIN_REDIRECT_URL = "/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Localization and timezone settings

TIME_ZONE = "UTC"
USE_TZ = True

CELERY_ENABLE_UTC = True
CELERY_TIMEZONE = "UTC"

LANGUAGE_CODE = "en-us"
USE_I18N = True

# What goes wrong is told where containers tell things
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "level": "INFO"}},
}

# Static files (CSS, JavaScript, Images)
STATIC_URL = "/static/"

# Database configuration
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DB_ENV_DB", "postgres"),
        "USER": os.environ.get("DB_ENV_POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("DB_ENV_POSTGRES_PASSWORD", ""),
        "HOST": os.environ.get("DB_PORT_5432_TCP_ADDR", ""),
        "PORT": os.environ.get("DB_PORT_5432_TCP_PORT", ""),
    },
}

# Redis

REDIS_PORT = 6379
REDIS_DB = 0
REDIS_HOST = os.environ.get("REDIS_PORT_6379_TCP_ADDR", "127.0.0.1")
REDIS_PASSWORD = os.environ.get("REDIS_ENV_PASSWORD", "")

RABBIT_HOSTNAME = os.environ.get("RABBIT_PORT_5672_TCP", "localhost:5672").removeprefix("tcp://")

BROKER_URL = os.environ.get("BROKER_URL", "")
if not BROKER_URL:
    BROKER_URL = "amqp://{user}:{password}@{hostname}/{vhost}".format(
        user=quote(os.environ.get("RABBIT_ENV_USER", "admin"), safe=""),
        password=quote(os.environ.get("RABBIT_ENV_RABBITMQ_PASS", "mypass"), safe=""),
        hostname=RABBIT_HOSTNAME,
        vhost=quote(os.environ.get("RABBIT_ENV_VHOST", ""), safe=""),
    )

# We don't want to have dead connections stored on rabbitmq, so we have to negotiate using heartbeats
BROKER_HEARTBEAT = "?heartbeat=30"
if BROKER_URL.startswith("amqp") and not BROKER_URL.endswith(BROKER_HEARTBEAT):
    BROKER_URL += BROKER_HEARTBEAT

BROKER_POOL_LIMIT = 1
BROKER_CONNECTION_TIMEOUT = 10

# Celery configuration, which Penstock reads; README.md says what has become of each

# configure queues, currently we have only one
CELERY_DEFAULT_QUEUE = "default"
CELERY_QUEUES = ("default",)

CELERY_ALWAYS_EAGER = False
CELERY_ACKS_LATE = True
CELERY_TASK_PUBLISH_RETRY = True
CELERY_DISABLE_RATE_LIMITS = False

# By default we will ignore result
# If you want to see results and try out tasks interactively, change it to False
# Or change this setting on tasks level
CELERY_IGNORE_RESULT = True
CELERY_SEND_TASK_ERROR_EMAILS = False
CELERY_TASK_RESULT_EXPIRES = 600

# Set redis as result backend
CELERY_RESULT_BACKEND = "redis://{login}{host}:{port}/{db}".format(
    login=f":{quote(REDIS_PASSWORD, safe='')}@" if REDIS_PASSWORD else "",
    host=REDIS_HOST,
    port=REDIS_PORT,
    db=REDIS_DB,
)
CELERY_REDIS_MAX_CONNECTIONS = 1

# Don't use pickle as serializer, json is much safer
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["application/json"]

CELERYD_HIJACK_ROOT_LOGGER = False
CELERYD_PREFETCH_MULTIPLIER = 1
CELERYD_MAX_TASKS_PER_CHILD = 1000

# What Celery had to be told task by task: for all of them
PENSTOCK = {
    "SOFT_TIME_LIMIT": 60,
    # while the database is away, tasks are tried again
    "AUTORETRY_FOR": (InterfaceError, OperationalError),
    "MAX_RETRIES": 1000,
    "RETRY_BACKOFF_MAX": 10,
}
