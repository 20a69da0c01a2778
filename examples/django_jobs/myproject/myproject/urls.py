from django.urls import include, path
from rest_framework import routers

from myproject import views

router = routers.DefaultRouter()
# register job endpoint in the router
router.register("jobs", views.JobViewSet)

# Wire up our API using automatic URL routing.
# Additionally, we include login URLs for the browsable API.
urlpatterns = [
    path("", include(router.urls)),
    path("api-auth/", include("rest_framework.urls", namespace="rest_framework")),
]
