from storage.main import main

main()
