"""The gates as they are; whoever wants others replaces one of them."""

from generator.contract import Contract
from generator.fuzz import Fuzzer
from generator.invariants import compare
from generator.parts import Gates
from generator.rehearse import cases, rehearse
from generator.scan import reading, ruff, scan
from generator.scan.subject import Subject
from generator.template import assemble, offset


async def tidy(body: str) -> str:
    """As the static gate makes it before it looks, so that both gates can look at once."""
    return await ruff.mended(reading.normal(body))


def is_program(contract: Contract, body: str) -> bool:
    """Whether it can be read at all."""
    return isinstance(reading.read(contract, reading.normal(body)), Subject)


GATES = Gates(
    assemble=assemble,
    offset=offset,
    is_program=is_program,
    tidy=tidy,
    scan=scan,
    fuzzer=Fuzzer,
    rehearse=rehearse,
    compare=compare,
    cases=cases,
)
