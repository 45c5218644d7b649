"""From a contract to code that passed every gate: write, look, mend, and give up in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generator.conversation import Wrong, ask, order
from generator.gating import Gating, Guards
from generator.llm.base import Answer, CutOffError, Prompt, Turn, UnusableAnswerError
from generator.prompts import platform, system
from generator.repair import Mended, mend
from generator.replace import WRITE_BODY, body_in
from generator.rounds import Step, Stop, better, guards_of, next_step
from generator.telling import Telling
from generator.types import Candidate, EventKind, Finding, Gate, GeneratorError, Wish

_SHORTER = "The answer before was too long and was cut off. Write less: short code, no comments."


class GaveUpError(GeneratorError):
    """No candidate passed. `code` says why it was left at that."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.code = stop.code


@dataclass(frozen=True, slots=True)
class Building:
    """The work on one body."""

    wish: Wish
    gating: Gating

    @property
    def telling(self) -> Telling:
        """Where events go."""
        return self.gating.telling

    async def write(self) -> str:
        """A first body; UnusableAnswerError when the model hands none in."""
        try:
            return await self._written("")
        except CutOffError:
            return await self._written(_SHORTER)

    async def _written(self, note: str) -> str:
        parts = self.gating.parts
        opening = "\n".join((order(self.gating.contract, self.wish), note)).strip()
        prompt = Prompt("code", system("code"), (Turn("user", opening),), (platform(),),
                        (WRITE_BODY,), parts.limits.body_tokens)  # fmt: skip
        taken = await ask(parts.model, prompt, _body, parts.limits.tries, self.telling.writing())
        await self.telling.tell_cost()
        if isinstance(taken, Wrong):
            raise UnusableAnswerError("The model handed in no code.")
        return taken

    async def passing(
        self, body: str, number: int, guards: Guards | None, diff: str = ""
    ) -> Candidate:
        """A candidate that passes every gate; GaveUpError when none comes of it.

        `guards` are what the first look keeps to, and every other until a body shows its own.
        """
        history = [await self._look(body, number, guards, diff)]
        escalated = False
        while history[-1].stopped_by:
            limits, stronger = self.gating.parts.limits, self.gating.parts.stronger
            can_escalate = stronger is not None and not escalated
            step = next_step(history, limits.rounds, can_escalate=can_escalate, is_last=escalated)
            if isinstance(step, Stop):
                raise GaveUpError(step)
            escalated = step is Step.ESCALATE
            history.append(await self._round(history, guards, escalated=escalated))
        return history[-1]

    async def _round(
        self, history: Sequence[Candidate], guards: Guards | None, *, escalated: bool
    ) -> Candidate:
        """One repair: of the last candidate, or of the best one when the last brought nothing."""
        base = self.telling.best if escalated and self.telling.best is not None else history[-1]
        number = history[-1].round + 1
        await self._tell_repair(base, number, escalated=escalated)
        mended = await self._mended(base, escalated=escalated)
        if isinstance(mended, Finding):
            return await self._not_mended(base, number, mended)
        kept = guards_of(history)
        base_guards = Guards(kept) if kept is not None else guards
        return await self._look(mended.body, number, base_guards, mended.diff)

    async def _mended(self, base: Candidate, *, escalated: bool) -> Mended | Finding:
        parts = self.gating.parts
        model = parts.stronger if escalated and parts.stronger is not None else parts.model
        opening = order(self.gating.contract, self.wish)
        writing, tries = self.telling.writing(), parts.limits.tries
        mended = await mend(model, opening, base, tries, writing)
        await self.telling.tell_cost()
        return mended

    async def _look(
        self, body: str, number: int, guards: Guards | None, diff: str = ""
    ) -> Candidate:
        """All gates over one body."""
        text = "The code is written." if number == 0 else f"Repair {number} is in the code."
        await self.telling.tell(EventKind.WRITTEN, text, body=body, round=number, diff=diff)
        candidate = await self.gating.check(body, number, guards)
        self.telling.best = better(self.telling.best, candidate)
        return candidate

    async def _tell_repair(self, base: Candidate, number: int, *, escalated: bool) -> None:
        of = self.gating.parts.limits.rounds
        who = " by the stronger model" if escalated else ""
        count = len(base.stopped_by)
        await self.telling.tell(
            EventKind.REPAIR,
            f"Repair {number} of {of}{who}: {count} problem{'s' * (count != 1)}.",
            round=number,
            of=of,
            findings=[one.to_json() for one in base.stopped_by],
            stronger=escalated,
        )

    async def _not_mended(self, base: Candidate, number: int, finding: Finding) -> Candidate:
        """The same code once more, with the reason why the repair is not in it."""
        await self.gating.tell(Gate.EDIT, (finding,), 0.0)
        return replace(base, round=number, findings=(*base.findings, finding))


def _body(answer: Answer) -> str | Wrong:
    """What was handed in with the right tool."""
    uses = [use for use in answer.uses if use.name == WRITE_BODY.name]
    if len(uses) != 1 or len(answer.uses) != 1:
        return Wrong(f"Use the tool {WRITE_BODY.name}, and no other, once, with the whole body.")
    body = body_in(uses[0].input)
    return Wrong(body.message) if isinstance(body, Finding) else body
