import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myproject.settings")

from penstock.integrations.django import app  # it is made of the settings, which are known from here on

__all__ = ["app"]
