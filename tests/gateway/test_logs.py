"""What a process logs: one line of JSON for each event, and no addresses that it asked."""

import json
import subprocess
import sys

SAY = """
import logging
from gateway.logs import configure

configure("tests")
logging.getLogger("httpx").info("HTTP Request: GET http://project.example/rest/v1/x?email=eq.a")
logging.getLogger("others").info("hello")
"""


def test_addresses_that_were_asked_are_not_logged() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["process"]) for line in lines] == [("hello", "tests")]
