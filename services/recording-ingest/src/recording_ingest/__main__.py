from recording_ingest.main import main

main()
