"""SharePoint and OneDrive."""
