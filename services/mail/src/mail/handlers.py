"""Everything the mail service reacts to."""

from shared.copies import keep_tenant_copy, keep_user_copy
from shared.events import TenantState, UserState
from shared.handlers import Handlers

on = Handlers()
on(TenantState)(keep_tenant_copy)
on(UserState)(keep_user_copy)
