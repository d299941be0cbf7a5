from user_auth.main import main

main()
