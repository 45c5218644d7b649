"""What tokens cost, in whole nano-USD, from dated rows that a ledger can name."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from generator.llm.base import Usage
from generator.llm.capabilities import Provider, capabilities, table


@dataclass(frozen=True, slots=True)
class Tier:
    """Prices a token for prompts of more than `above` tokens."""

    above: int
    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


@dataclass(frozen=True, slots=True)
class Price:
    """One row; the highest tier that the whole prompt is above counts for every token of it."""

    id: str
    tiers: tuple[Tier, ...]
    note: str = ""

    def tier(self, prompt_tokens: int) -> Tier:
        """The tier for a prompt of this length."""
        return next(
            (tier for tier in reversed(self.tiers) if prompt_tokens > tier.above), self.tiers[0]
        )


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """What an operator says that a model of a compatible endpoint costs; nothing by default."""

    input: int = 0
    output: int = 0


FREE: Final = OwnPrice()


@cache
def rows() -> dict[str, Price]:
    """Every price row by its id."""
    return {
        row["id"]: Price(
            row["id"],
            tuple(
                Tier(above=tier["from"], **{k: v for k, v in tier.items() if k != "from"})
                for tier in row["tiers"]
            ),
        )
        for row in table()["prices"]
    }


def price_of(model: str, provider: Provider, own: OwnPrice = FREE) -> Price:
    """The row that pays for this model.

    A model of Anthropic's that no row knows is taken for the dearest, so that caps still hold.
    """
    if provider == "compatible":
        note = "" if own.input or own.output else "taken to cost nothing: no price is set"
        tier = Tier(0, own.input, own.output, own.input, own.input, own.input)
        return Price(f"own:{own.input}/{own.output}", (tier,), note)
    known = capabilities(model, provider).price
    if known:
        return rows()[known]
    dearest = max(rows().values(), key=lambda price: max(tier.output for tier in price.tiers))
    return Price(dearest.id, dearest.tiers, "unknown model: taken for the dearest")


def cost(price: Price, usage: Usage) -> int:
    """What these tokens cost."""
    prompt = usage.input + usage.cache_write_5m + usage.cache_write_1h + usage.cache_read
    tier = price.tier(prompt)
    return (
        usage.input * tier.input
        + usage.output * tier.output
        + usage.cache_write_5m * tier.cache_write_5m
        + usage.cache_write_1h * tier.cache_write_1h
        + usage.cache_read * tier.cache_read
    )


def most(price: Price, prompt_tokens: int, max_tokens: int) -> int:
    """The most that a call can cost: nothing of the prompt is read from a cache."""
    tier = price.tier(prompt_tokens)
    return prompt_tokens * max(tier.input, tier.cache_write_5m) + max_tokens * tier.output
