"""What the letters say. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.auth.issuer.mail import Letter


class Kind(StrEnum):
    """What a mailed token is for; the value is how it is stored."""

    SIGNUP = "confirmation_token"  # the address of a new account
    INVITE = "invite_token"  # an account that an admin made
    RECOVERY = "recovery_token"  # a forgotten password
    MAGIC = "magiclink_token"  # signing in without a password
    NEW_ADDRESS = "email_change_token_new"  # sent to the address that is wanted
    OLD_ADDRESS = "email_change_token_current"  # sent to the address that is left


@dataclass(frozen=True, slots=True)
class _Text:
    subject: str
    purpose: str


_TEXTS = {
    Kind.SIGNUP: _Text("Confirm your address", "confirm your address"),
    Kind.INVITE: _Text("You have been invited", "accept the invitation"),
    Kind.RECOVERY: _Text("Set a new password", "sign in and set a new password"),
    Kind.MAGIC: _Text("Your link to sign in", "sign in"),
    Kind.NEW_ADDRESS: _Text("Confirm your new address", "make this the address of your account"),
    Kind.OLD_ADDRESS: _Text(
        "Confirm the change of your address", "give your account the address {wanted}"
    ),
}
#: The names of kinds in requests and links.
WIRE = {
    Kind.SIGNUP: "signup",
    Kind.INVITE: "invite",
    Kind.RECOVERY: "recovery",
    Kind.MAGIC: "magiclink",
    Kind.NEW_ADDRESS: "email_change",
    Kind.OLD_ADDRESS: "email_change",
}


def kinds_of(wire: str) -> tuple[Kind, ...]:
    """The kinds that a name in a request stands for; none for an unknown one."""
    if wire == "email":
        return (Kind.SIGNUP, Kind.MAGIC, Kind.INVITE)
    return tuple(kind for kind, name in WIRE.items() if name == wire)


def letter(kind: Kind, to: str, link: str, code: str, wanted: str = "") -> Letter:
    """The letter of one token."""
    text = _TEXTS[kind]
    purpose = text.purpose.format(wanted=wanted)
    return Letter(
        to=to,
        subject=text.subject,
        text=(
            f"To {purpose}, open this link within an hour:\n\n{link}\n\n"
            f"or enter this code: {code}\n\n"
            "If you did not ask for it, do nothing: nothing has changed.\n"
        ),
        link=link,
        code=code,
    )
