"""From the outbox to Kafka and from Kafka to the handlers: relay, lanes, inbox, dead letters."""
