"""Which Graph permissions there are, who may consent to them, and how scopes are written.

The flags are those of Microsoft's published permission list; the managed policy's list is that of the consent policy
``microsoft-user-default-recommended``.
"""

from collections.abc import Iterable

from m365_simulator.directory import DELEGATED, OIDC_SCOPES

GRAPH = "https://graph.microsoft.com"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
RESOURCES = {GRAPH: GRAPH, GRAPH_APP_ID: GRAPH, "https://outlook.office.com": "https://outlook.office.com"}
"""Names of a resource in a scope, to its audience. Another resource's token is refused by Graph."""

ADMIN_ONLY = frozenset(
    [
        "AppRoleAssignment.ReadWrite.All",
        "Application.Read.All",
        "Application.ReadWrite.All",
        "Calendars.ReadBasic",
        "CallRecordings.Read.All",
        "CallTranscripts.Read.All",
        "DelegatedPermissionGrant.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        "Group.Read.All",
        "Group.ReadWrite.All",
        "GroupMember.Read.All",
        "Lists.SelectedOperations.Selected",
        "OnlineMeetingAiInsight.Read.All",
        "OnlineMeetingRecording.Read.All",
        "OnlineMeetingTranscript.Read.All",
        "Organization.Read.All",
        "Sites.FullControl.All",
        "User.Read.All",
        "User.ReadWrite.All",
        "User.RevokeSessions.All",
    ]
)
MANAGED = frozenset(
    [
        "Calendars.Read",
        "Calendars.Read.Shared",
        "Calendars.ReadBasic",
        "Calendars.ReadWrite",
        "Calendars.ReadWrite.Shared",
        "Chat.Read",
        "Chat.ReadWrite",
        "Contacts.Read.Shared",
        "Contacts.ReadWrite",
        "Contacts.ReadWrite.Shared",
        "Files.Read.All",
        "Files.ReadWrite.All",
        "Mail.Read",
        "Mail.Read.Shared",
        "Mail.ReadBasic",
        "Mail.ReadBasic.Shared",
        "Mail.ReadWrite",
        "Mail.ReadWrite.Shared",
        "MailboxFolder.Read",
        "MailboxFolder.ReadWrite",
        "MailboxItem.Read",
        "MailboxSettings.Read",
        "MailboxSettings.ReadWrite",
        "OnlineMeetings.Read",
        "OnlineMeetings.ReadWrite",
        "People.Read",
        "Sites.Read.All",
        "Sites.ReadWrite.All",
        "Tasks.Read",
        "Tasks.Read.Shared",
        "Tasks.ReadWrite",
        "Tasks.ReadWrite.Shared",
    ]
)
"""What people may not consent to themselves where Microsoft manages user consent."""
OTHERS = frozenset(
    [
        "Channel.ReadBasic.All",
        "Contacts.Read",
        "Files.Read",
        "Files.ReadWrite",
        "Files.SelectedOperations.Selected",
        "Mail.Send",
        "Mail.Send.Shared",
        "OnlineMeetingArtifact.Read.All",
        "Sites.Selected",
        "Team.ReadBasic.All",
        "User.Read",
        "User.ReadBasic.All",
        "User.ReadWrite",
    ]
)
KNOWN = {name.lower(): name for name in (*ADMIN_ONLY, *MANAGED, *OTHERS, *DELEGATED)}


class BadScope(ValueError):
    """``number`` is Entra's; the message says which scope."""

    def __init__(self, number: int, says: str) -> None:
        super().__init__(says)
        self.number = number


class Scopes:
    """A scope parameter, read: OIDC scopes, permissions in their usual spelling, one resource.

    Raises ``BadScope`` for an unknown resource, more than one resource, an unknown permission, or ``.default`` beside
    others.
    """

    def __init__(self, text: str) -> None:
        self.asked = list(dict.fromkeys(text.replace("+", " ").split()))
        self.oidc = [scope for scope in self.asked if scope in OIDC_SCOPES]
        others = [_split(scope) for scope in self.asked if scope not in OIDC_SCOPES]
        resources = {resource for resource, _ in others}
        if len(resources) > 1:
            raise BadScope(28000, "The scope is not valid because it contains more than one resource.")
        self.resource = next(iter(resources), GRAPH)
        self.default = any(name == ".default" for _, name in others)
        if self.default and len(others) > 1:
            raise BadScope(70011, ".default scope can't be combined with resource-specific scopes.")
        self.permissions = [] if self.default else [self._known(name) for _, name in others]

    def _known(self, name: str) -> str:
        known = KNOWN.get(name.lower())
        if self.resource == GRAPH and known is None:
            raise BadScope(70011, f"The provided value for the input parameter 'scope' isn't valid: {name}.")
        return known or name


def _split(scope: str) -> tuple[str, str]:
    if scope == ".default":
        return GRAPH, scope
    head, slash, name = scope.rpartition("/")
    if not slash:
        return GRAPH, scope
    resource = RESOURCES.get(head.rstrip("/"))
    if resource is None:
        raise BadScope(500011, f"The resource principal named {head} was not found in the tenant.")
    return resource, name


def not_by_a_person(permissions: Iterable[str], policy: str) -> list[str]:
    """The permissions that need an administrator; ``policy`` is managed, allowed (flags only) or none."""
    wanted = set(permissions)
    blocked = {"managed": ADMIN_ONLY | MANAGED, "allowed": ADMIN_ONLY, "none": frozenset(wanted)}[policy]
    return sorted(wanted & blocked)
