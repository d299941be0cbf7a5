"""Whom a mail goes to: addresses in their normal form, each once."""

from email_validator import EmailNotValidError, validate_email

LONGEST = 320


def normal(address: str) -> str:
    """The address as Exchange compares it, without asking the network. Raises ``ValueError`` saying what is wrong."""
    try:
        found = validate_email(address.strip()[: LONGEST + 1], check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return found.ascii_email or found.normalized


def each_once(people: list[dict[str, str]]) -> list[dict[str, str]]:
    """Exchange knows no case in an address. Of two the first stays, so To goes before Cc and Cc before Bcc."""
    return list({person["email"].lower(): person for person in reversed(people)}.values())[::-1]


def key_of(address: str) -> str | None:
    """The form in which addresses are compared, as in contacts: lower case, domain in Unicode. None for no address."""
    local, at, domain = address.strip().lower().rpartition("@")
    if not at or not local or not domain or len(address) > LONGEST:
        return None
    if domain.isascii() and "xn--" not in domain:
        return f"{local}@{domain}"
    try:
        return validate_email(f"{local}@{domain}", check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None
