"""Following the folders of a mailbox, contacts' and later mail's, without losing an item."""
