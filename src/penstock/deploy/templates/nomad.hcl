# {{ app.name }}: run with `nomad job run -`. Secrets are the variables of this job:
#   nomad var put nomad/jobs/{{ app.name }}{% for name in secrets %} {{ name }}=…{% endfor %}

job "{{ app.name }}" {
  type = "service"
{% for service in services %}

  group "{{ service.name }}" {
    count = {{ service.instances }}

    network {
      mode = "bridge"
      port "main" {
        to = {{ service.probe.port }}
      }
    }
{% if service.server and service.volume %}

    volume "data" {
      type            = "host"
      source          = "{{ app.name }}-{{ service.name }}"
      access_mode     = "single-node-writer"
      attachment_mode = "file-system"
    }
{% endif %}

    service {
      name     = "{{ app.name }}-{{ service.name }}"
      port     = "main"
      provider = "nomad"
{% if service.name == "api" and app.domain %}
      tags     = ["vhost={{ app.domain }}"]
{% endif %}

      check {
{% if service.probe.path %}
        type     = "http"
        path     = "{{ service.probe.path }}"
{% else %}
        type     = "tcp"
{% endif %}
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "{{ service.name }}" {
      driver       = "docker"
      kill_timeout = "{{ service.stop }}s"
{% if service.name == "postgres" %}
      # SIGTERM would have it wait for all who are connected
      kill_signal  = "SIGINT"
{% endif %}
{% if service.news %}
      # connections that are being made to it still arrive, until everybody knows that it goes
      shutdown_delay = "{{ service.news }}s"
{% endif %}
{% if service.server and service.volume %}

      volume_mount {
        volume      = "data"
        destination = "{{ service.volume }}"
      }
{% endif %}

      config {
        image = {{ service.image | quoted }}
        ports = ["main"]
{% if service.command %}
        command = {{ service.command[0] | hcl }}
        args    = [{% for word in service.command[1:] %}{{ word | hcl }}{{ ", " if not loop.last }}{% endfor %}]
{% endif %}
      }

      template {
        destination = "secrets/environment"
        env         = true
        data        = <<-EOT
{% for name in service.secrets if name not in service.environment %}
          {{ name }}={{ ("${" ~ name ~ "}") | secret }}
{% endfor %}
{% for name, value in service.environment.items() %}
          {{ name }}={{ value | secret | addressed }}
{% endfor %}
        EOT
      }

      resources {
        cpu    = 200
        memory = {{ 512 if service.server else 256 }}
      }
    }
  }
{% endfor %}
}
