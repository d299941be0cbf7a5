"""Jobs outlive a version of the code: rows that the previous one queued are done by this one."""

import pytest

from dev.generated.jobs import jobs_by_service

QUEUED = {
    "meetings": {
        "schedule": {"meeting_id": "m"},
        "reschedule": {"meeting_id": "m"},
        "cancel": {"meeting_id": "m"},
        "set_recording": {"meeting_id": "m"},
        "follow_switch": {"user_id": None},
        "follow_connections": {},
        "booked_end": {"meeting_id": "m", "ends_at": "2026-11-02T09:30:00+00:00"},
    },
    "recording-ingest": {
        "watch_user": {"user_id": "anna", "state": "connected"},
        "end_subscriptions": {"user_id": "anna", "ids": ["s"]},
        "follow_person": {"user_id": "anna"},
        "follow_connections": {"user_id": "anna"},
        "reconcile": {"meeting_id": "m", "revision": 1},
        "announce_gap": {"user_id": "anna", "version": 1},
        "look_again": {"capability": "transcript_access"},
        "transfer": {"artefact_id": "a"},
        "import_transcript": {"artefact_id": "a"},
        "process_notification": {"notification_id": 1},
        "subscription_lifecycle": {"notification_id": 1},
    },
    "contacts": {
        "follow_connections": {},
        "read_import": {"run_id": "r"},
        "run_import": {"run_id": "r"},
        "undo_import": {"run_id": "r"},
        "keep_in_step": {"user_id": "anna"},
        "find_proposals": {"user_id": "anna"},
        "process_notification": {"notification_id": 1},
        "subscription_lifecycle": {"notification_id": 1},
    },
    "mail": {
        "follow_connections": {},
        "send_mail": {"mail_id": "m"},
        "tidy_mail": {"mail_id": "m"},
        "forget_file": {"file_id": "f"},
        "sync_mailbox": {"user_id": "anna"},
        "read_past": {"user_id": "anna"},
        "forget_strangers": {"user_id": "anna"},
        "follow_addresses": {},
        "follow_everybody": {},
        "forget_old_mail": {},
        "process_notification": {"notification_id": 1},
        "subscription_lifecycle": {"notification_id": 1},
    },
    "tenant-connector": {"prove": {"claim_id": "c", "request_id": "r"}, "look_after_tenant": {}, "check_readiness": {}},
    "user-auth": {"keep_alive": {"user_id": "anna"}},
    "storage": {
        "tidy_objects": {"file_id": "f"},
        "tidy_parts": {"file_id": "f"},
        "give_up_uploads": {},
        "look_at_location": {},
        "hash_file": {"file_id": "f"},
        "move_files": {},
        "delete_copy": {"copy_id": "f:1"},
        "keep_retention": {},
        "sweep_staging": {},
    },
}
"""Service → kind → a payload as version 0.1 queued it. Kinds are added here, never taken away."""


@pytest.mark.parametrize("service", QUEUED)
def test_a_service_does_every_job_that_0_1_queued(service: str) -> None:
    kinds = jobs_by_service()[service].kinds
    for kind, payload in QUEUED[service].items():
        kinds[kind].work.model_validate(payload)


def test_every_service_with_jobs_is_listed() -> None:
    assert set(jobs_by_service()) == set(QUEUED)
