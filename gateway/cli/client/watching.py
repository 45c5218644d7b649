"""A job on the terminal: its steps as lines, its questions as questions."""

import time
from typing import Any

import typer
from rich.console import Console

from gateway.cli.client.events import OVER, JobEvent, followed
from gateway.cli.client.failures import InputError
from gateway.cli.client.output import plain
from gateway.cli.client.session import Session

_MAY_WAIT = frozenset({"screened", "contract", "waiting"})
_PASSING = frozenset({"writing", "cost"})  # shown while they last, and no line of their own


class Watching:
    """Follows one job to its end. `quiet` shows nothing and asks nothing."""

    def __init__(self, session: Session, path: str, *, quiet: bool) -> None:
        self._session = session
        self._path = path
        self._quiet = quiet
        self._begin = time.monotonic()
        self._status = Console(stderr=True, quiet=quiet).status("Queued")

    def to_the_end(self) -> dict[str, Any]:
        """The job when it is over. Ctrl-C cancels it. `Any`: its JSON."""
        try:
            with self._status:
                for event in followed(self._session, self._path):
                    if event is not None:
                        self._show(event)
                    if event is None or event.kind in _MAY_WAIT:
                        self._answer_when_asked()
        except KeyboardInterrupt:
            self._session.call("POST", f"{self._path}/cancel")
            typer.echo("sandgate: the job was cancelled.", err=True)
            raise typer.Exit(130) from None
        return self._session.call("GET", self._path)

    def _show(self, event: JobEvent) -> None:
        if self._quiet:
            return
        text = plain(event.text).replace("\n", " ")
        self._status.update(text)
        if event.kind not in _PASSING:
            typer.echo(f"{time.monotonic() - self._begin:6.1f} s  {text}", err=True)

    def _answer_when_asked(self) -> None:
        job = self._session.call("GET", self._path)
        if job.get("status") in OVER or not job.get("waiting_for"):
            return
        self._status.stop()
        answer = self._asked(job)
        if answer is None:
            self._session.call("POST", f"{self._path}/cancel")
        else:
            self._session.call("POST", f"{self._path}/approve", answer)
        self._status.start()

    def _asked(self, job: dict[str, Any]) -> dict[str, object] | None:
        """What somebody at the terminal says; None is no."""
        nobody = InputError(
            f"The job {job.get('id')} waits for {job['waiting_for']}",
            f"Answer with POST {self._path}/approve, or run this in a terminal.",
        )
        if self._quiet:
            raise nobody
        try:
            if job["waiting_for"] == "answers":
                return self._answers(job)
            return self._approval(job)
        except typer.Abort:
            raise nobody from None

    @staticmethod
    def _answers(job: dict[str, Any]) -> dict[str, object]:
        questions = [str(question) for question in job.get("questions") or []]
        return {
            "answers": {question: typer.prompt(plain(question), err=True) for question in questions}
        }

    @staticmethod
    def _approval(job: dict[str, Any]) -> dict[str, object] | None:
        """Nothing but yes; None is no."""
        for operation in (job.get("contract") or {}).get("operations") or []:
            line = (
                f"  {operation.get('method')} {operation.get('path')}  {operation.get('summary')}"
            )
            typer.echo(plain(line), err=True)
        for assumption in job.get("assumptions") or []:
            typer.echo(plain(f"  assumed: {assumption}"), err=True)
        return {} if typer.confirm("Make this API?", err=True) else None
