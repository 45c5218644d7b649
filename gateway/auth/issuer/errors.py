"""Failures of the issuer, with the statuses and codes that Supabase's clients know."""

from collections.abc import Sequence

from gateway.errors import SandgateError


class AuthError(SandgateError):
    """Base of the issuer's expected failures; `detail` is the public message."""

    status, code, title = 400, "validation_failed", "The request is not valid"


class BadJsonError(AuthError):
    """The body is not a JSON object."""

    code, title = "bad_json", "Could not parse request body as JSON"


class BodyTooLargeError(AuthError):
    """The body is over its cap."""

    status, code, title = 413, "request_too_large", "Request body too large"


class BodyTimeoutError(AuthError):
    """The body did not arrive in time."""

    status, code, title = 408, "request_timeout", "The request body did not arrive in time"


class ValidationError(AuthError):
    """A member of the body is missing or not acceptable."""


class UnsupportedError(AuthError):
    """Known to the protocol, not offered here."""

    status, code, title = 422, "validation_failed", "Not supported"


class SignupDisabledError(AuthError):
    """Nobody may register."""

    status, code, title = 422, "signup_disabled", "Signups not allowed for this instance"


class AnonymousDisabledError(AuthError):
    """Sign-up without an address."""

    status, code = 422, "anonymous_provider_disabled"
    title = "Anonymous sign-ins are disabled"


class PhoneDisabledError(AuthError):
    """Sign-up or sign-in by telephone."""

    status, code, title = 422, "phone_provider_disabled", "Phone logins are disabled"


class UserExistsError(AuthError):
    """The address is registered."""

    status, code, title = 422, "user_already_exists", "User already registered"


class SamePasswordError(AuthError):
    """The new password is the old one."""

    status, code = 422, "same_password"
    title = "New password should be different from the old password."


class WeakPasswordError(AuthError):
    """The password breaks the policy; `reasons` are machine-readable."""

    status, code = 422, "weak_password"

    def __init__(self, detail: str, reasons: Sequence[str]) -> None:
        super().__init__(detail, extra={"weak_password": {"reasons": list(reasons)}})


class InvalidCredentialsError(AuthError):
    """Unknown address or wrong password; deliberately the same answer."""

    code, title = "invalid_credentials", "Invalid login credentials"


class UserBannedError(AuthError):
    """The account is closed for now."""

    status, code, title = 403, "user_banned", "User is banned"


class RefreshTokenNotFoundError(AuthError):
    """No such refresh token."""

    code = "refresh_token_not_found"
    title = "Invalid Refresh Token: Refresh Token Not Found"


class RefreshTokenUsedError(AuthError):
    """A rotated refresh token came back; its session is over."""

    code, title = "refresh_token_already_used", "Invalid Refresh Token: Already Used"


class NoAuthorizationError(AuthError):
    """No bearer token."""

    status, code = 401, "no_authorization"
    title = "This endpoint requires a valid Bearer token"


class BadTokenError(AuthError):
    """The access token is forged, foreign, expired or not one at all."""

    status, code, title = 403, "bad_jwt", "Invalid access token"


class SessionNotFoundError(AuthError):
    """The session of the access token is over."""

    status, code = 403, "session_not_found"
    title = "Session from session_id claim in JWT does not exist"


class InsufficientAalError(AuthError):
    """The person has a second factor and this session has not confirmed it."""

    status, code = 403, "insufficient_aal"
    title = "AAL2 required to enroll a new factor"


class OneFactorError(InsufficientAalError):
    """The same, for what opens the account."""

    status = 401
    title = "AAL2 session is required to update email or password when MFA is enabled."


class RemovalRefusedError(InsufficientAalError):
    """The same, for taking a factor away."""

    status, title = 422, "AAL2 required to unenroll verified factor"


class FactorNotFoundError(AuthError):
    """No such factor of this person."""

    status, code, title = 404, "mfa_factor_not_found", "Factor not found"


class FactorNameConflictError(AuthError):
    """The person has another factor of this name."""

    status, code = 422, "mfa_factor_name_conflict"
    title = "A factor with this friendly name for this user already exists"


class TooManyFactorsError(AuthError):
    """The person has as many factors as one may have."""

    status, code = 422, "too_many_enrolled_mfa_factors"
    title = "Maximum number of enrolled factors reached, unenroll to continue"


class ChallengeExpiredError(AuthError):
    """No such challenge, answered already, or too old."""

    status, code = 422, "mfa_challenge_expired"
    title = "MFA challenge has expired, verify against another challenge or create a new challenge."


class CodeRefusedError(AuthError):
    """A wrong code, or one that was used."""

    status, code, title = 422, "mfa_verification_failed", "Invalid TOTP code entered"


class TooManyAttemptsError(AuthError):
    """Too many attempts; carries Retry-After."""

    status, code, title = 429, "over_request_rate_limit", "Request rate limit reached"

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})
        self.seconds = retry_after


class EmailNotConfirmedError(AuthError):
    """The password is right, the address was never confirmed."""

    code, title = "email_not_confirmed", "Email not confirmed"


class EmailDisabledError(AuthError):
    """This installation cannot send mail."""

    status, code = 422, "email_provider_disabled"
    title = "This installation sends no mail; the operator has to set SMTP_HOST"


class EmailExistsError(AuthError):
    """The address became somebody else's."""

    status, code = 422, "email_exists"
    title = "A user with this email address has already been registered"


class OtpExpiredError(AuthError):
    """No such token or code, used already, or too old."""

    status, code, title = 403, "otp_expired", "Token has expired or is invalid"


class FlowNotFoundError(AuthError):
    """No such code to exchange, used already, or too old."""

    status, code = 404, "flow_state_not_found"
    title = "invalid flow state, no valid flow state found"


class BadCodeVerifierError(AuthError):
    """The code is exchanged by somebody who did not ask for it."""

    code = "bad_code_verifier"
    title = "code challenge does not match previously saved code verifier"


class MailLimitError(TooManyAttemptsError):
    """A letter went to this address a moment ago, or too many did."""

    code, title = "over_email_send_rate_limit", "For security purposes, ask for mail less often"


class NotAdminError(AuthError):
    """Who asks does not hold the admin key."""

    status, code, title = 403, "not_admin", "User not allowed"


class UserNotFoundError(AuthError):
    """Nobody has this id or address."""

    status, code, title = 404, "user_not_found", "User not found"


class StillReferredError(AuthError):
    """The person cannot be deleted as long as something that is kept refers to them."""

    status, code = 409, "conflict"
    title = "Something that is kept refers to this person; ban them instead"


class BusyError(AuthError):
    """More passwords wait for their check than can be done in time."""

    status, code, title = 503, "request_timeout", "Too many sign-ins at once, try again"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})
