"""May this be asked of Microsoft for this person now, and if not, who mends it.

A service keeps what the state topics say of tenants, switches and accounts in its own database (``state``), so a change
acts at once and no service waits for another. ``Connection.obstacle`` answers the question; ``obstacle_of`` answers it
for what Microsoft refused (``obstacles``). ``follow`` keeps the state and queues one job per change, which brings what
the service does for each person in line with it (``following``).
"""

from shared.connections.following import FollowConnections, Leave, LeaveAsApplication, bring_in_line, follow, keep
from shared.connections.obstacles import (
    ADMIN_REQUIRED,
    HEARD_OF,
    Obstacle,
    Obstructed,
    Switch,
    obstacle_of,
)
from shared.connections.places import ACCOUNT_PLACE, CONNECTOR_PLACE
from shared.connections.state import Account, Connection, Tenant, connection_now, connection_of, tenant_of

__all__ = [
    "ACCOUNT_PLACE",
    "ADMIN_REQUIRED",
    "CONNECTOR_PLACE",
    "HEARD_OF",
    "Account",
    "Connection",
    "FollowConnections",
    "Leave",
    "LeaveAsApplication",
    "Obstacle",
    "Obstructed",
    "Switch",
    "Tenant",
    "bring_in_line",
    "connection_now",
    "connection_of",
    "follow",
    "keep",
    "obstacle_of",
    "tenant_of",
]
