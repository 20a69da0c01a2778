from rest_framework import serializers

from myproject.models import Job


class JobSerializer(serializers.HyperlinkedModelSerializer):
    result = serializers.IntegerField(read_only=True)

    class Meta:
        model = Job
        fields = ("url", "type", "status", "created_at", "updated_at", "argument", "result")
        read_only_fields = ("status",)
