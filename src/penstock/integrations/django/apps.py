"""The app config: finds the tasks of all installed apps."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class PenstockConfig(AppConfig):
    """Imports `tasks.py` of every installed app once all models are loaded."""

    name = "penstock.integrations.django"
    label = "penstock"
    verbose_name = "Penstock"

    def ready(self) -> None:
        autodiscover_modules("tasks")
