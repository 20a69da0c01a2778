# flask-api: run with `nomad job run -`. Secrets are the variables of this job:
#   nomad var put nomad/jobs/flask-api REDIS_PASSWORD=…
job "flask-api" {
  type = "service"

  group "redis" {
    count = 1

    network {
      mode = "bridge"
      port "main" {
        to     = 6379
        static = 10000
      }
    }

    volume "data" {
      type            = "host"
      source          = "flask-api-redis"
      access_mode     = "single-node-writer"
      attachment_mode = "file-system"
    }

    service {
      name     = "flask-api-redis"
      port     = "main"
      provider = "nomad"

      check {
        type     = "tcp"
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "redis" {
      driver       = "docker"
      kill_timeout = "30s"

      volume_mount {
        volume      = "data"
        destination = "/data"
      }

      config {
        image = "redis:7-alpine"
        ports = ["main"]
        command = "redis-server"
        args    = ["--appendonly", "yes", "--protected-mode", "no", "--requirepass", "${env["REDIS_PASSWORD"]}"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        data        = <<-EOT
          REDIS_PASSWORD={{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}
          REDISCLI_AUTH={{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}
        EOT
      }

      resources {
        cpu    = 200
        memory = 512
      }
    }
  }

  group "api" {
    count = 3

    network {
      mode = "bridge"
      port "main" {
        to = 5000
      }
    }

    service {
      name     = "flask-api-api"
      port     = "main"
      provider = "nomad"
      tags     = ["vhost=api.example.org"]

      check {
        type     = "http"
        path     = "/"
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "api" {
      driver       = "docker"
      kill_timeout = "30s"

      config {
        image = "flask-api"
        ports = ["main"]
        args  = ["api"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        data        = <<-EOT
          REDIS_PASSWORD={{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}
          CELERY_BROKER_URI=redis://:{{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}@{{ range nomadService "flask-api-redis" }}{{ .Address }}:{{ .Port }}{{ end }}/0
          CELERY_RESULT_BACKEND=redis://:{{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}@{{ range nomadService "flask-api-redis" }}{{ .Address }}:{{ .Port }}{{ end }}/1
        EOT
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }

  group "worker" {
    count = 3

    network {
      mode = "bridge"
      port "main" {
        to = 8081
      }
    }

    service {
      name     = "flask-api-worker"
      port     = "main"
      provider = "nomad"

      check {
        type     = "http"
        path     = "/health/live"
        interval = "10s"
        timeout  = "5s"
      }
    }

    task "worker" {
      driver       = "docker"
      kill_timeout = "30s"

      config {
        image = "flask-api"
        ports = ["main"]
        args  = ["celery_worker"]
      }

      template {
        destination = "secrets/environment"
        env         = true
        data        = <<-EOT
          REDIS_PASSWORD={{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}
          CELERY_BROKER_URI=redis://:{{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}@{{ range nomadService "flask-api-redis" }}{{ .Address }}:{{ .Port }}{{ end }}/0
          CELERY_RESULT_BACKEND=redis://:{{ with nomadVar "nomad/jobs/flask-api" }}{{ .REDIS_PASSWORD }}{{ end }}@{{ range nomadService "flask-api-redis" }}{{ .Address }}:{{ .Port }}{{ end }}/1
        EOT
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
