"""Sends `add` of two random numbers every five seconds, for as long as it runs."""

import random
import time

from celery_conf import add

from penstock import PenstockError

EVERY = 5  # seconds

while True:
    x, y = random.randint(1, 100), random.randint(1, 100)
    try:
        print(f"add({x}, {y}) is {add.delay(x, y).id}", flush=True)
    except PenstockError as error:  # the servers are not there, or not yet: they will be
        print(f"add({x}, {y}) could not be sent: {error}", flush=True)
    time.sleep(EVERY)
