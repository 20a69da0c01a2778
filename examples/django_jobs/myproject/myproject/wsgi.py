import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myproject.settings")

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

# the browsable API's style is served from here, too; a site with many visitors leaves that to nginx
application = StaticFilesHandler(get_wsgi_application())
