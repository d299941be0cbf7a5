from meetings.main import main

main()
