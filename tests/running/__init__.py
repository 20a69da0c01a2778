"""Starts what compose, Marathon and Kubernetes files and docker commands describe, on this machine, without containers.

What a container would see of its own is put in its place: each instance has a loopback address of its own, names of
services lead to addresses, `0.0.0.0` is the instance's address, folders of the image and volumes are folders here.
Commands, variables, health checks and counts are those of the file, and nothing else. Linux only: elsewhere the
loopback has one address.
"""
