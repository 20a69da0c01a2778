"""Settings to text: what runs an app on a machine or a cluster. Reads nothing, starts nothing, knows no back end."""
