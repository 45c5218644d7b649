"""Which models answer for what, where, and how long they may take. Plain values; no environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from generator.llm.base import Purpose
from generator.llm.capabilities import Provider
from generator.llm.prices import FREE, OwnPrice

Effort = Literal["low", "medium", "high", "xhigh", "max"]

OWN_ADDRESS: Final = "https://api.anthropic.com"
SMALL: Final = "claude-haiku-5-5"
MIDDLE: Final = "claude-sonnet-5-5"
MODELS: Final[Mapping[Purpose, str]] = {
    "screen": SMALL,
    "chat": SMALL,
    "suggest": SMALL,
    "contract": MIDDLE,
    "code": MIDDLE,
    "repair": MIDDLE,
    "edit": MIDDLE,
}
EFFORTS: Final[Mapping[Purpose, Effort]] = {
    "screen": "low",
    "chat": "low",
    "suggest": "low",
    "contract": "medium",
    "code": "medium",
    "repair": "high",
    "edit": "medium",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for each thing, and how often to try."""

    connect: float = 10.0
    first_byte: float = 120.0  # from the request sent to the answer's headers
    silence: float = 90.0  # between two pieces of an answer; the service pings in between
    total: float = 900.0  # one call with all its tries
    tries: int = 4
    longest_pause: float = 60.0  # a server that asks for more is taken to be away


PATIENT: Final = Patience()


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What an operator decides. `model` stands for every purpose that `models` does not name."""

    api_key: str = field(default="", repr=False)
    base_url: str = OWN_ADDRESS
    model: str = ""
    models: Mapping[Purpose, str] = field(default_factory=dict)
    efforts: Mapping[Purpose, Effort] = field(default_factory=dict)
    speaks: Provider | None = None  # None: decided by the address
    own_price: OwnPrice = FREE  # of a compatible endpoint
    user_salt: str = field(default="", repr=False)
    patience: Patience = PATIENT

    @property
    def provider(self) -> Provider:
        """Whose rows count: Anthropic's only for its own address, unless told otherwise."""
        if self.speaks is not None:
            return self.speaks
        return "anthropic" if is_anthropic(self.base_url) else "compatible"

    @property
    def missing(self) -> str:
        """What has to be set before a model can be asked, in words for an operator; "" if ready."""
        if self.provider == "anthropic" and not self.api_key:
            return (
                "No language model is set. Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL "
                "for a local endpoint. Templates work without."
            )
        if self.provider == "compatible" and not (self.model or self.models):
            return "ANTHROPIC_BASE_URL is not Anthropic's own: say which model to ask for there."
        return ""

    def model_for(self, purpose: Purpose) -> str:
        """The model that answers for this purpose."""
        return self.models.get(purpose) or self.model or MODELS[purpose]

    def effort_for(self, purpose: Purpose) -> Effort:
        """How hard it should think."""
        return self.efforts.get(purpose) or EFFORTS[purpose]


def is_anthropic(base_url: str) -> bool:
    """Whether the address is the service's own, over TLS."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return parts.scheme == "https" and (host == "anthropic.com" or host.endswith(".anthropic.com"))
