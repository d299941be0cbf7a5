"""What a service stores: the unit of work, the outbox and the job queue in it, row-level security, housekeeping."""
