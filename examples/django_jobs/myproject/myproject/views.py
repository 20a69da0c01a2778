from rest_framework import mixins, viewsets

from myproject.models import Job
from myproject.serializers import JobSerializer


class JobViewSet(mixins.CreateModelMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """
    API endpoint that allows jobs to be viewed or created.
    """

    queryset = Job.objects.all()
    serializer_class = JobSerializer
